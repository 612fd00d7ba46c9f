"""The listening sockets. A WebSocket that `route` accepts stays on the loop's own transport; everything else goes to
Tornado.

    accept -> _Head reads one request's head -> WebSocket                      (route said Accept)
                                             -> a refusal, and the end         (route said Refuse, or the handshake is
                                             bad) -> TransportStream -> HTTPServer  (everything else, with the bytes
                                             read so far)

A connection that Tornado keeps alive comes back the same way when a later request on it asks for a WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tornado import httputil
from tornado.httpserver import HTTPServer

from ahd.core.errors import CROWDED_ADDRESS, Disconnect
from ahd.core.hits import Hits

from . import httphead
from .crowd import RETRY_AFTER, Guests
from .decision import Accept, Decision, Refuse, Route
from .direct import Direct
from .httphead import HeadError, Request, Scheme
from .httpstream import TransportStream, Upgrades, serve
from .socketio.deflate import Deflate, negotiate
from .socketio.websocket import WebSocket
from .unix import bind_unix

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_LINGER: Final = 2.0  # seconds a refused client may go on sending before it is cut off
_FIRST_REQUEST: Final = 1.0  # seconds a drain waits for the request of who has just connected
_LOOK_AGAIN: Final = 0.02
_MOST_REFUSED: Final = 1000  # connections without a head yet, beyond which one too many is closed unanswered
_HEAD_TOO_BIG: Final = b"the request's head is too big\n"
_HEAD_TOO_SLOW: Final = b"the request's head did not come in time\n"


class Front:
    """The listeners, and every connection that came through them.

    `route` is asked about each request with `Upgrade: websocket`, before the handshake is checked; None leaves it to
    Tornado. `http` is the server for everything else; its application must be an HTTPServerConnectionDelegate.
    `direct` serves what it takes in Tornado's place.
    `head_timeout`: seconds for a connection's first head, which may have `max_head` bytes. `guests` says whether
    there is room for one more.
    """

    def __init__(
        self,
        route: Route,
        http: HTTPServer,
        direct: Direct | None = None,
        *,
        head_timeout: float = 10.0,
        max_head: int = 16384,
        guests: Guests[asyncio.Transport] | None = None,
        hits: Hits | None = None,
    ) -> None:
        if not isinstance(http.request_callback, httputil.HTTPServerConnectionDelegate):
            raise TypeError("the HTTPServer must have a Tornado application")
        http.request_callback = Upgrades(http.request_callback, self._take)
        self._route = route
        self._http = http
        self._direct = direct
        self._head_timeout = head_timeout
        self._max_head = max_head
        self._servers: list[asyncio.AbstractServer] = []
        self._paths: list[tuple[str, int]] = []
        self._hits = Hits() if hits is None else hits
        self._transports: Guests[asyncio.Transport] = Guests() if guests is None else guests
        self._heads: dict[_Head, float] = {}  # who still owes a head, or is to hang up: when its time is over
        self._sweep: asyncio.TimerHandle | None = None
        #: Called with the transport of each connection that has ended: of a WebSocket, of any other.
        self.ended_websocket: Callable[[asyncio.Transport], None] | None = None
        self.ended: Callable[[asyncio.Transport], None] | None = None
        #: Requests that were answered here with an error, by its status.
        self.refused: dict[int, int] = {}
        #: The open WebSockets.
        self.websockets: set[WebSocket] = set()

    # -- listeners

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> list[tuple[str, int]]:
        """Listen on every address of `host`; port 0 takes a free one. The addresses. Raises OSError."""
        server = await asyncio.get_running_loop().create_server(
            lambda: _Head(self, False, tls is not None), host, port, reuse_address=True, **self._options(tls)
        )
        self._servers.append(server)
        return [bound.getsockname()[:2] for bound in server.sockets]

    async def listen_unix(self, path: str, tls: ssl.SSLContext | None = None, mode: int = 0o660) -> None:
        """Listen on a unix socket; one that nobody listens on any more is replaced. Raises OSError, FileExistsError
        for what is no socket."""
        sock = bind_unix(path, mode)
        self._paths.append((path, os.stat(path).st_ino))
        await self.listen_socket(sock, tls)

    async def listen_socket(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a bound stream socket, TCP or unix, such as systemd hands over."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        unix = sock.family == socket.AF_UNIX
        create: Callable[..., Any] = loop.create_unix_server if unix else loop.create_server
        # From Python 3.13 on a server removes its unix socket when it closes, also one that is systemd's.
        keep = {"cleanup_socket": False} if unix and sys.version_info >= (3, 13) else {}
        server = await create(lambda: _Head(self, unix, tls is not None), sock=sock, **self._options(tls), **keep)
        self._servers.append(server)

    def _options(self, tls: ssl.SSLContext | None) -> dict[str, Any]:
        if tls is None:
            return {"backlog": _BACKLOG}
        timeout = self._head_timeout
        return {"backlog": _BACKLOG, "ssl": tls, "ssl_handshake_timeout": timeout, "ssl_shutdown_timeout": _LINGER}

    def close_listeners(self) -> None:
        """Accept nobody any more. Open connections live on."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        paths, self._paths = self._paths, []
        for path, inode in paths:
            try:
                if os.stat(path).st_ino == inode:  # not another process's by now
                    os.unlink(path)
            except OSError:
                pass

    # -- connections

    @property
    def connections(self) -> int:
        """How many are open, of all kinds."""
        return len(self._transports)

    async def drain(self, patience: float) -> None:
        """End each connection behind the answer to what it asks. Returns when nobody is owed one any more, or after
        `patience` seconds; who has connected and not asked yet has a second for it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        direct = self._direct
        if direct is not None:
            direct.ending = True
        while loop.time() < now + patience:
            owing = bool(self._heads) and loop.time() < now + _FIRST_REQUEST
            if not owing and (direct is None or not direct.busy()):
                break
            await asyncio.sleep(_LOOK_AGAIN)

    def abort_all(self) -> None:
        """Cut every connection off."""
        for transport in list(self._transports):
            transport.abort()

    def transports(self) -> Iterator[tuple[bool, asyncio.Transport]]:
        """The open connections, and whether each is a WebSocket."""
        websockets = {websocket._transport for websocket in self.websockets}
        for transport in self._transports:
            yield transport in websockets, transport

    def _lost(self, transport: asyncio.Transport) -> None:
        if self.ended is not None:
            self.ended(transport)
        self._transports.leave(transport)

    def _lost_websocket(self, websocket: WebSocket) -> None:
        if self.ended_websocket is not None:
            self.ended_websocket(websocket._transport)
        self.websockets.discard(websocket)
        self._transports.leave(websocket._transport)

    def _owe(self, head: _Head, seconds: float) -> None:
        """Cut `head` off after `seconds`, unless it is gone before. One timer for all."""
        loop = asyncio.get_running_loop()
        self._heads[head] = loop.time() + seconds
        if self._sweep is None:
            self._sweep = loop.call_later(min(1.0, seconds), self._swept)

    def _swept(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for head in [head for head, end in self._heads.items() if end <= now]:
            del self._heads[head]
            head.too_late()
        rest = min(self._heads.values(), default=None)
        self._sweep = None if rest is None else loop.call_later(min(1.0, max(rest - now, 0.01)), self._swept)

    # -- requests

    def _decide(self, request: Request) -> Decision | None:
        """Ask the route."""
        try:
            return self._route(request)
        except Exception:
            _log.exception("the route failed")
            return Refuse(500, b"internal server error\n")

    def _take(self, request: Request) -> Callable[[TransportStream], None] | None:
        """For a request that Tornado has read."""
        if not request.upgrade:
            return None
        decision = self._decide(request)
        if decision is None:
            return None

        def go_on(stream: TransportStream) -> None:
            transport, rest = stream.release()
            head = _Head(self, stream.peer == "unix", stream.scheme == "https")
            transport.set_protocol(head)
            head.resume(transport, stream.peer)
            head.decided(request, decision, rest)

        return go_on


class _Head(asyncio.Protocol):
    """A new connection until it is known whose it is; and a refused one until it is gone."""

    __slots__ = ("_data", "_front", "_peer", "_refused", "_scheme", "_too_many", "_transport", "_unix")

    def __init__(self, front: Front, unix: bool, tls: bool) -> None:
        self._front = front
        self._unix = unix
        self._scheme: Scheme = "https" if tls else "http"
        self._data: bytes | bytearray = b""
        self._refused = False
        self._too_many: Disconnect | None = None
        self._peer = "unix"
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        front = self._front
        if not self._unix:
            # Only a unix listener's peers may be called "unix": a TCP peer that is gone already has no name.
            name = transport.get_extra_info("peername")
            if not name:
                transport.abort()  # type: ignore[attr-defined]
                return
            self._peer = name[0]
        why = front._transports.enter(self._transport, self._peer)
        if why is None:
            front._owe(self, front._head_timeout)
        elif len(front._heads) < _MOST_REFUSED:
            # Told once it asks: there are clients that do not take an answer before they have asked.
            self._too_many = why
            front._owe(self, _LINGER)
        else:
            self._transport.abort()

    def resume(self, transport: asyncio.Transport, peer: str) -> None:
        """Take a connection back from Tornado."""
        self._transport = transport
        self._peer = peer

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._too_many is not None:
            status = 429 if self._too_many is CROWDED_ADDRESS else 503
            self._refuse(status, f"{self._too_many.reason}\n".encode(), [("Retry-After", str(RETRY_AFTER))])
            return
        before = len(self._data)
        if before:
            assert isinstance(self._data, bytearray)
            self._data += data
            end = httphead.end_of(self._data, before)
        else:
            end = httphead.end_of(data)
            self._data = data if end >= 0 else bytearray(data)
        front = self._front
        if end > front._max_head or (end < 0 and len(self._data) > front._max_head):
            front._hits.hit("headSize", "the head of a request from %s is too large", self._peer)
            self._refuse(431, _HEAD_TOO_BIG)
            return
        if end < 0:
            return
        data = bytes(self._data)
        head = data[:end]
        if not httphead.may_upgrade(head):
            self._to_http(data)
            return
        try:
            request = httphead.parse(head, self._peer, self._scheme)
        except HeadError as error:
            self._refuse(error.status, f"{error.reason}\n".encode())
            return
        decision = front._decide(request) if request.upgrade else None
        if decision is None:
            self._to_http(data, asked=request.upgrade)
        else:
            self.decided(request, decision, data[end:])

    def decided(self, request: Request, decision: Decision, rest: bytes) -> None:
        """Do what the route said."""
        if isinstance(decision, Refuse):
            self._refuse(decision.status, decision.body, decision.headers)
            return
        try:
            key = httphead.check_handshake(request)
        except HeadError as error:
            self._refuse(error.status, f"{error.reason}\n".encode(), error.headers)
            return
        self._accept(request, decision, key, rest)

    def _accept(self, request: Request, accept: Accept, key: str, rest: bytes) -> None:
        front = self._front
        front._heads.pop(self, None)
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)]
        codec: Deflate | None = None
        if accept.deflate is not None:
            negotiated = negotiate(request.headers.get("sec-websocket-extensions", ""), accept.deflate)
            if negotiated is not None:
                fields.append(("Sec-WebSocket-Extensions", negotiated[0]))
                codec = negotiated[1]
        websocket = WebSocket(
            self._transport,
            request,
            front._lost_websocket,
            max_size=accept.max_size,
            high_water=accept.high_water,
            close_timeout=accept.close_timeout,
            deflate=codec,
        )
        response = httphead.response(101, [*fields, *accept.headers])
        front.websockets.add(websocket)
        self._transport.set_protocol(websocket)
        websocket.start(accept.on_open, response, rest)

    def _to_http(self, data: bytes, asked: bool = False) -> None:
        front = self._front
        front._heads.pop(self, None)
        if front._direct is not None and front._direct.takes(data):
            front._direct.serve(self._transport, self._peer, self._scheme, data, front._lost, self._again)
            return
        http = front._http
        stream = TransportStream(
            self._transport,
            front._lost,
            peer=self._peer,
            scheme=self._scheme,
            max_buffer_size=http.max_buffer_size,
            read_chunk_size=http.read_chunk_size,
        )
        stream.asked = asked
        serve(http, stream, data)

    def _again(self, data: bytes) -> None:
        """A later request of a connection that was served directly: look whose it is."""
        self._data = b""
        self._transport.set_protocol(self)
        self._front._owe(self, self._front._head_timeout)
        self.data_received(data)

    def _refuse(self, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer and end. A client that still sends is listened to for a moment: closing with data unread would reset
        the connection, and could take the answer with it."""
        self._refused = True
        self._front.refused[status] = self._front.refused.get(status, 0) + 1
        self._data = b""
        self._transport.write(httphead.refusal(status, body, headers))
        self._front._owe(self, _LINGER)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def too_late(self) -> None:
        """The time for the head, or for hanging up, is over."""
        if self._refused or not self._data:
            self._transport.abort()
        else:
            self._front._hits.hit("headTimeout", "the head of a request from %s does not come", self._peer)
            self._refuse(408, _HEAD_TOO_SLOW)

    def eof_received(self) -> None:
        """Gone before it said anything whole: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._front._heads.pop(self, None)
        self._front._lost(self._transport)
