"""The server's side of the Socket.IO Admin UI: namespace /admin, with the events of @socket.io/admin-ui.

python-socketio's own `instrument()` changes classes for the whole process and sees nothing of ahd's message path, so
that its figures would be wrong. This one reads the figures from ahd's sessions and rooms: once a second while somebody
watches what has changed since, and every packet from `watched.WatchedEngine`. It shows the node it is on.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from socketio.exceptions import ConnectionRefusedError

from ahd.core.errors import Refused, StoreUnavailable

from .clients import PREFIX, ClientIndex, send
from .watched import KINDS, WatchedEngine

if TYPE_CHECKING:
    from ahd.core.rooms import Rooms

    from .server import SocketIO
    from .socket import EngineSocket

logger = logging.getLogger("ahd.admin")

NAMESPACE = "/admin"
REFUSAL = "invalid credentials"
"""What the official page looks for, to ask for the password again."""
PATIENCE = 1.0
"""Seconds for which a wrong password waits for its refusal."""
INTERVAL = 1.0
STATS_EVERY = 2
"""Intervals between two `server_stats`."""
COMMANDS = {"EMIT": "emit", "JOIN": "join", "LEAVE": "leave", "DISCONNECT": "_disconnect"}
"""Features, as the page calls them, and the event that asks for each; MJOIN and so on ask for the same of many."""
PRIVATE = frozenset({"cookie", "authorization", "proxy-authorization"})
"""Headers that are not shown."""

PRIVATE_QUERY = frozenset({"access_token", "sid", "token"})

Key = tuple[str, str]
"""Namespace and public id."""


class Seen(NamedTuple):
    """A client of a namespace as it was last told of."""

    session: str
    transport: str
    rooms: frozenset[str]


class AdminUI:
    """`settings` are those of `monitor.adminUI`. Nothing is done until somebody has come in."""

    def __init__(self, sio: SocketIO, rooms: Rooms, settings: Mapping[str, Any]) -> None:
        assert isinstance(sio.engine, WatchedEngine)
        self._sio = sio
        self._engine: WatchedEngine = sio.engine
        self._manager: ClientIndex = sio.manager
        self._rooms = rooms
        self._username = settings["username"].reveal().encode()
        self._password = settings["password"].reveal().encode()
        self._details = settings["mode"] == "development"
        self._commands = self._details and not settings["readOnly"]
        self._started = time.time()
        self._greeted: set[str] = set()
        self._told: dict[Key, Seen] = {}
        self._counted = dict(self._engine.counts)
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        sio.admission.elsewhere.add(NAMESPACE)
        sio.on("connect", self._connect, namespace=NAMESPACE)
        if self._commands:
            sio.on("emit", self._emit, namespace=NAMESPACE)
            sio.on("join", self._join, namespace=NAMESPACE)
            sio.on("leave", self._leave, namespace=NAMESPACE)
            sio.on("_disconnect", self._disconnect, namespace=NAMESPACE)

    # -- coming in

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        address = environ.get("REMOTE_ADDR", "")
        if not self._allowed(auth):
            logger.warning("%s: a wrong user or password for the admin UI", address,
                           extra={"event": "adminRefused", "address": address})  # fmt: skip
            await asyncio.sleep(PATIENCE)
            raise ConnectionRefusedError(REFUSAL)
        logger.info("%s uses the admin UI", address, extra={"event": "adminConnected", "address": address})
        if self._timer is None:
            self._ticks = 0
            self._told = self._now()
            self._counted = dict(self._engine.counts)
            self._engine.reasons.clear()
        else:
            self._timer.cancel()
        # It is told once it has read that it is connected.
        self._timer = asyncio.get_running_loop().call_later(0.05, self._tick)

    def _allowed(self, auth: Any) -> bool:
        given = auth if isinstance(auth, dict) else {}
        username, password = (str(given.get(name, "")).encode("utf-8", "surrogatepass")
                              for name in ("username", "password"))  # fmt: skip
        # Both are compared in any case, in a time that does not tell how much of them was right.
        right_name = hmac.compare_digest(username, self._username)
        return hmac.compare_digest(password, self._password) and right_name

    # -- what is told

    def _tick(self) -> None:
        admins = {sid for sid, _ in self._manager.get_participants(NAMESPACE, None)}
        here = {sid for sid in admins if self._manager.is_connected(sid, NAMESPACE)}
        if not admins:
            self._timer = None
            self._engine.watcher = None
            self._greeted.clear()
            self._told.clear()
            return
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)
        if self._details:
            self._engine.watcher = self._packet
            self._tell_changes()
        new = here - self._greeted
        self._greeted = here
        for sid in new:
            self._greet(sid)
        if new or self._ticks % STATS_EVERY == 0:
            self._tell("server_stats", self._stats())
        self._ticks += 1

    def _greet(self, sid: str) -> None:
        features = ["AGGREGATED_EVENTS", *(["ALL_EVENTS"] if self._details else [])]
        if self._commands:
            features += [*COMMANDS, *(f"M{name}" for name in COMMANDS if name != "EMIT")]
        self._tell("config", {"supportedFeatures": features}, to=sid)
        if self._details:
            self._tell("all_sockets", [self._shown(key) for key in self._told], to=sid)

    def _tell(self, event: str, *data: Any, to: str | None = None) -> None:
        """Send an event to those who watch here, or to one of them. Not to other nodes: each tells of itself."""
        encoded = self._manager._encoded(NAMESPACE, [event, *data], None)
        for sid, eio_sid in self._manager.get_participants(NAMESPACE, to):
            socket = self._engine.sockets.get(eio_sid)
            if socket is not None and sid in self._greeted:
                send(socket, encoded)

    def _stats(self) -> dict[str, Any]:
        sockets = self._engine.sockets.values()
        counts = dict(self._engine.counts)
        moment = int(time.time()) * 1000
        more = {kind: counts[kind] - self._counted[kind] for kind in KINDS}
        self._counted = counts
        host = platform.node()
        return {
            "serverId": f"{host}#{os.getpid()}",
            "hostname": host,
            "pid": os.getpid(),
            "uptime": time.time() - self._started,
            "clientsCount": len(sockets),
            "pollingClientsCount": sum(socket.ws is None for socket in sockets),
            "aggregatedEvents": [
                {"timestamp": moment, "type": kind, "count": count} for kind, count in more.items() if count
            ],
            "namespaces": [
                {"name": name, "socketsCount": sum(1 for _ in self._manager.get_participants(name, None))}
                for name in sorted(self._manager.get_namespaces())
            ],
        }

    def _now(self) -> dict[Key, Seen]:
        """Every client of every namespace here."""
        found = {}
        for namespace in list(self._manager.get_namespaces()):
            for sid, eio_sid in self._manager.get_participants(namespace, None):
                socket = self._engine.sockets.get(eio_sid)
                if socket is not None and self._manager.is_connected(sid, namespace):
                    rooms = frozenset(self._manager.get_rooms(sid, namespace))
                    found[namespace, sid] = Seen(eio_sid, "polling" if socket.ws is None else "websocket", rooms)
        return found

    def _tell_changes(self) -> None:
        """Tell what has become of the clients since the last time."""
        before, now = self._told, self._now()
        self._told = now
        moment = datetime.now(UTC).isoformat()
        reasons, self._engine.reasons = self._engine.reasons, {}
        for key in before.keys() - now.keys():
            reason = reasons.get(before[key].session, "namespace disconnect")
            self._tell("socket_disconnected", *key, reason, moment)
        for key, seen in now.items():
            namespace, sid = key
            old = before.get(key)
            if old is None:
                self._tell("socket_connected", self._shown(key), moment)
                continue
            if seen.transport != old.transport:
                self._tell("socket_updated", {"id": sid, "nsp": namespace, "transport": seen.transport})
            for room in seen.rooms - old.rooms:
                self._tell("room_joined", namespace, room, sid, moment)
            for room in old.rooms - seen.rooms:
                self._tell("room_left", namespace, room, sid, moment)

    def _shown(self, key: Key) -> dict[str, Any]:
        """One client as the page shows it. What would let somebody act as it is left out."""
        namespace, sid = key
        seen = self._told[key]
        shown = {
            "id": sid,
            "clientId": seen.session[:12],  # the whole of it is the key to a polling session
            "transport": seen.transport,
            "nsp": namespace,
            "data": {},
            "rooms": sorted(seen.rooms),
        }
        socket = self._engine.sockets[seen.session]
        handshake = socket.handshake
        opened = time.time() - (self._engine.now() - socket.opened)
        shown["handshake"] = {
            "address": handshake.address,
            "headers": {name.lower(): text for name, text in handshake.headers() if name.lower() not in PRIVATE},
            "query": {name: text for name, text in parse_qsl(handshake.query) if name not in PRIVATE_QUERY},
            "secure": handshake.scheme == "https",
            "url": handshake.path,
            "issued": int(opened * 1000),
            "time": datetime.fromtimestamp(opened, UTC).isoformat(),
        }
        return shown

    def _packet(self, socket: EngineSocket, data: bytes, came: bool) -> None:
        """Tell of an event that a client sent, or that it is sent."""
        if data[:2] != b"42":
            return
        try:
            packet = self._sio.packet_class(encoded_packet=data[1:].decode())
        except (ValueError, TypeError, RecursionError):
            return
        namespace = packet.namespace or "/"
        sid = self._manager.sid_from_eio_sid(socket.sid, namespace)
        if namespace != NAMESPACE and sid is not None and isinstance(packet.data, list):
            event = "event_received" if came else "event_sent"
            self._tell(event, namespace, sid, packet.data, datetime.now(UTC).isoformat())

    # -- what is asked for

    async def _emit(self, admin: str, *given: Any) -> None:
        asked = self._asked("emit", given, 3, "namespace, room, event")
        if asked is not None and isinstance(asked[2], str):
            namespace, room, event, *data = asked
            await self._sio.emit(event, tuple(data), to=room, namespace=namespace)

    async def _join(self, admin: str, *given: Any) -> None:
        await self._change("join", given, self._rooms.listen, self._sio.enter_room)

    async def _leave(self, admin: str, *given: Any) -> None:
        await self._change("leave", given, self._rooms.silence, self._sio.leave_room)

    async def _change(self, command: str, given: tuple[Any, ...], ours: Any, theirs: Any) -> None:
        """Let clients into a room or out of it: `ours` for ahd's rooms, `theirs` for python-socketio's."""
        asked = self._asked(command, given, 2, "namespace, room")
        if asked is not None:
            namespace, room, *rest = asked
            for sid in self._chosen(namespace, rest):
                if self._is_ahd(namespace, room):
                    await self._in_rooms(sid, ours, room)
                else:
                    await theirs(sid, room, namespace=namespace)
            self._tell_changes()

    async def _disconnect(self, admin: str, *given: Any) -> None:
        asked = self._asked("_disconnect", given, 1, "namespace")
        if asked is not None:
            namespace, *rest = asked
            close = bool(rest and rest[0])
            for sid in self._chosen(namespace, rest[1:]):
                eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
                await self._sio.disconnect(sid, namespace=namespace)
                socket = self._engine.sockets.get(eio_sid or "")
                if close and socket is not None:
                    self._engine.end(socket, self._engine.reason.SERVER_DISCONNECT)
            self._tell_changes()

    def _asked(self, command: str, given: tuple[Any, ...], least: int, wanted: str) -> tuple[Any, ...] | None:
        """A command's arguments, logged; None when they are not what it needs."""
        texts = (*given[:1], *(given[1:2] if command in ("join", "leave") else ()))
        if len(given) < least or not all(isinstance(text, str) and text for text in texts):
            logger.warning("the admin UI's %s needs: %s", command, wanted, extra={"event": "adminCommandRefused"})
            return None
        extra = {"event": "adminCommand", "command": command, "namespace": given[0], "arguments": list(given[1:])}
        logger.info("the admin UI: %s in %s", command, given[0], extra=extra)
        return given

    def _chosen(self, namespace: str, rest: list[Any]) -> list[str]:
        """The clients that a command is for: one, those in a room, or all of the namespace."""
        chosen = rest[0] if rest and isinstance(rest[0], str | list) else None
        return [sid for sid, _ in self._manager.get_participants(namespace, chosen)]

    def _is_ahd(self, namespace: str, room: str) -> bool:
        return namespace == "/" and room.startswith(PREFIX)

    async def _in_rooms(self, sid: str, do: Any, room: str) -> None:
        """Listen to one of ahd's rooms for a client, or no more; its current room is its own to change."""
        connection = self._rooms.here().get(sid)
        if connection is None:
            return
        try:
            await do(connection, self._rooms.name(room.removeprefix(PREFIX)))
        except (Refused, StoreUnavailable) as error:
            why = error.sentence if isinstance(error, Refused) else "the store is away"
            logger.warning("%s: %s", sid, why, extra={"event": "adminCommandRefused", "connection": sid})
