"""Who is connected to which namespace and room: python-socketio's manager, without a task for each recipient.

What differs from the stock class: a client's own room is no dictionary of its own, the rooms of a client are known (it
leaves without a walk over all rooms), pending clients stand in sets, and ahd's rooms can be emitted to by the name
`room:NAME` (which cannot be entered that way: that is what `roomChange` and `listenToRoom` are for).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from socketio import AsyncManager
from socketio.packet import EVENT

if TYPE_CHECKING:
    from .socket import EngineSocket

PREFIX = "room:"
"""In front of the names of ahd's rooms where python-socketio's methods take a room."""


class ClientIndex(AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    """The clients of this node. `hearers(room)` tells the sockets that hear one of ahd's rooms, `gone(eio_sid)` is
    called when a client has left namespace "/"."""

    hearers: Callable[[str], Iterator[EngineSocket]]
    heard_by: Callable[[str], list[str]]
    gone: Callable[[str], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._joined: dict[tuple[str, str], set[Any]] = {}
        self._connecting: set[tuple[str, str]] = set()
        self._leaving: set[tuple[str, str]] = set()

    # -- clients

    def add(self, eio_sid: str, namespace: str) -> str | None:
        """A new client of a namespace, not yet connected: its sid, or None when the session has one there already."""
        if self.sid_from_eio_sid(eio_sid, namespace) is not None:
            return None
        sid: str = self.server.eio.generate_id()
        self.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
        self._connecting.add((namespace, sid))
        return sid

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        return self.add(eio_sid, namespace)

    def accept(self, sid: str, namespace: str) -> None:
        """A client has passed its connect handler."""
        self._connecting.discard((namespace, sid))

    async def connect(self, sid: str, namespace: str) -> str:
        self.accept(sid, namespace)
        return sid

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        return (namespace, sid) in self._connecting

    def is_connected(self, sid: str, namespace: str) -> bool:
        key = (namespace, sid)
        if key in self._connecting or key in self._leaving:
            return False
        return sid in self.rooms.get(namespace, {}).get(None, {})

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        self._leaving.add((namespace, sid))
        return self.eio_sid_from_sid(sid, namespace)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        eio_sid: str | None = self.rooms.get(namespace, {}).get(None, {}).get(sid)
        return eio_sid

    def basic_disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        key = (namespace, sid)
        eio_sid = self.eio_sid_from_sid(sid, namespace)
        for room in self._joined.pop(key, ()):
            self.basic_leave_room(sid, namespace, room)
        self.basic_leave_room(sid, namespace, None)
        self.callbacks.pop(sid, None)
        self._connecting.discard(key)
        self._leaving.discard(key)
        if namespace == "/" and eio_sid is not None:
            self.gone(eio_sid)

    # -- rooms

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        if room == sid:
            return
        if isinstance(room, str) and room.startswith(PREFIX):
            raise ValueError(f"{room}: the rooms of ahd are entered with roomChange and listenToRoom")
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if room is not None:
            self._joined.setdefault((namespace, sid), set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        super().basic_leave_room(sid, namespace, room)
        joined = self._joined.get((namespace, sid))
        if joined is not None:
            joined.discard(room)
            if not joined:
                del self._joined[namespace, sid]

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        if self.eio_sid_from_sid(sid, namespace) is None:
            return []
        heard = [PREFIX + name for name in self.heard_by(sid)] if namespace == "/" else []
        return [sid, *self._joined.get((namespace, sid), ()), *heard]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        names = room if hasattr(room, "__len__") and not isinstance(room, str) else [room]
        found: dict[str, str] = {}
        members = self.rooms.get(namespace, {})
        everybody = members.get(None, {})
        for name in names:
            if isinstance(name, str) and name.startswith(PREFIX) and namespace == "/":
                for socket in self.hearers(name.removeprefix(PREFIX)):
                    if socket.connection is not None:
                        found[socket.connection.id] = socket.sid
            elif name in everybody:
                found[name] = everybody[name]
            else:
                found.update(members.get(name, {}))
        yield from found.items()

    # -- sending

    async def emit(
        self, event: str, data: Any, namespace: str, room: Any = None, skip_sid: Any = None,
        callback: Any = None, to: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Emit to a client, a room or everybody. Encoded once, and without waiting for anybody."""
        if namespace not in self.rooms:
            return
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        sockets = self.server.eio.sockets
        ready: list[str | bytes] | None = None
        for sid, eio_sid in self.get_participants(namespace, to or room):
            socket = sockets.get(eio_sid)
            if sid in skipped or socket is None:
                continue
            if callback:
                ready = self._encoded(namespace, [event, *arguments], self._generate_ack_id(sid, callback))
            elif ready is None:
                ready = self._encoded(namespace, [event, *arguments], None)
            send(socket, ready)

    def _encoded(self, namespace: str, data: list[Any], id: int | None) -> list[str | bytes]:
        packet = self.server.packet_class(EVENT, namespace=namespace, data=data, id=id)
        encoded = packet.encode()
        return encoded if isinstance(encoded, list) else [encoded]


def send(socket: EngineSocket, encoded: list[str | bytes]) -> None:
    """Send one encoded Socket.IO packet: its text, and its attachments behind it."""
    for part in encoded:
        if isinstance(part, str):
            socket.put(b"4" + part.encode())
        else:
            socket.put_binary(bytes(part))
