"""Engine.IO's sessions for a server with the admin UI: every packet is counted, and shown to who watches.

Used in place of Engine and EngineSocket when `monitor.adminUI` is on; without it the message path knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .engine import Engine
from .socket import EngineSocket

if TYPE_CHECKING:
    from .websocket import WebSocket

KINDS = ("rawConnection", "rawDisconnection", "packetsIn", "packetsOut", "bytesIn", "bytesOut")
"""What is counted, in the admin UI's words."""


class WatchedSocket(EngineSocket):
    """A session whose packets are counted."""

    __slots__ = ()

    def on_text(self, data: bytes) -> None:
        self.server.receive(self, data)  # nothing goes the short way, which passes no counter

    def put(self, payload: bytes) -> None:
        super().put(payload)
        self.server.left(self, payload)

    def put_binary(self, data: bytes) -> None:
        super().put_binary(data)
        self.server.left(self, data)

    def hear(self, frames: bytes, payloads: list[bytes]) -> None:
        super().hear(frames, payloads)
        for payload in payloads:
            self.server.left(self, payload)


class WatchedEngine(Engine):
    """`counts` by KINDS since the start. `watcher` is told of every text packet while it is not None: session, packet,
    and whether the client sent it. `reasons`: why the sessions that ended while somebody watched have ended."""

    socket_class = WatchedSocket

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.counts = dict.fromkeys(KINDS, 0)
        self.watcher: Callable[[EngineSocket, bytes, bool], None] | None = None
        self.reasons: dict[str, str] = {}

    def compresses(self, ws: WebSocket) -> bool:
        return True  # no ready-made frames: each packet passes `put` or `hear`

    def open(self, *args: Any, **options: Any) -> EngineSocket:
        self.counts["rawConnection"] += 1
        return super().open(*args, **options)

    def end(
        self, socket: EngineSocket, reason: str, code: int = 1000, text: str = "", last: Sequence[bytes] = ()
    ) -> None:
        if not socket.closed:
            for packet in last:
                self.left(socket, packet)
            self.counts["rawDisconnection"] += 1
            if self.watcher is not None:
                self.reasons[socket.sid] = reason
        super().end(socket, reason, code, text, last)

    def receive(self, socket: EngineSocket, data: bytes) -> None:
        if socket.inbox is None:  # what is postponed comes again
            self._came(socket, data)
        super().receive(socket, data)

    def receive_binary(self, socket: EngineSocket, data: bytes) -> None:
        if socket.inbox is None:
            self._came(socket, data)
        super().receive_binary(socket, data)

    def left(self, socket: EngineSocket, data: bytes) -> None:
        """A packet is on its way to a client."""
        self.counts["packetsOut"] += 1
        self.counts["bytesOut"] += len(data)
        if self.watcher is not None:
            self.watcher(socket, data, False)

    def _came(self, socket: EngineSocket, data: bytes) -> None:
        self.counts["packetsIn"] += 1
        self.counts["bytesIn"] += len(data)
        if self.watcher is not None:
            self.watcher(socket, data, True)
