"""Engine.IO 4: sessions, heartbeats, and which of a client's packets mean what; python-engineio's AsyncServer below it.

WebSockets come from the front (`route`), polling requests as an HttpService (`polling.Polling`); both end here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import engineio

from ahd.codec import encode
from ahd.core.errors import (
    CLOSING_CODES,
    PING_TIMEOUT,
    SERVER_SHUTDOWN,
    SLOW_CONSUMER,
    TOO_LARGE,
    Disconnect,
    bad_packet,
)
from ahd.core.pace import Bucket, Pace
from ahd.servers.crowd import Crowd

from .frames import encode_text
from .rooms import Turn
from .socket import CLOSE, NOOP, PING, PING_FRAME, EngineSocket
from .wheel import Due, Wheel

if TYPE_CHECKING:
    from ahd.config.legacy import SocketIOPlan
    from ahd.config.model import Limits
    from ahd.core.connection import Connection
    from ahd.core.hits import Hits

    from .handshake import Handshake
    from .websocket import WebSocket

logger = logging.getLogger("ahd.socketio")

LINGER = 5.0
"""Seconds for which a closed polling session keeps what is unsent for one last poll."""


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """All sessions of this node. `on_message(socket, data)` takes Socket.IO packets (with Engine.IO's "4" in front),
    `on_event(socket, connection, data)` the most frequent of them, events for "/" that want no acknowledgement and come
    over a WebSocket, `on_attachment(socket, data)` binary messages, `on_end(socket, reason)` the end of each session,
    once; `on_dismiss(socket, why, retry_after)` is asked for the last packets of one that the server ends."""

    socket_class = EngineSocket
    """What a session is."""

    def __init__(self, plan: SocketIOPlan, limits: Limits, hits: Hits, **options: Any) -> None:
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
        self.hits = hits
        self.crowd = Crowd(limits, hits)
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
        self.closings = dict.fromkeys(CLOSING_CODES, 0)
        """Connections closed by the server, by the code of why."""
        self.now = time.monotonic
        self.on_message: Callable[[EngineSocket, bytes], None] = _nothing
        self.on_event: Callable[[EngineSocket, Connection, bytes], None] = _nothing
        self.on_attachment: Callable[[EngineSocket, bytes], None] = _nothing
        self.on_dismiss: Callable[[EngineSocket, Disconnect, int | None], list[bytes]] = _no_words
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
        self.crowd.configure(limits)
        self.namespace_timeout = limits.namespace_timeout
        self.upgrade_timeout = limits.upgrade_timeout
        self.pace = Pace.of(limits.message_rate, limits.message_burst, limits.refused_messages)
        for socket in self.sockets.values():
            self._watch(socket)

    def _watch(self, socket: EngineSocket) -> None:
        """Have a session keep to the pace, whatever it was before."""
        socket.bucket = None if self.pace is None else Bucket(self.pace)
        if socket.connection is not None:
            socket.connection.pace(socket.bucket)

    # -- opening

    def open(self, handshake: Handshake, ws: WebSocket | None, sid: str | None = None) -> EngineSocket:
        """A new session; its first packet is on its way."""
        if sid is None:
            sid = self.generate_id()
        socket = self.socket_class(self, sid, handshake)
        self.sockets[sid] = socket
        self.crowd.enter(handshake.address)
        if self.pace is not None:
            self._watch(socket)
        upgrades = b'["websocket"],' if ws is None and self.allow_upgrades else b"[],"
        if ws is not None:
            socket.ws = ws
            socket.raw = None if self.compresses(ws) else ws
            socket.upgraded = True
        socket.put(b'0{"sid":"' + sid.encode() + self._open_head + upgrades + self._open_tail)
        self.wheel.put(socket, min(self.ping_interval, self.namespace_timeout))
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
            self.dismiss(socket, PING_TIMEOUT, self.reason.PING_TIMEOUT)
        elif not socket.joined and self.now() - socket.opened >= self.namespace_timeout:
            self.hits.hit("namespaceTimeout", "%s connects to no namespace", socket.sid, connection=socket.sid)
            self.fail(socket, "no namespace was connected in time")
        elif self.now() - socket.opened < self.ping_interval - self.wheel.grain:
            # It was looked at for the namespace alone: its first heartbeat is not due yet.
            self.wheel.put(socket, socket.opened + self.ping_interval - self.now())
        else:
            socket.awaiting_pong = True
            if socket.raw is not None and self.turn.group is None:
                socket.raw.write(PING_FRAME)
            else:
                socket.put(PING)
            self.wheel.put(socket, self.ping_timeout)

    # -- ending

    def fail(self, socket: EngineSocket, why: str, detail: object = "") -> None:
        """A packet that breaks the protocol ends the session. `detail` is for the log alone."""
        self.break_off(socket, bad_packet(why), f"{why}: {detail}" if detail else why)

    def break_off(self, socket: EngineSocket, why: Disconnect, logged: str) -> None:
        """A client has done what it may not: end its session."""
        self.log_fault(socket, why, logged)
        socket.broken = True
        self.dismiss(socket, why, self.reason.TRANSPORT_ERROR)

    def log_fault(self, socket: EngineSocket, why: Disconnect, logged: str) -> None:
        """Write down what a client has done that it may not."""
        extra = {"event": why.code, "connection": socket.sid, "why": logged}
        logger.info("%s: %s", socket.sid, logged, extra=extra)
        if why.code == TOO_LARGE:
            self.hits.hit("max_http_buffer_size", "%s: %s", socket.sid, logged, connection=socket.sid)

    def dismiss(
        self,
        socket: EngineSocket,
        why: Disconnect,
        reason: str = "",
        retry_after: int | None = None,
        before: Sequence[bytes] = (),
    ) -> None:
        """Tell a client why it is closed, and whether to come back, and end its session. Again is no error.

        `reason` is what python-socketio's disconnect handlers are told, `before` packets that go first.
        """
        if socket.closed:
            return
        if self.turn.group is not None:
            self.turn.settle(socket)
        last = [*before, *self.last_packets(socket, why, retry_after)]
        self.end(socket, reason or self.reason.SERVER_DISCONNECT, why.websocket, why.reason, last)

    def last_packets(self, socket: EngineSocket, why: Disconnect, retry_after: int | None = None) -> list[bytes]:
        """What is said to a client before it is closed; counted as said."""
        self.closings[why.code] = self.closings.get(why.code, 0) + 1
        return self.on_dismiss(socket, why, retry_after)

    def end(
        self, socket: EngineSocket, reason: str, code: int = 1000, text: str = "", last: Sequence[bytes] = ()
    ) -> None:
        """End a session, `last` its last packets. Again is no error."""
        if socket.closed:
            return
        socket.closing = socket.closed = True
        self.sockets.pop(socket.sid, None)
        self.crowd.leave(socket.handshake.address)
        self.wheel.take(socket)
        ws = socket.ws
        if ws is not None:
            ws.close(code, text, b"".join(map(encode_text, last)))
        elif socket.poll is not None and not last:
            # Who has closed itself needs no CLOSE; its poll has to end all the same.
            socket.answer_poll([NOOP if reason == self.reason.CLIENT_DISCONNECT else CLOSE])
        elif last or reason in (self.reason.SERVER_DISCONNECT, self.reason.TRANSPORT_CLOSE):
            socket.take_leave(last)
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
        self.dismiss(socket, SLOW_CONSUMER, self.reason.TRANSPORT_CLOSE)

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
            self.dismiss(socket, SERVER_SHUTDOWN)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)


def _nothing(*_: Any) -> None:
    """Stands for the Socket.IO server until it is there."""


def _no_words(*_: Any) -> list[bytes]:
    return []
