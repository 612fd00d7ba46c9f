"""What a route says about a request for a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .httphead import Request
from .socketio.deflate import DeflateOptions
from .socketio.handler import Handler
from .socketio.websocket import WebSocket


@dataclass(frozen=True, slots=True)
class Accept:
    """The upgrade is welcome. `on_open` is called once the response is on its way, and returns the connection's
    handler.

    `max_size`: the largest message, bytes. `high_water`: the most unsent bytes. `headers` go into the response.
    `close_timeout`: seconds a close handshake may take.
    """

    on_open: Callable[[WebSocket], Handler]
    max_size: int = 1_000_000
    high_water: int = 1 << 20
    headers: Sequence[tuple[str, str]] = ()
    deflate: DeflateOptions | None = None
    close_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Refuse:
    """The upgrade is refused with this response, and the connection closed. Plain text unless `headers` say
    otherwise."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


Decision = Accept | Refuse
Route = Callable[[Request], Decision | None]
"""None: the request is no matter of this route."""
