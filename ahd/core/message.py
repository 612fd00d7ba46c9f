"""Requests, replies and says as they stand on the wire; the only module with its names (docs/protocol.md).

Every function returns a new JSON object. Times are integer milliseconds since the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ahd.core.errors import Disconnect

JsonObject = dict[str, Any]
Encode = Callable[[Any], bytes]
"""JSON text of a value as UTF-8 bytes; raises ValueError or TypeError when the value has none."""

ENTERED = "I have entered the room"
LEFT = "I have left the room"


def now_ms() -> int:
    """The time now, in integer milliseconds since the epoch."""
    return int(time.time() * 1000)


def ok(**fields: Any) -> JsonObject:
    """The reply to a verb that succeeded, without its count."""
    return {"context": "response", "status": "OK", **fields}


def failed(sentence: str) -> JsonObject:
    """The reply to a verb that failed: `error` and no `status`."""
    return {"context": "response", "error": sentence}


def room_status(room: str, members: list[str]) -> JsonObject:
    """What `roomView` tells of a room: `members` are public ids."""
    return {"room": room, "members": members, "membersCount": len(members)}


def welcome(text: str, room: str) -> JsonObject:
    """The first event of a connection, sent once it is in its room."""
    return {"welcome": text, "room": room, "context": "api"}


def goodbye(reason: str, retry_after_ms: int) -> JsonObject:
    """The say that comes before a drain closes the connection; `retry_after_ms` spreads the clients' return."""
    return {"bye": "bye", "reason": reason, "context": "api", "retryAfter": retry_after_ms}


def closing(why: Disconnect, retry_after_ms: int | None = None) -> JsonObject:
    """The last event before the server closes a connection: why, and whether (and when) to come back."""
    data: JsonObject = {"code": why.code, "reason": why.reason, "reconnect": why.again}
    if retry_after_ms is not None:
        data["retryAfter"] = retry_after_ms
    return {**data, "context": "api"}


class Say:
    """One message to a room, encoded at most once for each form in which a server sends it.

    `room` is where it is heard, `sender` the speaker's public id (None: the server itself), `data` the JSON object
    of the `say` event, or None for one that came from another node already encoded.
    """

    __slots__ = ("data", "frames", "json", "room", "sender")

    def __init__(self, room: str, sender: str | None, data: JsonObject | None, json: bytes) -> None:
        self.room = room
        self.sender = sender
        self.data = data
        self.json = json
        self.frames: dict[str, bytes] = {}
        """What servers have made of it so far, by the server's own name for the form."""

    @classmethod
    def spoken(cls, room: str, sender: str, message: Any, encode: Encode) -> Say:
        """What a client says. Raises what `encode` raises when the message has no JSON form."""
        data = {"message": message, "room": room, "from": sender, "context": "user", "sentAt": now_ms()}
        return cls(room, sender, data, encode(data))

    @classmethod
    def announced(cls, room: str, message: Any, encode: Encode) -> Say:
        """What the server itself says to a room: `context` is "api" and nobody is left out."""
        data = {"message": message, "room": room, "from": None, "context": "api", "sentAt": now_ms()}
        return cls(room, None, data, encode(data))
