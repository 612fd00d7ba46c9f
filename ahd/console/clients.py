"""The two ways to a server: lines over TCP, and Socket.IO."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import SplitResult

from ahd.codec import decode, encode

from .commands import to_event

Deliver = Callable[[str, Any], None]
"""Takes an event (welcome, response, say, …) and its data."""

SCHEMES = ("http", "https", "tcp", "tls")
LIMIT = 1 << 26
"""Bytes of the longest line that is read."""
TIMEOUT = 10.0
"""Seconds in which a server has to accept a connection."""


class ConnectError(Exception):
    """The server cannot be reached; the text is one line that says why."""


class Client(Protocol):
    """A connection to a server. `closed` is done when it has ended."""

    closed: asyncio.Future[None]

    async def open(self, deliver: Deliver) -> None:
        """Connect. Raises ConnectError."""

    async def send(self, line: str) -> None:
        """Say a line. Raises CommandError when it cannot be said."""

    async def close(self) -> None:
        """End it, if it has not ended. Idempotent."""


def client(url: SplitResult, transports: list[str], tls: ssl.SSLContext, token: str | None = None) -> Client:
    """The client for an address, which shows this token."""
    if url.scheme in ("tcp", "tls"):
        return LineClient(url, tls if url.scheme == "tls" else None, token)
    return SocketIoClient(url, transports, tls, token)


class LineClient:
    """Lines over TCP or TLS."""

    def __init__(self, url: SplitResult, tls: ssl.SSLContext | None, token: str | None = None) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host, self._port = url.hostname or "127.0.0.1", url.port or 5000
        self._tls = tls
        self._token = token
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, deliver: Deliver) -> None:
        opening = asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=LIMIT)
        try:
            reader, self._writer = await asyncio.wait_for(opening, TIMEOUT)
        except TimeoutError:
            raise ConnectError(f"no answer within {TIMEOUT:g} s") from None
        except OSError as error:
            raise ConnectError(reason(error)) from None
        if self._token is not None and self._writer is not None:
            await self._authenticate(reader, self._writer, deliver)
        self._reading = asyncio.create_task(self._read(reader, deliver))

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deliver: Deliver) -> None:
        """Show the token and wait for the reply to it; what else comes meanwhile is delivered."""
        writer.write(encode({"auth": {"token": self._token}}) + b"\r\n")
        try:
            while line := await asyncio.wait_for(reader.readline(), TIMEOUT):
                data = decode(line)
                event = _event(data)
                if event == "response":
                    if "error" in data:
                        raise ConnectError(data["error"])
                    return
                if event != "authentication":
                    deliver(event, data)
        except TimeoutError:
            raise ConnectError(f"no answer to the token within {TIMEOUT:g} s") from None
        except OSError as error:
            raise ConnectError(reason(error)) from None
        except ValueError:
            raise ConnectError("it does not speak lines of JSON") from None
        raise ConnectError("it has closed the connection")

    async def _read(self, reader: asyncio.StreamReader, deliver: Deliver) -> None:
        try:
            while line := await reader.readline():
                try:
                    data = decode(line)
                except ValueError:
                    data = line.decode(errors="replace").rstrip()
                deliver(_event(data), data)
        except (OSError, ValueError):
            pass  # it has ended, though not politely; or a line of more than LIMIT
        finally:
            if not self.closed.done():
                self.closed.set_result(None)

    async def send(self, line: str) -> None:
        assert self._writer is not None
        self._writer.write(line.strip("\r\n").encode("utf-8", "replace") + b"\r\n")
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


class SocketIoClient:
    """Socket.IO, with python-socketio's client. The path of the address is the server's `resource`."""

    def __init__(self, url: SplitResult, transports: list[str], tls: ssl.SSLContext, token: str | None = None) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._url = f"{url.scheme}://{url.netloc}"
        self._path = url.path.strip("/") or "socket.io"
        self._transports = transports
        self._tls = tls
        self._auth = None if token is None else {"token": token}
        self._session: Any = None
        self._sio: Any = None

    async def open(self, deliver: Deliver) -> None:
        try:
            import aiohttp
            import socketio
        except ImportError:
            raise ConnectError("http and https need aiohttp: pip install 'ahd[console]'") from None
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
        silent = logging.getLogger("ahd.console.silent")
        silent.setLevel(logging.CRITICAL + 1)
        self._sio = socketio.AsyncClient(
            reconnection=False, logger=silent, engineio_logger=silent, http_session=self._session, handle_sigint=False
        )
        # Its own default looks at no certificate that our session has been told of.
        self._sio.eio.ssl_verify = self._tls.verify_mode is not ssl.CERT_NONE

        async def on_event(event: str, *data: Any) -> None:
            deliver(event, data[0] if len(data) == 1 else list(data))

        async def on_disconnect(*_: Any) -> None:
            if not self.closed.done():
                self.closed.set_result(None)

        self._sio.on("*", on_event)
        self._sio.on("disconnect", on_disconnect)
        refusals: list[str] = []

        async def on_refusal(data: Any = None) -> None:
            if isinstance(data, dict) and isinstance(data.get("message"), str):
                refusals.append(data["message"])

        self._sio.on("connect_error", on_refusal)
        try:
            await self._sio.connect(
                self._url,
                socketio_path=self._path,
                transports=self._transports,
                auth=self._auth,
                wait_timeout=TIMEOUT,
            )
        except socketio.exceptions.ConnectionError as error:
            raise ConnectError(refusals[-1] if refusals else str(error) or "it does not speak Socket.IO") from None
        except (OSError, ValueError, aiohttp.ClientError) as error:
            raise ConnectError(reason(error)) from None

    async def send(self, line: str) -> None:
        event, data = to_event(line)
        if self._sio.connected:
            await self._sio.emit(event, data)

    async def close(self) -> None:
        if self._sio is not None and self._sio.connected:
            await self._sio.disconnect()
        if self._session is not None:
            await self._session.close()


def reason(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]


def _event(data: Any) -> str:
    """The Socket.IO name of what a line is."""
    if not isinstance(data, dict):
        return "text"
    if "welcome" in data:
        return "welcome"
    if data.get("context") == "response":
        return "response"
    if "authentication" in data:
        return "authentication"
    if "reconnect" in data:
        return "closing"
    return "say" if data.get("context") in ("user", "api") and "error" not in data else "error"
