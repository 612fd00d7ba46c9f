"""One WebSocket on the loop's own transport: an asyncio.Protocol with no task, and no buffer while nothing is under
way.

    bytes -> frames.Parser -> handler.on_text / on_binary            handler -> write(frame) -> transport

What is written while the messages of one read are worked through is corked and leaves in one transport.write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ahd.servers.gone import GONE

from . import frames
from .deflate import Deflate
from .handler import NOBODY, Handler

if TYPE_CHECKING:
    from ..httphead import Request

mask: frames.Mask
try:
    from tornado.speedups import websocket_mask as mask
except ImportError:  # Tornado was built without its extension module
    mask = frames.unmask

_log = logging.getLogger(__name__)

_OPEN: Final[int] = 0
_CLOSING: Final[int] = 1  # a close frame is on its way, or was received; nothing more goes to the handler but on_lost
_DEAF: Final[int] = 2  # the peer broke the protocol: what it still sends is dropped
_CLOSED: Final[int] = 3  # flushing what is unsent, then gone
_GONE: Final[int] = 4  # the transport must not be touched any more

_CORK_FRAMES: Final = 64
_CORK_BYTES: Final = 16384  # a frame this large does not wait for others
_PAUSE_AT: Final = 65536  # unsent bytes from which on every write is weighed against high_water
_UNREAD_PINGS: Final = 64


class WebSocket(asyncio.Protocol):
    """The server's end of one connection, after its handshake.

    `high_water` bounds the unsent bytes: a write that would pass it goes to handler.on_full() instead. One frame is
    always taken by a connection with less than 64 KiB unsent, whatever its size.
    """

    __slots__ = (
        "_close",
        "_cork",
        "_deflate",
        "_full",
        "_gone",
        "_high_water",
        "_parser",
        "_pings",
        "_pong",
        "_state",
        "_timeout",
        "_timer",
        "_transport",
        "handler",
        "paused",
        "request",
        "write",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        request: Request | None,
        gone: Callable[[WebSocket], None],
        *,
        max_size: int,
        high_water: int,
        close_timeout: float,
        deflate: Deflate | None = None,
    ) -> None:
        self._transport = transport
        self._parser = frames.Parser(max_size, mask, deflate)
        self._deflate = deflate
        self._gone = gone
        self._high_water = high_water
        self._timeout = close_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._cork: list[bytes] | None = None
        self._close: tuple[int, str] | None = None  # what on_lost will say
        self._state = _OPEN
        self._full = False
        self._pings = 0
        self._pong: bytes | None = None
        #: True while more than 64 KiB are unsent.
        self.paused = False
        #: The handshake. A consumer that needs it no longer may drop it.
        self.request = request
        self.handler: Handler
        #: Send one or several encoded frames (frames.encode_*). Dropped once the connection is closing. This is the
        #: transport's own method, or the cork's, as long as the connection is open and the peer keeps up: asked for
        #: every time, never kept.
        self.write: Callable[[bytes], None] = transport.write
        transport.set_write_buffer_limits(high=min(_PAUSE_AT, high_water // 2))

    def start(self, on_open: Callable[[WebSocket], Handler], response: bytes, data: bytes) -> None:
        """Send the handshake's response, make the handler, and work through what came behind the request. The front
        calls this."""
        self._cork = cork = [response]
        self.write = cork.append
        try:
            self.handler = on_open(self)
        except Exception:
            _log.exception("a WebSocket could not be opened")
            self.handler = NOBODY
            self.close(frames.INTERNAL_ERROR)
        finally:
            self.uncork()
        if data:
            self.data_received(data)

    # -- out

    @property
    def open(self) -> bool:
        """False from the close frame on, whoever sent it."""
        return self._state == _OPEN

    def _weigh(self, frame: bytes) -> None:
        """`write` while more than 64 KiB are unsent."""
        if self._full or self.buffered() + len(frame) > self._high_water:
            self._full = True
            self.handler.on_full(frame)
        else:
            self._transport.write(frame)

    def send_text(self, payload: bytes) -> None:
        """Send a text message; `payload` is UTF-8. Compressed when that was negotiated, pays, and the peer keeps up."""
        deflate = self._deflate
        # A frame that may be handed back (on_full) must not have gone through the compressor: dropping it would break
        # the context.
        if deflate is None or len(payload) < deflate.threshold or self.paused or self._state:
            self.write(frames.encode_text(payload))
        else:
            self.write(frames.encode_compressed(frames.TEXT, deflate.deflate(payload)))

    def send_binary(self, payload: bytes) -> None:
        """Send a binary message; compressed as text is."""
        deflate = self._deflate
        if deflate is None or len(payload) < deflate.threshold or self.paused or self._state:
            self.write(frames.encode_binary(payload))
        else:
            self.write(frames.encode_compressed(frames.BINARY, deflate.deflate(payload)))

    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        if self._state == _GONE:
            return 0
        size = self._transport.get_write_buffer_size()
        return size + sum(map(len, self._cork)) if self._cork else size

    def close(self, code: int = frames.NORMAL, reason: str = "", last: bytes = b"") -> None:
        """Start the close handshake, `last` (encoded frames) before it, whatever is unsent; after `close_timeout`
        seconds the connection is aborted. on_lost() follows when it is over."""
        if self._state:
            return
        self._close = (code, reason)
        self._say_close(last + frames.encode_close(code, reason))

    @property
    def deflates(self) -> bool:
        """Whether messages are compressed for this connection: encoded frames then do not pay."""
        return self._deflate is not None

    def pause_reading(self) -> None:
        """Read no more for now: what the handler has is enough."""
        if not self._state:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection and everything unsent. on_lost(1006) follows from the loop, not from within this call."""
        if self._state != _GONE:
            self._state = _CLOSED
            self.write = _dropped
            self._cork = None
            self._transport.abort()

    def _say_close(self, frame: bytes) -> None:
        self._state = _CLOSING
        self.write = _dropped
        self._pong = None
        if self._cork is None:
            self._transport.write(frame)
        else:
            self._cork.append(frame)
        self._arm()

    def _arm(self) -> None:
        # Also needed after transport.close(), which waits for a peer that may never read.
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._transport.abort)

    def cork(self) -> None:
        """Have what is written from now on wait for uncork(), which must follow at once, and leave in one write."""
        if self._cork is None and not self.paused and not self._state:
            self._cork = []
            self.write = self._cork.append

    def uncork(self) -> None:
        """Send what is corked, and cork no more."""
        cork, self._cork = self._cork, None
        if not self._state and not self.paused:
            self.write = self._transport.write
        if cork:
            self._transport.write(cork[0] if len(cork) == 1 else b"".join(cork))

    # -- in: called by the transport

    def data_received(self, data: bytes) -> None:
        """Work through one read."""
        if self._state != _OPEN:
            if self._state == _CLOSING:
                self._await_close(data)
            return
        try:
            text = self._parser.small(data)
            if text is not None:
                self.handler.on_text(text)
                return
            events = self._parser.feed(data)
            if len(events) > 1:
                self.cork()
            ping = None
            for kind, payload in events:
                if kind == frames.TEXT:
                    self.handler.on_text(payload)
                elif kind == frames.BINARY:
                    self.handler.on_binary(payload)
                elif kind == frames.PING:
                    ping = payload
                elif kind == frames.CLOSE:
                    self._closed_by_peer(payload)
                if self._state != _OPEN:
                    break
                if self._cork and (len(self._cork[-1]) >= _CORK_BYTES or len(self._cork) >= _CORK_FRAMES):
                    self.uncork()
                    self.cork()
            else:
                if ping is not None:
                    self._answer(ping)
                if self._parser.failure is not None:
                    self._fail(*self._parser.failure)
        except Exception:
            _log.exception("a message could not be handled")
            self._give_up()
        finally:
            if self._cork is not None:
                self.uncork()
        if self._state == _CLOSED:
            self._transport.close()

    def _answer(self, ping: bytes) -> None:
        """5.5.3 allows to answer only the latest ping: that is one a read, and one in all while the peer does not
        read."""
        if not self.paused:
            self.write(frames.encode_pong(ping))
            return
        self._pong = ping
        self._pings += 1
        if self._pings > _UNREAD_PINGS:
            self._fail(frames.POLICY, "too many pings")

    def _closed_by_peer(self, payload: bytes) -> None:
        code, reason = frames.close_of(payload)
        self._say_close(frames.encode_close(code))
        self._state = _CLOSED
        self._lost(code, reason)

    def _fail(self, code: int, reason: str) -> None:
        # 7.1.7. What the peer still sends is read and dropped until it hangs up: closing at once with data unread would
        # reset the connection, and could take the close frame with it.
        if self._state:
            return
        self._say_close(self._last_words(code, reason) + frames.encode_close(code, reason))
        self.uncork()
        self._state = _DEAF
        self._lost(code, reason)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()  # TLS: reads on by itself until the peer's goodbye

    def _give_up(self) -> None:
        """A handler has raised."""
        self.close(frames.INTERNAL_ERROR, "", self._last_words(frames.INTERNAL_ERROR, ""))

    def _last_words(self, code: int, reason: str) -> bytes:
        try:
            return self.handler.last_words(code, reason)
        except Exception:
            _log.exception("the end of a connection could not be told")
            return b""

    def _await_close(self, data: bytes) -> None:
        """This side has closed: everything up to the peer's close frame is dropped."""
        for kind, _ in self._parser.feed(data):
            if kind == frames.CLOSE:
                break
        else:
            if self._parser.failure is None:
                return
        self._state = _CLOSED
        self._lost(frames.ABNORMAL, "")
        self._transport.close()

    def eof_received(self) -> None:
        """The peer will send no more: without a close frame that is a broken connection. The transport closes
        itself."""
        self._arm()
        self._state = _CLOSED
        self.write = _dropped
        self._lost(frames.ABNORMAL, "")

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._state = _GONE
        self.write = _dropped
        self._gone(self)
        self._lost(frames.ABNORMAL, "")
        self._transport = GONE

    def _lost(self, code: int, reason: str) -> None:
        """Tell the handler, once; what close() was called with wins."""
        handler = self.handler
        if handler is NOBODY:
            return
        if self._close is not None:
            code, reason = self._close
        self.handler = NOBODY
        try:
            handler.on_lost(code, reason)
        except Exception:
            _log.exception("the end of a connection could not be handled")

    def pause_writing(self) -> None:
        """The transport holds more than 64 KiB."""
        self.paused = True
        if not self._state:
            self.write = self._weigh

    def resume_writing(self) -> None:
        """The peer has read."""
        self.paused = False
        if not self._state:
            self.write = self._transport.write if self._cork is None else self._cork.append
        self._pings = 0
        pong, self._pong = self._pong, None
        if pong is not None:
            self.write(frames.encode_pong(pong))
        if self._full and not self._state:
            self._full = False
            try:
                self.handler.on_drain()
            except Exception:
                _log.exception("a backlog could not be sent")
                self._give_up()
            # Paused again: the handler may hold frames back still, so nothing may overtake them.
            self._full = self.paused


def _dropped(frame: bytes) -> None:
    """`write` of a connection that is closing."""
