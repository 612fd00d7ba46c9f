"""What the tests of the front and of the WebSocket have in common: a site, and clients that speak bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from tornado import httpserver, web

from ahd.servers.decision import Accept, Decision
from ahd.servers.front import Front
from ahd.servers.httphead import Request
from ahd.servers.socketio import frames
from ahd.servers.socketio.websocket import WebSocket
from tests.harness.waiting import eventually_async
from tests.servers.socketio.test_frames import frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Recorder:
    """A handler that notes what it hears and echoes messages."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.heard: list[Any] = []
        self.lost: list[tuple[int, str]] = []
        self.full: list[bytes] = []
        self.drained = 0

    def on_text(self, data: bytes) -> None:
        self.heard.append(data)
        self.websocket.send_text(data)

    def on_binary(self, data: bytes) -> None:
        self.heard.append(data)
        self.websocket.send_binary(data)

    def last_words(self, code: int, reason: str) -> bytes:
        return b""

    def on_lost(self, code: int, reason: str) -> None:
        self.lost.append((code, reason))

    def on_full(self, frame: bytes) -> None:
        self.full.append(frame)

    def on_drain(self) -> None:
        self.drained += 1


class Hello(web.RequestHandler):
    def get(self) -> None:
        self.write({"path": self.request.uri, "protocol": self.request.protocol, "ip": self.request.remote_ip})

    def post(self) -> None:
        self.write(self.request.body)


class Big(web.RequestHandler):
    sent = 0

    async def get(self) -> None:
        Big.sent = 0
        for _ in range(int(self.get_argument("chunks"))):
            self.write(b"x" * 100_000)
            await self.flush()
            Big.sent += 1


class Slow(web.RequestHandler):
    """A poll that is held until its client is gone."""

    waiting = 0
    gone = 0

    async def get(self) -> None:
        Slow.waiting += 1
        self.left = asyncio.Event()
        await self.left.wait()
        self.finish()

    def on_connection_close(self) -> None:
        Slow.gone += 1
        self.left.set()


class Site:
    """A front and the application behind it. WebSockets at /ws."""

    def __init__(
        self,
        route: Callable[[Request], Decision | None] | None = None,
        handler: Callable[[WebSocket], Any] = Recorder,
        front: dict[str, Any] | None = None,
        **accept: Any,
    ) -> None:
        self.requests: list[Request] = []
        self.handlers: list[Any] = []
        self._handler = handler
        self._accept = accept
        application = web.Application([("/hello", Hello), ("/big", Big), ("/slow", Slow)], log_function=lambda _: None)
        self.http = httpserver.HTTPServer(application, max_header_size=20_000)
        self.front = Front(route or self.route, self.http, **(front or {}))
        self.port = 0

    def route(self, request: Request) -> Decision | None:
        self.requests.append(request)
        return Accept(self.opened, **self._accept) if request.path == "/ws" else None

    def opened(self, websocket: WebSocket) -> Any:
        self.handlers.append(self._handler(websocket))
        return self.handlers[-1]

    async def gone(self) -> None:
        """Wait until nobody is connected any more."""
        await eventually_async(lambda: self.front.connections == 0, what="no connections")
        assert not self.front.websockets
        assert not self.front._heads


@contextlib.asynccontextmanager
async def site(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Site]:
    """A site on a free port; at the end nothing of it is left."""
    here = Site(**options)
    try:
        ((_, here.port),) = await here.front.listen_tcp("127.0.0.1", 0, tls)
        yield here
    finally:
        here.front.close_listeners()
        here.front.abort_all()
        await here.gone()
        await here.http.close_all_connections()


class Client:
    """A connection that speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.send = writer.write

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One HTTP response: status, fields by lower-case name, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = b""
        if "content-length" in fields:
            body = await self.reader.readexactly(int(fields["content-length"]))
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        return int(head[0].split()[1]), fields, body

    async def frame(self) -> tuple[int, bytes]:
        """One frame of the server's: first byte, payload."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first, await self.reader.readexactly(size)

    async def closed(self) -> tuple[int, str]:
        """The close frame that ends the connection, and its end."""
        first, payload = await self.frame()
        assert first == 0x88, (first, payload)
        return frames.close_of(payload)

    async def ended(self) -> bytes:
        """Everything up to the end."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""

    def hang_up(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    def say(self, opcode: int, payload: bytes = b"", **options: Any) -> None:
        self.send(frame(opcode, payload, **options))

    async def upgrade(self, path: str = "/ws", **fields: str) -> dict[str, str]:
        self.send(handshake(path, **fields))
        status, got, _ = await self.answer()
        assert status == 101, (status, got)
        assert got["sec-websocket-accept"] == ACCEPT
        return got


@contextlib.asynccontextmanager
async def client(port: int, *, small: bool = False, **options: Any) -> AsyncIterator[Client]:
    """Connect; `small`: with a small receive buffer, so that the server's writes soon have to wait."""
    raw = socket.socket()
    if small:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=raw, **options, limit=4096 if small else 1 << 20)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def handshake(path: str = "/ws", *, method: str = "GET", version: str = "1.1", **fields: str | None) -> bytes:
    """An opening handshake; `fields` replace its header fields (None leaves one out)."""
    default = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**default, **fields}.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""]).encode("latin-1")
