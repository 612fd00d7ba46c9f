"""HTTP clients between their requests: members of rooms like everybody else, for whom what is said is kept.

A client becomes a member with its first verb (the `chat` action) and leaves when it says so or has made no request for
`timeout` seconds. What it hears waits, bounded in number and, with `message_ttl`, in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from ahd.core import errors
from ahd.core.connection import Connection
from ahd.core.errors import Code, Disconnect, Refused
from ahd.core.message import JsonObject, Say, failed
from ahd.core.verbs import Verbs

logger = logging.getLogger("ahd.web")

NOT_LASTING = "chat needs to know you again: this server sets no cookie, so send one yourself"
TOO_MANY_CLIENTS = "too many HTTP clients are in rooms; try again later"
HAVE_LEFT = "you have left"
ENDED: Mapping[str, Code] = {
    errors.STORE_UNAVAILABLE: Code.STORE_AWAY,
    errors.SHUTTING_DOWN: Code.SHUTTING_DOWN,
}
"""What kind of refusal it is that a client's end is told with."""
SWEEP = 5.0


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """`message_ttl` and `timeout` in seconds (None: no limit), `messages` for each client, `clients` on this node."""

    message_ttl: float | None
    timeout: float
    messages: int
    clients: int


class HttpGroup:
    """The HTTP clients of this node that hear one room."""

    def __init__(self) -> None:
        self._links: set[HttpClient] = set()

    def add(self, link: HttpClient) -> None:
        self._links.add(link)

    def discard(self, link: HttpClient) -> None:
        self._links.discard(link)

    def deliver(self, say: Say, skip: Any) -> int:
        now = monotonic()
        for link in self._links:
            if link is not skip:
                link.keep(say.json, now)
        return len(self._links) - (skip in self._links)

    def __len__(self) -> int:
        return len(self._links)


class HttpClient:
    """One client: the link of its connection. `requests` is how many of its requests are being answered."""

    def __init__(self, clients: HttpClients, id: str, remote_address: str, lasting: bool) -> None:
        self._clients = clients
        self._kept: deque[tuple[float, bytes]] = deque()
        self._missed = 0
        self._waiting: set[asyncio.Future[JsonObject]] = set()
        self.connection = Connection(id, "web", remote_address, self, {})
        self.lasting = lasting
        self.joined = False
        self._leaving = False
        self._ended: str | None = None
        self.requests = 0
        self.seen = 0.0

    # -- what the rooms do with it

    def new_group(self) -> HttpGroup:
        return HttpGroup()

    def send(self, event: str, data: JsonObject) -> None:
        """A say to this client alone, such as a goodbye; the welcome is for connections that stay."""
        if event == "say":
            self.keep(self._clients.encode(data), monotonic())

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        """Leave everything; what is still asked is answered with why."""
        sentence = errors.STORE_UNAVAILABLE if reason is errors.STORE_LOST else HAVE_LEFT
        if reason is errors.SERVER_SHUTDOWN:
            sentence = errors.SHUTTING_DOWN
        self._ended = sentence
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            _resolve(future, failed(sentence))
        self._clients.leave(self)

    def keep(self, say: bytes, now: float) -> None:
        """Let a say wait for the client; beyond the bound the oldest is given up."""
        kept = self._kept
        if len(kept) >= self._clients.limits.messages:
            kept.popleft()
            self._missed += 1
        kept.append((now, say))

    # -- what the chat action does with it

    async def ask(self, verb: str, data: JsonObject) -> JsonObject:
        """Say a verb as a member of rooms; its reply. Raises Refused for one that cannot be a member."""
        if not self.joined:
            self._clients.join(self)
        future = self.future()
        self._clients.verbs.receive(self.connection, verb, data, lambda reply: _resolve(future, reply))
        return await future

    def messages(self) -> JsonObject:
        """What was said since the last call, oldest first, and how many says were given up because of the bounds."""
        if not self.joined:
            self._clients.join(self)
        if self._ended is not None:
            raise Refused(self._ended, ENDED.get(self._ended, Code.BAD_INPUT))
        self.expire(monotonic())
        kept, self._kept = self._kept, deque()
        missed, self._missed = self._missed, 0
        decode = self._clients.decode
        return {"messages": [decode(say) for _, say in kept], "missed": missed}

    def quit(self) -> bool:
        """Leave the rooms once what is being asked is answered; whether it was in one."""
        self._leaving = self.joined
        return self.joined

    # -- what the web server does with it

    def future(self) -> asyncio.Future[JsonObject]:
        """A future for a reply; the end of the client gives it one that says so."""
        future: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        if self._ended is not None:
            # Nothing answers any more for a connection that is gone.
            future.set_result(failed(self._ended))
            return future
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def end(self) -> None:
        """One of its requests has been answered."""
        self.requests -= 1
        self.seen = monotonic()
        if not self.requests:
            if self._leaving:
                self._leaving = False
                self._clients.verbs.receive(self.connection, "quit", None, _unheard)
            self._clients.forget(self)

    def expire(self, now: float) -> None:
        """Give up what has waited for too long."""
        ttl = self._clients.limits.message_ttl
        while ttl is not None and self._kept and self._kept[0][0] + ttl <= now:
            self._kept.popleft()
            self._missed += 1


