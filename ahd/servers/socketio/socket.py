"""One Engine.IO session: python-engineio's AsyncSocket without a queue, a writer task or a receive loop.

On a WebSocket a packet is written as a frame at once; on polling it stands in the outbox until the client's next poll.
What is unsent is bounded by `limits.sendBuffer` either way, with the outcome that `limits.slowConsumer` names.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engineio.async_socket import AsyncSocket

from ahd.core.errors import SERVER_ERROR, bad_packet, too_large

from .frames import INTERNAL_ERROR, TOO_BIG, encode_binary, encode_text

if TYPE_CHECKING:
    from ahd.core.connection import Connection
    from ahd.core.pace import Bucket

    from .engine import Engine
    from .handshake import Handshake
    from .websocket import WebSocket

CLOSE = b"1"
PING = b"2"
PONG = b"3"
NOOP = b"6"
PING_FRAME = encode_text(PING)

Unsent = tuple[bytes, bool]
"""What could not be sent yet (a packet for a poll, a frame for a WebSocket), and whether it may be dropped: a say."""


class EngineSocket(AsyncSocket):  # type: ignore[misc]  # python-engineio has no types
    """One session. `raw` is its WebSocket when ready-made frames may be written to it (no compression), `ws` in any
    case; both None on polling. `joined`: it has connected to a namespace. `connection` is the ahd client of namespace
    "/", once there is one. `inbox` holds what it sent while something before that is still under way. `broken`: it
    has broken the protocol."""

    __slots__ = (
        "_session", "awaiting_pong", "broken", "bucket", "closed", "closing", "connected", "connection", "dropped",
        "handshake", "inbox", "joined", "last_ping", "opened", "outbox", "poll", "poll_timer", "raw", "server",
        "sid", "slot", "unsent", "upgraded", "upgrading", "ws",
    )  # fmt: skip

    def __init__(self, server: Engine, sid: str, handshake: Handshake) -> None:
        # AsyncSocket's own constructor would make the queue.
        self.server = server
        self.sid = sid
        self.handshake = handshake
        self.connection: Connection | None = None
        self.ws: WebSocket | None = None
        self.raw: WebSocket | None = None
        self.connected = True
        self.upgrading = False
        self.upgraded = False
        self.closing = False
        self.closed = False
        self.broken = False
        self.last_ping: float | None = None
        self.awaiting_pong = False
        self.opened = server.now()
        self.bucket: Bucket | None = None
        self.slot = -1
        self.joined = False
        self.outbox: deque[Unsent] | None = None
        self.unsent = 0
        self.dropped = 0
        self.inbox: deque[bytes] | None = None
        self.poll: asyncio.Future[list[bytes]] | None = None
        self.poll_timer: asyncio.TimerHandle | None = None
        self._session: dict[str, Any] | None = None

    __hash__ = object.__hash__

    @property
    def session(self) -> dict[str, Any]:
        """python-engineio's user session, made when it is first asked for."""
        if self._session is None:
            self._session = {}
        return self._session

    @session.setter
    def session(self, value: dict[str, Any]) -> None:
        self._session = value

    # -- out

    async def send(self, pkt: Any) -> None:
        """python-engineio's way to send a packet (engineio.packet.Packet). Does not wait."""
        encoded = pkt.encode()
        if isinstance(encoded, str):
            self.put(encoded.encode())
        else:
            self.put_binary(bytes(encoded))

    def put(self, payload: bytes) -> None:
        """Send one text packet (UTF-8). Never waits."""
        turn = self.server.turn
        if turn.group is not None:
            turn.settle(self)
        raw = self.raw
        if raw is not None:
            raw.write(encode_text(payload))
        elif self.ws is not None:
            self.ws.send_text(payload)
        else:
            self._keep(payload, False)

    def put_binary(self, data: bytes) -> None:
        """Send one binary message."""
        turn = self.server.turn
        if turn.group is not None:
            turn.settle(self)
        if self.ws is not None:
            self.ws.send_binary(data)
        else:
            self._keep(b"b" + b64encode(data), False)

    def hear(self, frames: bytes, payloads: list[bytes]) -> None:
        """Send says: ready-made frames, and the same as packets for a transport that cannot use them."""
        raw = self.raw
        if raw is not None:
            self.server.saying = True
            raw.write(frames)
            self.server.saying = False
        elif self.ws is not None:
            self.server.saying = True
            for payload in payloads:
                self.ws.send_text(payload)
            self.server.saying = False
        else:
            for payload in payloads:
                self._keep(payload, True)

    def _keep(self, data: bytes, droppable: bool) -> None:
        """Keep what cannot leave now, within the bound. Nothing is kept for a slow reader that is about to be closed:
        it would hear it behind a gap."""
        if self.closing:
            return
        outbox = self.outbox
        if outbox is None:
            outbox = self.outbox = deque()
        outbox.append((data, droppable))
        self.unsent += len(data)
        # A WebSocket holds the other half itself.
        limit = self.server.send_buffer if self.ws is None else self.server.send_buffer // 2
        if self.unsent > limit:
            self._overflow(outbox, limit)
        poll = self.poll
        if poll is not None and self.ws is None and not self.closed:
            self.answer_poll(self.collect())

    def _overflow(self, outbox: deque[Unsent], limit: int) -> None:
        """More is unsent than may be: drop the oldest says, or the client."""
        if self.server.drop_oldest:
            kept: deque[Unsent] = deque()
            while outbox and self.unsent > limit:
                item = outbox.popleft()
                if item[1]:
                    self.unsent -= len(item[0])
                    self.dropped += 1
                    self.server.count_dropped(self)
                else:
                    kept.append(item)
            outbox.extendleft(reversed(kept))
            if self.unsent <= limit:
                return
        outbox.clear()
        self.unsent = 0
        self.server.too_slow(self)

    def collect(self) -> list[bytes]:
        """Take the outbox as the packets of one poll; at most about the size of one message, the rest stays."""
        outbox = self.outbox
        packets: list[bytes] = []
        if self.dropped:
            packets.append(self.server.dropped_notice(self))
        room = self.server.max_http_buffer_size
        while outbox and (room > 0 or not packets):
            data = outbox.popleft()[0]
            packets.append(data)
            self.unsent -= len(data)
            room -= len(data) + 1
        if not outbox:
            self.outbox = None
        return packets

    def answer_poll(self, packets: list[bytes]) -> None:
        """Answer the poll that waits."""
        poll, self.poll = self.poll, None
        if self.poll_timer is not None:
            self.poll_timer.cancel()
            self.poll_timer = None
        if poll is not None and not poll.done():
            poll.set_result(packets)

    # -- in: the WebSocket's handler

    def on_text(self, data: bytes) -> None:
        """A text message of the WebSocket."""
        connection = self.connection
        if connection is not None and self.inbox is None and data.startswith(b"42["):
            self.server.on_event(self, connection, data)
        else:
            self.server.receive(self, data)

    def on_binary(self, data: bytes) -> None:
        """A binary message of the WebSocket: an attachment."""
        self.server.receive_binary(self, data)

    def last_words(self, code: int, reason: str) -> bytes:
        """Why the WebSocket is about to close."""
        if code == TOO_BIG:
            why = too_large(self.server.max_http_buffer_size)
        elif code == INTERNAL_ERROR:
            why = SERVER_ERROR
        else:
            why = bad_packet(reason, code)
        self.server.log_fault(self, why, why.reason)
        return b"".join(map(encode_text, self.server.last_packets(self, why)))

    def on_lost(self, code: int, reason: str) -> None:
        """The WebSocket is gone."""
        self.server.end(self, self.server.reason.TRANSPORT_CLOSE)

    def on_full(self, frame: bytes) -> None:
        """The WebSocket holds all it may: go on in the outbox (only with dropOldest does that have room)."""
        if self.server.drop_oldest:
            self._keep(frame, self.server.saying)
        else:
            self.server.too_slow(self)

    def on_drain(self) -> None:
        """The client has read: send on in order."""
        ws, outbox = self.ws, self.outbox
        if ws is None:
            return
        if self.dropped:
            ws.write(encode_text(self.server.dropped_notice(self)))
        while outbox and not ws.paused:
            data = outbox.popleft()[0]
            self.unsent -= len(data)
            ws.write(data)
        if not outbox:
            self.outbox = None

    # -- life

    def take_over(self, ws: WebSocket) -> None:
        """Go on over a WebSocket, with all that waited for a poll."""
        waiting = self.collect_all()
        self.ws = ws
        self.raw = None if self.server.compresses(ws) else ws
        self.upgraded = True
        self.upgrading = False
        for packet in waiting:
            if packet[:1] == b"b":
                ws.write(encode_binary(b64decode(packet[1:])))
            else:
                ws.send_text(packet)

    def take_leave(self, packets: Sequence[bytes]) -> None:
        """Answer the poll that waits with the last packets, or keep them for the next one. CLOSE comes in a poll of its
        own: Socket.IO's JavaScript client forgets what came with it."""
        if self.poll is not None:
            self.answer_poll([*packets])
        elif packets:
            self.outbox = self.outbox or deque()
            self.outbox.extend((packet, False) for packet in packets)

    def collect_all(self) -> list[bytes]:
        """Empty the outbox."""
        packets = [item[0] for item in self.outbox or ()]
        self.outbox = None
        self.unsent = 0
        return packets

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """python-engineio's way to end a session."""
        self.server.end(self, reason or self.server.reason.SERVER_DISCONNECT)
