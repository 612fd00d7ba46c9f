"""Enter, leave, change, listen, silence, say and view, over Presence and Bus (docs/protocol.md).

A connection *hears* its current room and every room it listens to; it is a *member* of its current room alone.
Which links of this node hear a room is kept here, in one `Group` for each kind of server, so that a say is handed on
without a look-up for each member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ahd.core import errors
from ahd.core.connection import Connection
from ahd.core.errors import Refused
from ahd.core.interfaces import Group, Store
from ahd.core.message import ENTERED, LEFT, Encode, JsonObject, Say, room_status

CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160), *range(0xD800, 0xE000))))
"""What a room's name must not contain: control characters, and halves of surrogate pairs, which UTF-8 cannot carry."""


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """`announce`: whether coming and going are said; the lengths are in characters, bytes of JSON, and rooms."""

    announce: bool
    max_name_length: int
    max_message_size: int
    max_listening: int


class Rooms:
    """The rooms as this node sees them. Methods raise Refused for a client's mistake, StoreUnavailable otherwise."""

    def __init__(self, store: Store, encode: Encode, limits: RoomLimits) -> None:
        self._store = store
        self._encode = encode
        self.limits = limits
        self._groups: dict[str, dict[str, Group]] = {}
        self._here: dict[str, Connection] = {}
        self.says = 0
        """Says delivered on this node since the start, announcements included."""
        self.deliveries = 0
        """Links of this node to which they were handed."""

    def here(self) -> dict[str, Connection]:
        """The connections of this node that are in a room, by public id. Read only."""
        return self._here

    def name(self, room: Any) -> str:
        """A room's name as a client gave it, checked."""
        if room is None:
            raise Refused(errors.ROOM_REQUIRED)
        length = self.limits.max_name_length
        if not isinstance(room, str) or not 0 < len(room) <= length or not CONTROLS.isdisjoint(room):
            raise Refused(errors.ROOM_INVALID.format(max=length))
        return room

    async def enter(self, connection: Connection, room: str) -> None:
        """Put a new connection in its first room. When this returns it hears the room, and no say came before."""
        store = self._store
        await store.bus.subscribe(room)
        try:
            await store.presence.enter(room, connection.id, self._announcement(room, connection, ENTERED))
        except errors.StoreUnavailable:
            await store.bus.unsubscribe(room)
            raise
        connection.room = room
        self._here[connection.id] = connection
        if not connection.gone:
            self._hear(connection, room)

    async def change(self, connection: Connection, room: str) -> None:
        """Make another room the current one; the same room again changes nothing."""
        origin = connection.room
        if room == origin:
            return
        store = self._store
        await store.bus.subscribe(room)
        try:
            left = self._announcement(origin, connection, LEFT)
            entered = self._announcement(room, connection, ENTERED)
            await store.presence.move(connection.id, origin, room, left, entered)
        except errors.StoreUnavailable:
            await store.bus.unsubscribe(room)
            raise
        connection.room = room
        if not connection.gone:
            self._hear(connection, room)
        if not connection.hears(origin):
            self._deafen(connection, origin)
        await store.bus.unsubscribe(origin)

    async def leave(self, connection: Connection) -> None:
        """Take a connection that is going out of everything. Again is no error."""
        if self._here.pop(connection.id, None) is None:
            return
        self.hush(connection)
        store, room = self._store, connection.room
        await store.presence.leave(room, connection.id, self._announcement(room, connection, LEFT))
        await store.bus.unsubscribe(room)
        for other in connection.listening:
            await store.bus.unsubscribe(other)

    def hush(self, connection: Connection) -> None:
        """Hand a connection no more says, at once; the rest of its leaving may take its time."""
        self._deafen(connection, connection.room)
        for room in connection.listening:
            self._deafen(connection, room)

    async def listen(self, connection: Connection, room: str) -> None:
        """Hear a room without being a member of it."""
        if room in connection.listening:
            raise Refused(errors.ALREADY_LISTENING)
        if len(connection.listening) >= self.limits.max_listening:
            raise Refused(errors.TOO_MANY_ROOMS, errors.Code.TOO_MANY)
        await self._store.bus.subscribe(room)
        connection.listen(room)
        if not connection.gone:
            self._hear(connection, room)

    async def silence(self, connection: Connection, room: str) -> None:
        """Hear a listened-to room no more (a current room goes on being heard)."""
        if room not in connection.listening:
            raise Refused(errors.NOT_LISTENING)
        connection.silence(room)
        if not connection.hears(room):
            self._deafen(connection, room)
        await self._store.bus.unsubscribe(room)

    async def say(self, connection: Connection, message: Any) -> None:
        """Say a JSON value in the connection's current room, to everyone who hears it but the speaker."""
        if message is None:
            raise Refused(errors.MESSAGE_REQUIRED)
        limit = self.limits.max_message_size
        try:
            say = Say.spoken(connection.room, connection.id, message, self._encode)
            if len(say.json) > limit and len(self._encode(message)) > limit:
                raise Refused(errors.MESSAGE_TOO_LARGE)
        except (TypeError, ValueError, RecursionError):
            raise Refused(errors.MESSAGE_NOT_JSON) from None
        await self._store.bus.publish(say)

    async def announce(self, room: str, message: Any) -> None:
        """Say a JSON value in a room in the server's own name (`context` "api"); ValueError when it is not JSON."""
        await self._store.bus.publish(Say.announced(self.name(room), message, self._encode))

    async def view(self, room: str) -> JsonObject:
        """Who is in a room, on all nodes."""
        return room_status(room, await self._store.presence.members(room))

    def deliver(self, say: Say) -> None:
        """Hand a say to all on this node that hear its room but its speaker. Called by the bus; never raises."""
        groups = self._groups.get(say.room)
        if groups is None:
            return
        speaker = self._here.get(say.sender) if say.sender is not None else None
        skip = None if speaker is None else speaker.link
        self.says += 1
        for group in groups.values():
            self.deliveries += group.deliver(say, skip)

    def count(self) -> int:
        """How many rooms are heard on this node."""
        return len(self._groups)

    def group(self, room: str, kind: str) -> Group | None:
        """The links of one kind of server that hear a room on this node, if any."""
        groups = self._groups.get(room)
        return None if groups is None else groups.get(kind)

    def _announcement(self, room: str, connection: Connection, sentence: str) -> Say | None:
        if not self.limits.announce:
            return None
        return Say.spoken(room, connection.id, sentence, self._encode)

    def _hear(self, connection: Connection, room: str) -> None:
        groups = self._groups.get(room)
        if groups is None:
            groups = self._groups[room] = {}
        group = groups.get(connection.kind)
        if group is None:
            group = groups[connection.kind] = connection.link.new_group()
        group.add(connection.link)

    def _deafen(self, connection: Connection, room: str) -> None:
        groups = self._groups.get(room)
        group = groups.get(connection.kind) if groups is not None else None
        if groups is None or group is None:
            return
        group.discard(connection.link)
        if not len(group):
            del groups[connection.kind]
            if not groups:
                del self._groups[room]
