"""A connection of the loop's own, presented to Tornado's HTTPServer as the stream it knows; and the way back for an
upgrade.

`TransportStream` is a Tornado stream over an asyncio transport instead of a file descriptor, so plain TCP, TLS and
unix sockets are one and the same. `Upgrades` looks at each request that reaches Tornado: a connection that was kept
alive and now asks for a WebSocket is detached and given back.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final

from tornado import httputil, iostream
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer

from .httphead import Headers, Request, Scheme

_UNREAD: Final = 262144  # bytes held for Tornado before the transport stops reading
_WRITE: Final = 65536
_INET: Final = SimpleNamespace(family=socket.AF_INET)
_UNIX: Final = SimpleNamespace(family=socket.AF_UNIX)
_LINGER: Final = 10.0  # seconds for what is unsent when Tornado closes


class TransportStream(iostream.IOStream, asyncio.Protocol):
    """One HTTP connection between the loop's transport and Tornado.

    Tornado reads when it wants to: what arrives before waits here, at most 256 KiB and one read. What Tornado writes
    waits in its own buffer while the transport has more than it can send, so its flow control holds.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        gone: Callable[[asyncio.Transport], None],
        *,
        peer: str,
        scheme: Scheme,
        max_buffer_size: int | None,
        read_chunk_size: int | None,
    ) -> None:
        # Not IOStream.__init__: that one wants a socket to switch to non-blocking. Of the attribute Tornado reads the
        # family, to know whether the address has an IP; the transport's own would be made anew for each connection.
        self.socket: Any = _UNIX if peer == "unix" else _INET
        iostream.BaseIOStream.__init__(self, max_buffer_size=max_buffer_size, read_chunk_size=read_chunk_size)
        self.peer = peer
        self.scheme: Scheme = scheme
        self._transport = transport
        self._gone = gone
        self._incoming = bytearray()
        self._stopped = False  # the transport is not reading
        self._eof = False
        self._lost = False
        #: The route has left the next request to Tornado: it is not asked again.
        self.asked = False
        self._full = False  # the transport does not take more
        self._timer: asyncio.TimerHandle | None = None

    # -- Tornado's side

    def fileno(self) -> int:
        """There is none to wait on."""
        return -1

    def get_fd_error(self) -> Exception | None:
        """Errors come from the transport."""
        return None

    def set_nodelay(self, value: bool) -> None:
        """The loop's transports always have TCP_NODELAY."""

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Take what has arrived: None when there is nothing, 0 at the end."""
        incoming = self._incoming
        size = min(len(buf), len(incoming))
        if size:
            buf[:size] = incoming[:size]
            del incoming[:size]
            if self._stopped and not incoming:
                self._stopped = False
                self._transport.resume_reading()
            return size
        return 0 if self._eof else None

    def write_to_fd(self, data: memoryview) -> int:
        """Hand a piece to the transport; BlockingIOError while it is full."""
        if self._full:
            raise BlockingIOError
        piece = bytes(data[:_WRITE])
        self._transport.write(piece)
        return len(piece)

    def close_fd(self) -> None:
        """Close behind what was written; a peer that does not read it gets ten seconds."""
        self._incoming.clear()
        if self._lost:
            return
        if self._stopped:
            self._stopped = False
            self._transport.resume_reading()  # else a TLS peer's goodbye would never be seen
        if self._timer is None and self._transport.get_write_buffer_size():
            self._timer = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)
        self._transport.close()

    def _add_io_state(self, state: int) -> None:
        """Events come through the protocol's methods: nothing to register."""

    def release(self) -> tuple[asyncio.Transport, bytes]:
        """Leave the transport to somebody else: it, and the bytes that were not used. Only for a stream Tornado has
        detached."""
        rest = bytes(self._read_buffer) + bytes(self._incoming)
        self._incoming.clear()
        self._closed = True
        if self._stopped:
            self._transport.resume_reading()
        return self._transport, rest

    # -- the transport's side

    def data_received(self, data: bytes) -> None:
        """Keep it, and wake Tornado if it waits."""
        if self._closed:
            return
        self._incoming += data
        if self.reading():
            self._handle_read_safely()
        if len(self._incoming) > _UNREAD and not self._stopped and not self._closed:
            self._stopped = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """As Tornado does it: the end is noticed once everything before it is read, and is the end in both
        directions."""
        self._eof = True
        if not self._closed and (self.reading() or not (self._incoming or self._read_buffer_size)):
            self._handle_read_safely()
        # A TLS transport closes itself whatever is returned, and warns when it is asked not to.
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell Tornado."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gone(self._transport)
        self._lost = True
        self._eof = True
        self.close(exc_info=exc or False)

    def pause_writing(self) -> None:
        """The transport is full."""
        self._full = True

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._full = False
        if self._write_buffer:
            self._handle_write()

    def _handle_read_safely(self) -> None:
        try:
            self._handle_read()
        except iostream.UnsatisfiableReadError as error:  # a head over Tornado's own limit
            self.close(exc_info=error)


def serve(http: HTTPServer, stream: TransportStream, data: bytes) -> None:
    """Give a connection to Tornado, with the bytes that were read already."""
    # handle_stream() reads this attribute, once and at once: the scheme is the listener's, and a server may have
    # several.
    http.protocol = stream.scheme
    stream._transport.set_protocol(stream)
    stream._incoming += data
    address: Any = stream._transport.get_extra_info("peername") if stream.peer != "unix" else "unix"
    http.handle_stream(stream, address)


class Upgrades(httputil.HTTPServerConnectionDelegate):
    """Around the application: `take(request)` is asked about each request that wants a WebSocket. It returns None to
    leave the request to the application, or what goes on with the connection once it is free."""

    def __init__(
        self,
        inner: httputil.HTTPServerConnectionDelegate,
        take: Callable[[Request], Callable[[TransportStream], None] | None],
    ) -> None:
        self._inner = inner
        self._take = take

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        """See Tornado."""
        return _Message(self._inner.start_request(server_conn, request_conn), request_conn, self._take)

    def on_close(self, server_conn: object) -> None:
        """See Tornado."""
        self._inner.on_close(server_conn)


class _Message(httputil.HTTPMessageDelegate):
    def __init__(
        self,
        inner: httputil.HTTPMessageDelegate,
        connection: httputil.HTTPConnection,
        take: Callable[[Request], Callable[[TransportStream], None] | None],
    ) -> None:
        self._connection = connection
        self._take = take
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.finish = inner.finish  # type: ignore[method-assign]
        self.on_connection_close = inner.on_connection_close  # type: ignore[method-assign]
        self._headers_received = inner.headers_received

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        if "Upgrade" in headers:
            connection = self._connection
            assert isinstance(start_line, httputil.RequestStartLine)
            assert isinstance(connection, HTTP1Connection)
            stream = connection.stream
            if isinstance(stream, TransportStream) and not stream.asked:
                go_on = self._take(_request(start_line, headers, stream))
                if go_on is not None:
                    connection.detach()
                    go_on(stream)
                    return None
            elif isinstance(stream, TransportStream):
                stream.asked = False
        return self._headers_received(start_line, headers)


def _request(line: httputil.RequestStartLine, headers: httputil.HTTPHeaders, stream: TransportStream) -> Request:
    fields = Headers()
    for name, value in headers.get_all():
        fields.add(name, value)
    return Request(line.method, line.path, line.version.removeprefix("HTTP/"), fields, stream.peer, stream.scheme)
