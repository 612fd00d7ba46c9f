"""The TCP server: actionHero's "socket" clients, in the same rooms and with the same actions as all others."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ahd.core.connection import Connection
from ahd.core.errors import CLOSING_CODES, Disconnect
from ahd.core.hits import Hits
from ahd.core.message import Encode
from ahd.core.pace import Bucket, Pace
from ahd.core.verbs import Verbs
from ahd.servers.crowd import Guests
from ahd.servers.drain import drain
from ahd.servers.tls import check, renew

from . import parameters
from .link import TcpLink

if TYPE_CHECKING:
    from ahd.auth.door import Door
    from ahd.config.model import Config

logger = logging.getLogger("ahd.tcp")

LISTEN_BACKLOG = 1024
CORK = 65536
"""Bytes that a link collects at most before it writes them though more may follow in the same turn."""
LAST_WORDS = 1.0
"""Seconds that a drain waits for clients to take the last of what they were sent."""
KEEP_ALIVE_PROBES = 3


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """What the file says. Sizes in bytes; `keep_alive` in seconds, 0 for none; `params` are every connection's first
    parameters; `drop_oldest` says what happens to a slow reader's says (else it is disconnected); `pace` bounds how
    fast a client may send; `handshake_timeout` is TLS's, in seconds."""

    max_line_length: int
    keep_alive: int
    send_buffer: int
    drop_oldest: bool
    params: Mapping[str, Any]
    handshake_timeout: float = 10.0
    pace: Pace | None = None


