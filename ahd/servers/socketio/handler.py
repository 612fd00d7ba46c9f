"""Who a WebSocket talks to."""

from __future__ import annotations

from typing import Final, Protocol


class Handler(Protocol):
    """Who a WebSocket talks to. All methods are called from the loop and must not block."""

    def on_text(self, data: bytes) -> None:
        """One whole text message: valid UTF-8, not decoded."""
        ...

    def on_binary(self, data: bytes) -> None:
        """One whole binary message."""
        ...

    def last_words(self, code: int, reason: str) -> bytes:
        """Encoded frames to send before the close frame, as the WebSocket closes of its own accord: the peer broke the
        protocol, or a handler raised. on_lost() follows."""
        ...

    def on_lost(self, code: int, reason: str) -> None:
        """The connection is over. Exactly once. `code` is the peer's close code (1005: it gave none), the code this
        side closed with (close(), or a violation of the protocol), or 1006 when the connection broke."""
        ...

    def on_full(self, frame: bytes) -> None:
        """write() has not taken `frame`: the peer does not read, and unsent bytes would pass high_water. Abort, or
        keep the frame in a bounded queue. Every later frame comes here as well, until on_drain()."""
        ...

    def on_drain(self) -> None:
        """The peer has read again after on_full(). Frames written now are taken until `paused` is true again."""
        ...


class Nobody:
    """The handler of a connection whose own has heard on_lost()."""

    __slots__ = ()

    def on_text(self, data: bytes) -> None: ...
    def on_binary(self, data: bytes) -> None: ...
    def last_words(self, code: int, reason: str) -> bytes:
        return b""

    def on_lost(self, code: int, reason: str) -> None: ...
    def on_full(self, frame: bytes) -> None: ...
    def on_drain(self) -> None: ...


NOBODY: Final = Nobody()
