"""Says to many: each is encoded once, and the says of one turn of the loop leave as one joined write for each member.

The order of everything one connection is sent stays the order of its production: what a connection is sent by itself
(`Turn.settle` before it) goes behind the says it already heard, a say for another room closes the turn of the first.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ahd.core.message import Say

from .frames import encode_text
from .socket import EngineSocket


class Turn:
    """The says of one room that have been said since the loop's last turn and have not yet left."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.group: SocketGroup | None = None
        self.frames: list[bytes] = []
        self.payloads: list[bytes] = []
        self.skips: list[EngineSocket | None] = []
        self._marks: dict[EngineSocket, int] = {}
        """How many of the says a socket is through with, for those that had to be served out of turn."""

    def add(self, group: SocketGroup, payload: bytes, frame: bytes, skip: EngineSocket | None) -> None:
        """A say for a group; it leaves at the end of the loop's turn at the latest."""
        if self.group is not group:
            if self.group is not None:
                self.flush()
            self.group = group
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._end, group)
        self.frames.append(frame)
        self.payloads.append(payload)
        self.skips.append(skip)

    def settle(self, socket: EngineSocket) -> None:
        """Give a socket the says that it has to hear before whatever comes next for it."""
        group = self.group
        if group is None or socket not in group.sockets:
            return
        start, end = self._marks.get(socket, 0), len(self.frames)
        if start < end:
            self._marks[socket] = end
            heard = [i for i in range(start, end) if self.skips[i] is not socket]
            if heard:
                socket.hear(b"".join([self.frames[i] for i in heard]), [self.payloads[i] for i in heard])

    def joined(self, socket: EngineSocket) -> None:
        """A socket came into the group whose turn it is: it did not hear what was said before."""
        self._marks[socket] = len(self.frames)

    def flush(self) -> None:
        """Send what has been said."""
        group = self.group
        if group is None:
            return
        apart = set(self._marks)
        apart.update(skip for skip in self.skips if skip is not None)
        for socket in apart:
            self.settle(socket)
        frames, payloads = self.frames, self.payloads
        self.group, self.frames, self.payloads, self.skips, self._marks = None, [], [], [], {}
        whole = frames[0] if len(frames) == 1 else b"".join(frames)
        for socket in group.sockets - apart if apart else tuple(group.sockets):
            raw = socket.raw
            if raw is not None and not raw.paused:
                raw.write(whole)
            else:
                socket.hear(whole, payloads)

    def _end(self, group: SocketGroup) -> None:
        if self.group is group:
            self.flush()


class SocketGroup:
    """The Socket.IO connections of this node that hear one room."""

    __slots__ = ("_turn", "sockets")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.sockets: set[EngineSocket] = set()

    def add(self, link: Any) -> None:
        socket = link.socket
        if socket not in self.sockets:
            self.sockets.add(socket)
            if self._turn.group is self:
                self._turn.joined(socket)

    def discard(self, link: Any) -> None:
        socket = link.socket
        if self._turn.group is self:
            self._turn.settle(socket)
        self.sockets.discard(socket)

    def deliver(self, say: Say, skip: Any) -> int:
        frame = say.frames.get("webSocket")
        if frame is None:
            payload = b'42["say",' + say.json + b"]"
            say.frames["packet"] = payload
            frame = say.frames["webSocket"] = encode_text(payload)
        else:
            payload = say.frames["packet"]
        skipped = None if skip is None else getattr(skip, "socket", None)
        self._turn.add(self, payload, frame, skipped)
        return len(self.sockets) - (skipped in self.sockets)

    def __len__(self) -> int:
        return len(self.sockets)