class TcpServer:
    """Accepts clients and keeps their links. `addresses` are the URLs that it listens on.

    `stop_accepting` leaves the clients alone, `drain` sends them away, `close` cuts off who is left.
    """

    name = "socket"

    def __init__(
        self, verbs: Verbs, host: str, port: int, settings: TcpSettings, encode: Encode,
        decode: Callable[[bytes], Any], tls: ssl.SSLContext | None = None, hits: Hits | None = None,
        door: Door | None = None,
    ) -> None:  # fmt: skip
        self.hits = Hits() if hits is None else hits
        self.guests: Guests[TcpLink] = Guests()
        """Says whether there is room for one more."""
        self.verbs = verbs
        self.door = door
        """Who may come in; None: everybody."""
        self.links: set[TcpLink] = set()
        self.settings = settings
        self.encode = encode
        self.decode = decode
        self.ended: Callable[[asyncio.Transport], None] | None = None
        """Called with the transport of each connection that has ended."""
        self.slow_consumers = 0
        """Connections closed because they read too slowly."""
        self.dropped = 0
        """Says dropped for connections that read too slowly."""
        self.closings = dict.fromkeys(CLOSING_CODES, 0)
        """Connections closed by the server, by the code of why."""
        self.secure = tls is not None
        self.addresses: list[str] = []
        self.passed: list[socket.socket] = []
        """Sockets that systemd has opened already; with any of them the address is not used."""
        self.loop: asyncio.AbstractEventLoop
        self._where = host, port
        self._tls = tls
        self._listeners: list[asyncio.AbstractServer] = []
        self._unflushed: list[TcpLink] = []
        self._left: asyncio.Event | None = None

    @property
    def settings(self) -> TcpSettings:
        """What holds for what happens from now on."""
        return self._settings

    @settings.setter
    def settings(self, settings: TcpSettings) -> None:
        self._settings = settings
        self.cork = min(CORK, settings.send_buffer // 4)
        for link in self.links:
            link.connection.pace(self._bucket())

    def _bucket(self) -> Bucket | None:
        return None if self._settings.pace is None else Bucket(self._settings.pace)

    def check(self, config: Config) -> None:
        """Raises OSError when the certificate's files cannot be used."""
        check(self._tls, config.tcp_server)

    def configure(self, config: Config, params: Mapping[str, Any]) -> None:
        """Take up other limits, and what is in the certificate's files now."""
        renew(self._tls, config.tcp_server)
        limits = config.limits
        self.settings = replace(
            self._settings,
            send_buffer=limits.send_buffer,
            drop_oldest=limits.slow_consumer == "dropOldest",
            pace=Pace.of(limits.message_rate, limits.message_burst, limits.refused_messages),
            params=params,
        )

    async def start(self) -> None:
        """Listen on every address of the host; port 0 takes a free one. Raises OSError."""
        self.loop = asyncio.get_running_loop()
        self.verbs.table.update(parameters.table(lambda: self.settings.params, self.settings.max_line_length))
        for sock in self.passed:
            sock.setblocking(False)
            await self._listen(sock=sock)
        if not self.passed:
            host, port = self._where
            await self._listen(host=host, port=port, reuse_address=True)

    async def _listen(self, **where: Any) -> None:
        if self._tls is not None:
            where["ssl_handshake_timeout"] = self.settings.handshake_timeout
        unix = "sock" in where and where["sock"].family == socket.AF_UNIX
        create: Callable[..., Any] = self.loop.create_unix_server if unix else self.loop.create_server
        listener = await create(lambda: TcpLink(self), ssl=self._tls, backlog=LISTEN_BACKLOG, **where)
        self._listeners.append(listener)
        scheme = "tcp" if self._tls is None else "tls"
        if unix:
            self.addresses.append(f"{scheme}+unix:{where['sock'].getsockname()}")
            return
        for bound in listener.sockets:
            host, port = bound.getsockname()[:2]
            self.addresses.append(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    def stop_accepting(self) -> None:
        """Let nobody in any more."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    async def drain(self, seconds: float, patience: float) -> None:
        """Say goodbye to everybody within `seconds`, to those who are owed a reply within `patience` more."""
        await drain(list(self.links), seconds, patience, TcpLink.busy, TcpLink.dismiss)
        await self._gone(LAST_WORDS)

    async def close(self) -> None:
        """Cut off who is left, and return when they have gone."""
        self.stop_accepting()
        for link in list(self.links):
            link.abort()
        await self._gone(LAST_WORDS)

    async def _gone(self, timeout: float) -> None:
        """Return when no link is left, or after so many seconds."""
        self._left = asyncio.Event()
        if self.links:
            try:
                await asyncio.wait_for(self._left.wait(), timeout)
            except TimeoutError:
                pass

    # -- for the links

    def opened(self, link: TcpLink, transport: asyncio.Transport) -> None:
        """A client is there, or turned away; whether it is let in is its link's to find out."""
        settings = self.settings
        # What does not fit into one half waits in the other, where it may still be dropped.
        transport.set_write_buffer_limits(high=settings.send_buffer // 2)
        if settings.keep_alive:
            _keep_alive(transport.get_extra_info("socket"), settings.keep_alive)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        why = self.guests.enter(link, address)
        if why is not None:
            link.turn_away(why)
            return
        connection = Connection(secrets.token_urlsafe(15), "socket", address, link, settings.params)
        connection.sticky = True
        link.connection = connection
        connection.pace(self._bucket())
        self.links.add(link)

    def lost(self, link: TcpLink) -> None:
        """A client has gone."""
        self.guests.leave(link)
        if link not in self.links:
            return  # it was turned away
        self.links.discard(link)
        if self._left is not None and not self.links:
            self._left.set()
        self.verbs.closed(link.connection)

    def flush_soon(self, link: TcpLink) -> None:
        """Let a link write what it collects in this turn of the loop."""
        if not self._unflushed:
            self.loop.call_soon(self._flush)
        self._unflushed.append(link)

    def _flush(self) -> None:
        links, self._unflushed = self._unflushed, []
        for link in links:
            link.flush()

    def count_closing(self, reason: Disconnect) -> None:
        """A client is told that it is closed."""
        self.closings[reason.code] = self.closings.get(reason.code, 0) + 1

    def too_slow(self, link: TcpLink) -> None:
        """A client is about to be cut off for not reading."""
        self.slow_consumers += 1
        logger.warning(
            "%s reads too slowly: more than %d bytes are unsent",
            link.connection.id,
            self.settings.send_buffer,
            extra={"event": "slowConsumer", "connection": link.connection.id},
        )

    def count_dropped(self, link: TcpLink) -> None:
        """One say was dropped for it."""
        self.dropped += 1
        if link.dropped == 1:
            logger.warning(
                "%s reads too slowly: says are dropped",
                link.connection.id,
                extra={"event": "saysDropped", "connection": link.connection.id},
            )


def _keep_alive(sock: Any, seconds: int) -> None:
    """Let the kernel find out within about twice this time that a silent client's machine is gone."""
    interval = max(1, seconds // KEEP_ALIVE_PROBES)
    options = {
        "SO_KEEPALIVE": (socket.SOL_SOCKET, 1),
        "TCP_KEEPIDLE": (socket.IPPROTO_TCP, seconds),
        "TCP_KEEPINTVL": (socket.IPPROTO_TCP, interval),
        "TCP_KEEPCNT": (socket.IPPROTO_TCP, KEEP_ALIVE_PROBES),
        # Bounds the same for what was sent and never acknowledged; milliseconds.
        "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, (seconds + interval * KEEP_ALIVE_PROBES) * 1000),
    }
    for name, (level, value) in options.items():
        if hasattr(socket, name):
            try:
                sock.setsockopt(level, getattr(socket, name), value)
            except OSError:
                # Gone already; its end is on its way.
                return
