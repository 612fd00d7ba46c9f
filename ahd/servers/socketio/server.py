"""python-socketio's AsyncServer on ahd's engine. Verbs on namespace "/" go to the core at once; all else is stock.

A plugin registers handlers, emits, enters rooms and disconnects on this object as on any python-socketio server. A
handler that a plugin registers on "/" under the name of a verb takes that verb's place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import socketio
from socketio.packet import EVENT

from ahd.codec import decode, encode
from ahd.core.connection import Connection
from ahd.core.errors import DISCONNECTED, FLOODING, TOO_MANY_MESSAGES, Disconnect
from ahd.core.message import closing
from ahd.core.verbs import NAMES, Verbs

from .admission import CLAIMS, Admission
from .clients import ClientIndex, send
from .engine import Engine
from .environs import Environs
from .link import SocketLink
from .packets import JsonPacket, check
from .rooms import SocketGroup

if TYPE_CHECKING:
    from ahd.auth.door import Door
    from ahd.config.legacy import SocketIOPlan
    from ahd.config.model import Limits
    from ahd.core.hits import Hits
    from ahd.core.rooms import Rooms

    from .socket import EngineSocket

logger = logging.getLogger("ahd.socketio")

DIGITS = frozenset(b"0123456789")
KIND = "webSocket"


class SocketIO(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """The server that plugins know as `app.sio`. `engine_class`: whose sessions it has."""

    def __init__(
        self,
        plan: SocketIOPlan,
        limits: Limits,
        manager: ClientIndex,
        params: Mapping[str, Any],
        hits: Hits,
        engine_class: type[Engine] = Engine,
    ) -> None:
        self._engine_class = engine_class
        self._plan = plan
        self._limits = limits
        self._hits = hits
        super().__init__(
            client_manager=manager,
            serializer=JsonPacket,
            namespaces=list(plan.namespaces),
            logger=logging.getLogger("ahd.python-socketio"),
            async_handlers=True,
        )
        self.engine: Engine = self.eio
        self.engine.on_message = self._on_message
        self.engine.on_event = self._on_event
        self.engine.on_attachment = self._on_attachment
        self.engine.on_end = self._on_end
        self.engine.on_dismiss = self._last_packets
        self.environ = Environs(self.engine)
        self._params = params
        self._verbs: Verbs | None = None
        self.admission: Admission
        self._direct = NAMES - plan.blacklist
        manager.gone = self._left
        manager.hearers = self._hearers
        manager.heard_by = self._heard_by

    def _engineio_server_class(self) -> Callable[..., Engine]:
        return partial(self._engine_class, self._plan, self._limits, self._hits)

    def serve(self, verbs: Verbs, door: Door) -> None:
        """Hand the verbs of namespace "/" to the core from now on; `door` says who may come in."""
        self._verbs = verbs
        self._receive = verbs.receive
        self.admission = Admission(door)

    def configure(self, limits: Limits, params: Mapping[str, Any]) -> None:
        """Take up other limits, and what new clients' parameters are."""
        self._params = params
        self.engine.configure(limits)

    def start(self) -> None:
        """Begin the heartbeats; needs the running loop."""
        self.manager_initialized = True
        self.manager.initialize()
        self.engine.wheel.start()

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Any:
        if (namespace or "/") == "/" and event in NAMES:
            logger.warning("a plugin's handler takes the place of the verb %s", event, extra={"event": "verbReplaced"})
            self._direct = self._direct - {event}
        return super().on(event, handler, namespace)

    def instrument(self, *args: Any, **options: Any) -> Any:
        """python-socketio's admin UI changes classes of the whole process and sees nothing of ahd's message path."""
        raise RuntimeError("instrument() would tell wrong figures here: use monitor.adminUI of the configuration file")

    # -- from the engine

    def _on_event(self, socket: EngineSocket, connection: Connection, data: bytes, start: int = 2) -> None:
        """An event for "/", its arguments from `start` on, an acknowledgement's id before. The common one by far is
        `42["verb",{…}]`."""
        if self._binary_packet and socket.sid in self._binary_packet:
            self._stock(socket, data[1:])
            return
        try:
            arguments = decode(data[start:])
        except ValueError:
            self.engine.fail(socket, "a packet that is not JSON")
            return
        name = arguments[0] if arguments else None
        if name.__class__ is not str:
            self._stock(socket, data[1:])
        elif name in self._direct:
            link: SocketLink = connection.link  # type: ignore[assignment]
            answer = link.respond if start == 2 else partial(link.acknowledge, data[2:start])
            self._receive(connection, name, arguments[1] if len(arguments) > 1 else None, answer)
        elif self._handled(name, "/"):
            self._stock(socket, data[1:])
        else:
            self._paced(socket)
            logger.debug("%s: no handler for the event %s", socket.sid, name)

    def _on_message(self, socket: EngineSocket, data: bytes) -> None:
        """A Socket.IO packet, with Engine.IO's "4" in front."""
        connection = socket.connection
        if connection is not None and data.startswith(b"42"):
            start = data.find(b"[", 2, 24)
            if start == 2 or (start > 2 and DIGITS.issuperset(data[2:start])):
                self._on_event(socket, connection, data, start)
                return
        elif (
            data == b"40"
            and (socket.bucket is None or not socket.joined)
            and not self._wants_connect("/")
            and not self.admission.guards("/")
        ):
            self._connect(socket)
            return
        self._stock(socket, data[1:])

    def _stock(self, socket: EngineSocket, data: bytes) -> None:
        """python-socketio's own way, for every packet that is rare."""
        if socket.sid in self._binary_packet:
            self.engine.fail(socket, "a text packet in place of an attachment")
            return
        try:
            packet = self.packet_class(encoded_packet=data.decode())
            self._check(socket, packet)
        except (ValueError, TypeError, RecursionError) as why:
            self.engine.fail(socket, "a bad packet", why)
            return
        if packet.attachment_count:
            self._binary_packet[socket.sid] = packet
        else:
            self._take_up(socket, packet)

    def _take_up(self, socket: EngineSocket, packet: Any) -> None:
        """Take a whole packet; beyond the pace that the client must keep it is dropped, unless it can be answered."""
        kind, data = packet.packet_type, packet.data
        verb = kind in (2, 5) and (packet.namespace or "/") == "/" and data[0] in self._direct
        # A verb is judged, and answered, by the core; a client's first CONNECT is no message.
        if verb or kind == 1 or (kind == 0 and not socket.joined) or self._paced(socket):
            self.engine.hold(socket, self._take(socket, packet))
        elif kind == 0 and not socket.closed:
            refusal = self.packet_class(4, {"message": TOO_MANY_MESSAGES}, packet.namespace)
            send(socket, [refusal.encode()])

    def _paced(self, socket: EngineSocket) -> bool:
        """Whether a client has kept to its pace with one more packet; one that never does is closed."""
        bucket, now = socket.bucket, time.monotonic()
        if bucket is None or bucket.take(now):
            return True
        back = self.engine.hits.too_fast(bucket, socket.sid, now)
        if back is not None:
            self.engine.dismiss(socket, FLOODING, retry_after=back)
        return False

    def _check(self, socket: EngineSocket, packet: Any) -> None:
        """What python-socketio takes on trust. Raises ValueError for a packet that the protocol does not know."""
        check(packet)
        if packet.packet_type > 1 and self.manager.sid_from_eio_sid(socket.sid, packet.namespace or "/") is None:
            raise ValueError("not connected to the namespace")

    def _on_attachment(self, socket: EngineSocket, data: bytes) -> None:
        packet = self._binary_packet.get(socket.sid)
        if packet is None:
            self.engine.fail(socket, "an attachment that belongs to nothing")
            return
        try:
            whole = packet.add_attachment(data)
        except (ValueError, TypeError, IndexError, KeyError, RecursionError) as why:
            del self._binary_packet[socket.sid]
            self.engine.fail(socket, "a bad attachment", why)
            return
        if whole:
            del self._binary_packet[socket.sid]
            self._take_up(socket, packet)

    async def _take(self, socket: EngineSocket, packet: Any) -> None:
        kind, namespace = packet.packet_type, packet.namespace or "/"
        if kind == 0:
            try:
                if self.admission.guards(namespace) and not await self._let_in(socket, namespace, packet.data):
                    return
                if namespace == "/" and packet.data is None and not self._wants_connect("/"):
                    self._connect(socket)
                else:
                    await self._handle_connect(socket.sid, namespace, packet.data)
            finally:
                self.admission.forget(socket.sid)
        elif kind == 1:
            await self._handle_disconnect(socket.sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif kind in (2, 5):
            await self._handle_event(socket.sid, namespace, packet.id, packet.data)
        else:
            await self._handle_ack(socket.sid, namespace, packet.id, packet.data)

    def _last_packets(self, socket: EngineSocket, why: Disconnect, retry_after: int | None) -> list[bytes]:
        """Why a client is closed, in each of its namespaces; and that it shall not come back by itself."""
        said = encode(["closing", closing(why, retry_after)]) if why.told else b""
        packets = []
        for name in self._namespaces_of(socket):
            namespace = b"" if name == "/" else name.encode() + b","
            if said:
                packets.append(b"42" + namespace + said)
            if not why.again:
                packets.append(b"41" + namespace)
        return packets

    def _namespaces_of(self, socket: EngineSocket) -> list[str]:
        manager = self.manager
        return [name for name in manager.get_namespaces() if manager.sid_from_eio_sid(socket.sid, name) is not None]

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """python-socketio's way to let a client of a namespace go, who is told before."""
        name = namespace or "/"
        eio_sid = self.manager.eio_sid_from_sid(sid, name)
        if eio_sid in self.engine.sockets and self.manager.is_connected(sid, name):
            await self._send_packet(eio_sid, self.packet_class(EVENT, ["closing", closing(DISCONNECTED)], name))
        await super().disconnect(sid, namespace=namespace, ignore_queue=ignore_queue)

    def _on_end(self, socket: EngineSocket, reason: str) -> None:
        self._binary_packet.pop(socket.sid, None)
        if socket.connection is not None and self._verbs is not None:
            self._verbs.closed(socket.connection)
        mine = self._namespaces_of(socket)
        if mine == ["/"] and not self._handled("disconnect", "/"):
            sid = self.manager.sid_from_eio_sid(socket.sid, "/")
            self.manager.basic_disconnect(sid, "/")
            self.environ.pop(socket.sid, None)
        elif mine:
            self.environ[socket.sid]  # made while the session can still be found: disconnect handlers ask
            self.engine.spawn(self._handle_eio_disconnect(socket.sid, reason))
        else:
            self.environ.pop(socket.sid, None)

    # -- namespaces

    def _handled(self, event: str, namespace: str) -> bool:
        """Whether a plugin has a handler for an event of a namespace."""
        handlers = self.handlers
        for place in (namespace, "*"):
            if place in self.namespace_handlers:
                return True
            here = handlers.get(place)
            if here is not None and (event in here or ("*" in here and event not in self.reserved_events)):
                return True
        return False

    def _wants_connect(self, namespace: str) -> bool:
        return self._handled("connect", namespace)

    def _connect(self, socket: EngineSocket) -> None:
        """Connect a session to "/" when nobody is to be asked."""
        sid = self.manager.add(socket.sid, "/")
        if sid is None:
            self.engine.fail(socket, "connected to / already")
            return
        self.manager.accept(sid, "/")
        socket.joined = True
        ws = socket.ws
        if ws is not None:
            ws.cork()  # with the welcome, where that needs no waiting
        socket.put(b'40{"sid":"' + sid.encode() + b'"}')
        self._open(socket, sid)
        if ws is not None:
            ws.uncork()

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        """The stock way, with a client of "/" handed to the core once it is connected."""
        if namespace not in self._plan.namespaces and not self._listed(namespace):
            await self._send_packet(eio_sid, self.packet_class(4, {"message": "Invalid namespace"}, namespace))
            return
        before = self.manager.sid_from_eio_sid(eio_sid, namespace)
        try:
            await super()._handle_connect(eio_sid, namespace, data)
        except Exception:
            sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
            if sid is None or before is not None:
                raise
            logger.exception("the connect handler of %s failed", namespace, extra={"event": "handlerFailed"})
            self.manager.basic_disconnect(sid, namespace)
            await self._send_packet(eio_sid, self.packet_class(4, {"message": "Unable to connect"}, namespace))
            return
        socket, sid = self.engine.sockets.get(eio_sid), self.manager.sid_from_eio_sid(eio_sid, namespace)
        if socket is not None and sid is not None and before is None:
            socket.joined = True
            if namespace == "/":
                self._open(socket, sid)

    def _listed(self, namespace: str) -> bool:
        """Whether a plugin serves a namespace that the file does not list."""
        return namespace in self.handlers or namespace in self.namespace_handlers

    async def _let_in(self, socket: EngineSocket, namespace: str, data: Any) -> bool:
        """Whether a client may connect to a namespace; one that may not is told why."""
        told = await self.admission.refusal(socket, namespace, data)
        if told is not None:
            await self._send_packet(socket.sid, self.packet_class(4, told, namespace))
        elif not socket.closed and self._wants_connect(namespace):
            self.environ[socket.sid][CLAIMS] = self.admission.claims(socket.sid)
        return told is None and not socket.closed

    def _open(self, socket: EngineSocket, sid: str) -> None:
        if self._verbs is not None:
            connection = Connection(sid, KIND, socket.handshake.address, SocketLink(socket), self._params)
            self.admission.welcome(socket.sid, connection)
            socket.connection = connection
            if socket.bucket is not None:
                connection.pace(socket.bucket)
            self._verbs.open(connection)

    def _left(self, eio_sid: str) -> None:
        """A client has left "/", whatever the way."""
        socket = self.engine.sockets.get(eio_sid)
        if socket is not None and socket.connection is not None and self._verbs is not None:
            self._verbs.closed(socket.connection)
            socket.connection = None

    # -- python-socketio's internals on this engine

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        socket = self.engine.sockets.get(eio_sid)
        if socket is not None:
            encoded = pkt.encode()
            send(socket, encoded if isinstance(encoded, list) else [encoded])

    async def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: list[Any]) -> None:
        socket = self.engine.sockets.get(eio_sid)
        if namespace == "/" and socket is not None and data[0] in self._direct and socket.connection is not None:
            link: SocketLink = socket.connection.link  # type: ignore[assignment]
            answer = link.respond if id is None else partial(link.acknowledge, str(id).encode())
            self._receive(socket.connection, data[0], data[1] if len(data) > 1 else None, answer)
        elif data[0] not in self._plan.blacklist:
            await super()._handle_event(eio_sid, namespace, id, data)

    async def _handle_event_internal(self, *args: Any) -> None:
        try:
            await super()._handle_event_internal(*args)
        except Exception:
            logger.exception("a plugin's handler failed", extra={"event": "handlerFailed"})

    # -- ahd's rooms under python-socketio's names

    def bind_rooms(self, rooms: Rooms) -> None:
        """Let `emit(room="room:NAME")` find who hears a room."""
        self._rooms = rooms

    def _hearers(self, room: str) -> Iterator[EngineSocket]:
        group = self._rooms.group(room, KIND)
        if isinstance(group, SocketGroup):
            yield from tuple(group.sockets)

    def _heard_by(self, sid: str) -> list[str]:
        connection = self._rooms.here().get(sid)
        return [] if connection is None else [connection.room, *(connection.listening - {connection.room})]
