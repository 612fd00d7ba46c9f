"""The way out to one client of namespace "/"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ahd.codec import encode
from ahd.core.errors import Disconnect
from ahd.core.message import JsonObject

from .frames import encode_event
from .rooms import SocketGroup

if TYPE_CHECKING:
    from .socket import EngineSocket


class SocketLink:
    """A client's session, seen from the core."""

    __slots__ = ("socket",)

    def __init__(self, socket: EngineSocket) -> None:
        self.socket = socket

    def new_group(self) -> SocketGroup:
        return SocketGroup(self.socket.server.turn)

    def send(self, event: str, data: JsonObject) -> None:
        self.socket.put(b"42" + encode([event, data]))

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        self.socket.server.dismiss(self.socket, reason, retry_after=retry_after)

    def respond(self, reply: JsonObject) -> None:
        """The answer to a verb that asked for no acknowledgement: the event `response`. TypeError, ValueError: the
        reply has no JSON form, and nothing was sent."""
        socket = self.socket
        raw = socket.raw
        if raw is None or socket.server.turn.group is not None:
            socket.put(b"42" + encode(["response", reply]))
        else:
            raw.write(encode_event(encode(["response", reply])))

    def acknowledge(self, id: bytes, reply: JsonObject) -> None:
        """The answer to a verb that asked for an acknowledgement, as `respond`."""
        self.socket.put(b"43" + id + b"[" + encode(reply) + b"]")
