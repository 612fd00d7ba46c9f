"""Requests that need no Tornado (actions, polling, files) on the loop's own connections: all of them, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from time import time
from typing import Protocol

from .http import HttpRequest, HttpResponse, origin_form
from .http1 import DirectConnection
from .httphead import Scheme

ClientOf = Callable[[str, Scheme, Mapping[str, str]], tuple[str, str]]
"""Peer address, scheme and headers in; the client's own address and scheme out, behind trusted proxies too."""


class Site(Protocol):
    """What is needed of the web server's site; `leaves` is whether it leaves any path to Tornado."""

    @property
    def leaves(self) -> bool: ...
    def left(self, path: str) -> bool: ...
    def max_body(self, path: str) -> int: ...
    def answer(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]: ...
    def refuse(self, request: HttpRequest, status: int, sentence: str) -> HttpResponse: ...


class Direct:
    """All connections that are served this way.

    `idle` seconds without a request, `slow` for a head, or for a body that makes no progress, end a connection. A head
    may have `max_head` bytes, as the front has it for the first one, and so may what else is no body, in one place.
    """

    def __init__(self, site: Site, client_of: ClientOf, idle: float, slow: float, max_head: int = 16384) -> None:
        self.site = site
        self.client_of = client_of
        self.idle = idle
        self.slow = slow
        self.max_head = max_head
        self.ending = False
        """Each answer is the last of its connection, unless it has `more`."""
        self._connections: set[DirectConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._date = b""

    def takes(self, head: bytes) -> bool:
        """Whether a request with this head is served here; the others are Tornado's."""
        if not self.site.leaves:
            return True
        target = head.split(b" ", 2)[1:2]
        return not target or not self.site.left(origin_form(target[0].decode("latin-1")).partition("?")[0])

    def serve(
        self,
        transport: asyncio.Transport,
        peer: str,
        scheme: Scheme,
        data: bytes,
        gone: Callable[[asyncio.Transport], None],
        back: Callable[[bytes], None],
    ) -> None:
        """Take over a connection of which `data` has been read. `back` gets it, with its bytes, when a later request
        is not for here; `gone` is called when it is lost."""
        connection = DirectConnection(self, transport, peer, scheme, gone, back)
        self._connections.add(connection)
        transport.set_protocol(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1.0, self._sweep)
        connection.data_received(data)

    def forget(self, connection: DirectConnection) -> None:
        """A connection is lost, or somebody else's again."""
        self._connections.discard(connection)

    def busy(self) -> bool:
        """Whether an answer, or the rest of a request, is still to come on any connection."""
        return any(connection.busy() for connection in self._connections)

    def date(self) -> bytes:
        """The Date field, made once a second."""
        now = int(time())
        if now != self._second:
            self._second = now
            self._date = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._date

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.too_late()
        self._timer = loop.call_later(1.0, self._sweep) if self._connections else None