def _resolve(future: asyncio.Future[JsonObject], reply: JsonObject) -> None:
    if not future.done():
        future.set_result(reply)


def _unheard(reply: JsonObject) -> None:
    """Takes the reply that a farewell does not have."""


class HttpClients:
    """All HTTP clients that are members of rooms or have requests under way, by public id."""

    def __init__(
        self,
        verbs: Verbs,
        limits: ClientLimits,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
    ) -> None:
        self.verbs = verbs
        self.limits = limits
        self.encode = encode
        self.decode = decode
        self._clients: dict[str, HttpClient] = {}
        self._members = 0
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def members(self) -> int:
        """How many HTTP clients are in rooms on this node."""
        return self._members

    def connections(self) -> Mapping[str, HttpClient]:
        """The clients that are known now. Read only."""
        return self._clients

    def begin(self, id: str, remote_address: str, lasting: bool, known: bool) -> HttpClient:
        """The client that a request comes from; its `end` must follow."""
        client = self._clients.get(id) if known else None
        if client is None:
            client = HttpClient(self, id, remote_address, lasting)
            if known:
                self._clients[id] = client
        client.requests += 1
        return client

    def forget(self, client: HttpClient) -> None:
        """Keep nothing of a client that is no member."""
        if not client.joined and self._clients.get(client.connection.id) is client:
            del self._clients[client.connection.id]

    def join(self, client: HttpClient) -> None:
        """Make a client a member of the default room."""
        if self._closing:
            raise Refused(errors.SHUTTING_DOWN, Code.SHUTTING_DOWN)
        if not client.lasting:
            raise Refused(NOT_LASTING)
        if self._members >= self.limits.clients:
            raise Refused(TOO_MANY_CLIENTS, Code.TOO_MANY)
        if not self.verbs.admits(client.connection):
            raise Refused(errors.NOT_ALLOWED, Code.NOT_ALLOWED)
        client.joined = True
        client.seen = monotonic()
        self._members += 1
        self._clients[client.connection.id] = client
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause(), self._sweep)
        self.verbs.open(client.connection)

    def leave(self, client: HttpClient) -> None:
        """Take a client out of its rooms; its next request begins anew. Idempotent."""
        if not client.joined:
            return
        client.joined = False
        self._members -= 1
        if self._clients.get(client.connection.id) is client:
            del self._clients[client.connection.id]
        self.verbs.closed(client.connection)

    def close(self) -> None:
        """Let all members leave, and take no more. Idempotent."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for client in list(self._clients.values()):
            client.close(errors.SERVER_SHUTDOWN)

    def _pause(self) -> float:
        return min(SWEEP, self.limits.timeout / 4)

    def _sweep(self) -> None:
        now = monotonic()
        for client in list(self._clients.values()):
            if client.joined:
                client.expire(now)
                expires_at = client.connection.expires_at
                if expires_at is not None and expires_at <= time():
                    client.connection.expire()
                elif not client.requests and client.seen + self.limits.timeout <= now:
                    logger.debug("an HTTP client has gone", extra={"event": "httpClientGone"})
                    client.close(errors.CLIENT_QUIT)
        self._timer = None
        if self._members:
            self._timer = asyncio.get_running_loop().call_later(self._pause(), self._sweep)
