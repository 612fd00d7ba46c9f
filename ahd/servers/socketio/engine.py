"""Engine.IO 4: sessions, heartbeats, and which of a client's packets mean what; python-engineio's AsyncServer below it.

WebSockets come from the front (`route`), polling requests as an HttpService (`polling.Polling`); both end here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import engineio

from ahd.codec import encode

from .rooms import Turn
from .socket import CLOSE, NOOP, PING, PING_FRAME, EngineSocket
from .wheel import Due, Wheel

if TYPE_CHECKING:
    from ahd.config.legacy import SocketIOPlan
    from ahd.config.model import Limits

    from .handshake import Handshake
    from .websocket import WebSocket

logger = logging.getLogger("ahd.socketio")

LINGER = 5.0
"""Seconds for which a closed polling session keeps what is unsent for one last poll."""
CONNECT_TIME = 45.0
"""Seconds in which a client must connect to a namespace, as Socket.IO's connectTimeout."""


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """All sessions of this node. `on_message(socket, data)` takes Socket.IO packets (without Engine.IO's "4"),
    `on_attachment(socket, data)` binary messages, `on_end(socket, reason)` the end of each session, once."""

    def __init__(self, plan: SocketIOPlan, limits: Limits, **options: Any) -> None:
        super().__init__(
            async_mode="tornado",
            ping_interval=plan.ping_interval,
            ping_timeout=plan.ping_timeout,
            max_http_buffer_size=plan.max_message_size,
            transports=list(plan.transports),
            allow_upgrades=plan.allow_upgrades,
            monitor_clients=False,
            logger=logging.getLogger("ahd.engineio"),
            async_handlers=options.pop("async_handlers", False),
        )
        self.plan = plan
        self.sockets: dict[str, EngineSocket] = {}
        self.lingering: dict[str, EngineSocket] = {}
        self.turn = Turn()
        self.saying = False
        self.send_buffer = 0
        self.drop_oldest = False
        self.configure(limits)
        self.draining = False
        self.slow_consumers = 0
        """Connections closed because they read too slowly."""
        self.dropped = 0
        """Says dropped for connections that read too slowly."""
        self.now = time.monotonic
        self.on_message: Callable[[EngineSocket, bytes], None] = _nothing
        self.on_attachment: Callable[[EngineSocket, bytes], None] = _nothing
        self.on_end: Callable[[EngineSocket, str], None] = _nothing
        grain = min(max(min(plan.ping_interval, plan.ping_timeout) / 20, 0.01), 0.5)
        self.wheel = Wheel(grain, self._due)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open_head = b'","upgrades":'
        self._open_tail = encode(
            {
                "pingInterval": round(plan.ping_interval * 1000),
                "pingTimeout": round(plan.ping_timeout * 1000),
                "maxPayload": plan.max_message_size,
            }
        )[1:]

    def configure(self, limits: Limits) -> None:
        """Take up other limits; a WebSocket that is open keeps the share of the send buffer that it holds itself."""
        self.send_buffer = limits.send_buffer
        self.drop_oldest = limits.slow_consumer == "dropOldest"

    # -- opening

    def open(self, handshake: Handshake, ws: WebSocket | None, sid: str | None = None) -> EngineSocket:
        """A new session; its first packet is on its way."""
        if sid is None:
            sid = self.generate_id()
        socket = EngineSocket(self, sid, handshake)
        self.sockets[sid] = socket
        upgrades = b'["websocket"],' if ws is None and self.allow_upgrades else b"[],"
        if ws is not None:
            socket.ws = ws
            socket.raw = None if self.compresses(ws) else ws
            socket.upgraded = True
        socket.put(b'0{"sid":"' + sid.encode() + self._open_head + upgrades + self._open_tail)
        self.wheel.put(socket, self.ping_interval)
        return socket

    def compresses(self, ws: WebSocket) -> bool:
        """Whether frames for it are made one by one."""
        return ws.deflates

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that is kept track of."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- receiving

    def receive(self, socket: EngineSocket, data: bytes) -> None:
        """One text packet, from either transport."""
        if socket.inbox is not None:
            self._postpone(socket, data)
            return
        kind = data[:1]
        if kind == b"4":
            self.on_message(socket, data)
        elif kind == b"3":
            if socket.awaiting_pong:
                socket.awaiting_pong = False
                socket.last_ping = None
                self.wheel.put(socket, self.ping_interval)
        elif kind == b"1":
            self.end(socket, self.reason.CLIENT_DISCONNECT)
        elif kind != b"6" and not (kind == b"5" and socket.upgraded):
            self.fail(socket, "an unknown packet")

    def receive_binary(self, socket: EngineSocket, data: bytes) -> None:
        """One binary message, from either transport."""
        if socket.inbox is not None:
            self._postpone(socket, b"b" + data)
        else:
            self.on_attachment(socket, data)

    def hold(self, socket: EngineSocket, work: Coroutine[Any, Any, Any]) -> None:
        """Do something for a socket in a task; what it sends meanwhile is taken up afterwards, in order."""
        socket.inbox = deque()
        if socket.ws is not None:
            socket.ws.pause_reading()
        self.spawn(self._held(socket, work))

    async def _held(self, socket: EngineSocket, work: Coroutine[Any, Any, Any]) -> None:
        if socket.closed:
            # It has gone since: there is nobody to connect, and its end is already known to all.
            work.close()
            if socket.ws is not None:
                socket.ws.resume_reading()  # the peer's close is still to come
            return
        try:
            await work
        except Exception:
            logger.exception("a packet could not be handled", extra={"event": "packetFailed"})
        inbox, socket.inbox = socket.inbox, None
        while inbox and not socket.closed:
            data = inbox.popleft()
            if data[:1] == b"b":
                self.receive_binary(socket, data[1:])
            else:
                self.receive(socket, data)
            if self._held_again(socket, inbox):
                return
        if socket.ws is not None:
            socket.ws.resume_reading()

    def _held_again(self, socket: EngineSocket, rest: deque[bytes]) -> bool:
        """Whether a packet taken up has to be waited for in its turn; the rest then waits with it."""
        if socket.inbox is None:
            return False
        socket.inbox.extend(rest)
        return True

    def _postpone(self, socket: EngineSocket, data: bytes) -> None:
        # One read of a WebSocket, or one POST, is all that can be under way once reading is paused.
        assert socket.inbox is not None
        socket.inbox.append(data)

    # -- heartbeat

    def _due(self, item: Due) -> None:
        socket = item
        assert isinstance(socket, EngineSocket)
        if socket.closed:
            self.lingering.pop(socket.sid, None)
        elif socket.awaiting_pong:
            self.end(socket, self.reason.PING_TIMEOUT)
        elif not socket.joined and self.now() - socket.opened > CONNECT_TIME:
            self.fail(socket, "no namespace was connected in time")
        else:
            socket.awaiting_pong = True
            if socket.raw is not None and self.turn.group is None:
                socket.raw.write(PING_FRAME)
            else:
                socket.put(PING)
            self.wheel.put(socket, self.ping_timeout)

    # -- ending

    def fail(self, socket: EngineSocket, why: str) -> None:
        """A packet that breaks the protocol ends the session."""
        logger.info("%s: %s", socket.sid, why, extra={"event": "badPacket", "connection": socket.sid, "why": why})
        socket.broken = True
        self.end(socket, self.reason.TRANSPORT_ERROR)

    def end(self, socket: EngineSocket, reason: str, code: int = 1000, text: str = "") -> None:
        """End a session. Again is no error. The client may come back; tell it not to before, if it should not."""
        if socket.closed:
            return
        socket.closing = socket.closed = True
        self.sockets.pop(socket.sid, None)
        self.wheel.take(socket)
        ws = socket.ws
        if ws is not None:
            ws.close(code, text)
        elif socket.poll is not None:
            # Who has closed itself needs no CLOSE; its poll has to end all the same.
            last = NOOP if reason == self.reason.CLIENT_DISCONNECT else CLOSE
            socket.answer_poll([*socket.collect_all(), last])
        elif reason in (self.reason.SERVER_DISCONNECT, self.reason.TRANSPORT_CLOSE):
            self.lingering[socket.sid] = socket
            self.wheel.put(socket, LINGER)
        socket.inbox = None
        self.on_end(socket, reason)

    def too_slow(self, socket: EngineSocket) -> None:
        """A connection has more unsent than it may: close it, from the loop, as a say may be under way to others."""
        if not socket.closing:
            socket.closing = True
            self.slow_consumers += 1
            logger.warning(
                "%s reads too slowly: more than %d bytes are unsent",
                socket.sid,
                self.send_buffer,
                extra={"event": "slowConsumer", "connection": socket.sid},
            )
            asyncio.get_running_loop().call_soon(self._close_slow, socket)

    def _close_slow(self, socket: EngineSocket) -> None:
        self.end(socket, self.reason.TRANSPORT_CLOSE, 1008, "the client reads too slowly")

    def count_dropped(self, socket: EngineSocket) -> None:
        """One say was dropped for it."""
        self.dropped += 1
        if socket.dropped == 1:
            logger.warning(
                "%s reads too slowly: says are dropped", socket.sid,
                extra={"event": "saysDropped", "connection": socket.sid},
            )  # fmt: skip

    def dropped_notice(self, socket: EngineSocket) -> bytes:
        """The packet that tells a client how many says it has missed."""
        count, socket.dropped = socket.dropped, 0
        return b'42["say",' + encode({"context": "api", "dropped": count}) + b"]"

    # -- python-engineio's public methods

    async def send_packet(self, sid: str, pkt: Any) -> None:
        socket = self.sockets.get(sid)
        if socket is not None:
            await socket.send(pkt)

    async def disconnect(self, sid: str | None = None) -> None:
        for socket in [self.sockets[sid]] if sid in self.sockets else [] if sid else list(self.sockets.values()):
            self.end(socket, self.reason.SERVER_DISCONNECT)

    def _get_socket(self, sid: str) -> EngineSocket:
        return self.sockets[sid]

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ahd serves Socket.IO itself; there is no handler to mount")

    async def shutdown(self) -> None:
        """Stop the heartbeats and let go of every session."""
        self.wheel.stop()
        for socket in list(self.sockets.values()):
            self.end(socket, self.reason.SERVER_DISCONNECT)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)


def _nothing(*_: Any) -> None:
    """Stands for the Socket.IO server until it is there."""
