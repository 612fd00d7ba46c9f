"""RFC 6455 frames, the server's side. No I/O, no clock, no imports but the standard library.

`Parser` is fed with bytes cut at any place and returns whole messages and control frames. What breaks the protocol
ends it: `feed` still returns what came before, and `Parser.failure` holds the close code and the reason. The codes are

    1002  reserved bits or opcodes, a frame that is not masked, a length not in its shortest form, a control frame
          that is fragmented or longer than 125 bytes, a continuation of nothing, a new message inside a fragmented
          one, a bad close payload
    1007  text, or the reason of a close, that is not UTF-8; compressed data that cannot be inflated
    1009  a message over the limit: judged by the header of the frame that crosses it, before its payload is kept

The `encode_*` functions make server frames, which are not masked: header and payload as one bytes object.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, Protocol

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
ABNORMAL: Final = 1006
BAD_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

#: (TEXT | BINARY | CLOSE | PING | PONG, payload). Text is valid UTF-8, still as bytes; a close payload is well-formed.
Event = tuple[int, bytes]

#: XOR of the second argument with the first, four bytes, repeated.
Mask = Callable[[bytes, bytes], bytes]


class Violation(Exception):
    """The peer broke the protocol: the connection ends with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Inflate(Protocol):
    """permessage-deflate's half that reads (RFC 7692)."""

    def inflate(self, payload: bytes, limit: int) -> bytes:
        """The message behind `payload`. Raises Violation: TOO_BIG over `limit` bytes, BAD_DATA if it is no deflate
        data."""
        ...


def unmask(key: bytes, data: bytes) -> bytes:
    """XOR without C: for installations that lack Tornado's extension module."""
    size = len(data)
    pattern = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")


class Parser:
    """Bytes of one client in, messages and control frames out.

    `limit` is the largest message in bytes, after inflating. The parser holds at most one unfinished frame and one
    unfinished message, together at most `limit` + 14 bytes and what one read brought; nothing between messages.
    """

    __slots__ = (
        "_buffer",
        "_compressed",
        "_ended",
        "_inflate",
        "_kind",
        "_limit",
        "_mask",
        "_message",
        "_need",
        "_quick",
        "failure",
    )

    def __init__(self, limit: int, mask: Mask = unmask, inflate: Inflate | None = None) -> None:
        #: (close code, reason) once the peer has broken the protocol. From then on, and after a close frame, feed()
        #: returns nothing.
        self.failure: tuple[int, str] | None = None
        self._limit = limit
        self._mask = mask
        self._inflate = inflate
        self._buffer: bytearray | None = None  # an unfinished frame
        self._need = 0  # how long _buffer must be before it is worth looking at
        self._message: bytearray | None = None  # the fragments so far
        self._kind = 0
        self._compressed = False
        self._ended = False
        self._quick = limit >= 125  # nothing pending: a small text frame may take the short way

    def small(self, data: bytes) -> bytes | None:
        """The text, if `data` is one whole, small, final text frame and nothing is pending: what nearly every read
        brings. None: feed() it."""
        # 0x81 is FIN and TEXT; the second byte says masked and its length, and that is the rest of the read:
        # data[1] - 128 + 2 + 4 == len(data).
        if data[0] == 0x81 and data[1:2] and data[1] - 122 == len(data) and 128 < data[1] < 254 and self._quick:
            text = self._mask(data[2:6], data[6:])
            if text.isascii():
                return text
        return None

    def feed(self, data: bytes) -> Sequence[Event]:
        """The messages and control frames that `data` completes, in order. Look at `failure` afterwards."""
        if self._ended:
            return ()
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._need:
                return ()
            data = bytes(self._buffer)
            self._buffer = None
        events: list[Event] = []
        try:
            used = self._frames(data, events)
        except Violation as violation:
            self.failure = (violation.code, violation.reason)
            self._end()
            return events
        if used < 0:
            return events
        if used < len(data):
            self._buffer = bytearray(data[used:] if used else data)
        self._quick = self._buffer is None and self._message is None and self._limit >= 125
        return events

    def _end(self) -> None:
        self._ended = True
        self._quick = False
        self._buffer = self._message = None

    def _frames(self, data: bytes, events: list[Event]) -> int:
        """Append what is complete in `data`; how many bytes are used up, -1 after a close. Sets _need if some are
        left."""
        position = 0
        size = len(data)
        while True:
            start = position + 2
            if size < start:
                self._need = 2
                return position
            first = data[position]
            second = data[position + 1]
            text = first == 0x81 and second >= 0x80 and self._message is None  # final, masked, alone: the most frequent
            if not text:
                self._check_head(first, second)
            length = second & 0x7F
            if length == 126:
                start += 2
                if size < start:
                    self._need = 4
                    return position
                length = data[start - 2] << 8 | data[start - 1]
                if length < 126:
                    raise Violation(PROTOCOL_ERROR, "length not in its shortest form")
            elif length == 127:
                start += 8
                if size < start:
                    self._need = 10
                    return position
                length = int.from_bytes(data[start - 8 : start], "big")
                if length >> 63:
                    raise Violation(PROTOCOL_ERROR, "length with its highest bit set")
                if length < 65536:
                    raise Violation(PROTOCOL_ERROR, "length not in its shortest form")
            opcode = first & 0x0F
            if opcode < CLOSE:
                # 10.4: refused by what the header announces, so nothing over the limit is ever kept.
                total = length if self._message is None else length + len(self._message)
                if total > self._limit:
                    raise Violation(TOO_BIG, "message too big")
            end = start + 4 + length
            if size < end:
                self._need = end - position
                return position
            payload = self._mask(data[start : start + 4], data[start + 4 : end])
            position = end
            if text and payload.isascii():
                events.append((TEXT, payload))
            elif opcode < CLOSE:
                self._data(first, opcode, payload, events)
            else:
                if opcode == CLOSE:
                    check_close(payload)
                events.append((opcode, payload))
                if opcode == CLOSE:  # 5.5.1: nothing that follows means anything
                    self._end()
                    return -1
            if position == size:
                return position

    def _check_head(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x30 or (first & 0x40 and (self._inflate is None or opcode not in (TEXT, BINARY))):
            raise Violation(PROTOCOL_ERROR, "reserved bits set")
        if not second & 0x80:  # 5.1: a server must close on a frame that is not masked
            raise Violation(PROTOCOL_ERROR, "frame not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise Violation(PROTOCOL_ERROR, "unknown opcode")
            if not first & 0x80:  # 5.5
                raise Violation(PROTOCOL_ERROR, "fragmented control frame")
            if second & 0x7F > 125:
                raise Violation(PROTOCOL_ERROR, "control frame too long")
        elif opcode > BINARY:
            raise Violation(PROTOCOL_ERROR, "unknown opcode")
        elif opcode == CONTINUATION:  # 5.4
            if self._message is None:
                raise Violation(PROTOCOL_ERROR, "continuation of nothing")
        elif self._message is not None:
            raise Violation(PROTOCOL_ERROR, "message inside a fragmented message")

    def _data(self, first: int, opcode: int, payload: bytes, events: list[Event]) -> None:
        if not first & 0x80:
            if opcode != CONTINUATION:
                self._kind = opcode
                self._compressed = bool(first & 0x40)
                self._message = bytearray()
            assert self._message is not None
            self._message += payload
            return
        compressed = bool(first & 0x40)
        if opcode == CONTINUATION:
            assert self._message is not None
            self._message += payload
            payload = bytes(self._message)
            opcode, compressed = self._kind, self._compressed
            self._message = None
        if compressed:
            assert self._inflate is not None
            payload = self._inflate.inflate(payload, self._limit)
        if opcode == TEXT and not is_utf8(payload):  # 8.1
            raise Violation(BAD_DATA, "text is not UTF-8")
        events.append((opcode, payload))


def is_utf8(data: bytes) -> bool:
    """Whether `data` is well-formed UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_close(payload: bytes) -> None:
    """Raises Violation for a close payload that RFC 6455, 7.4 and 5.5.1, does not allow."""
    if not payload:
        return
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "close payload of one byte")
    if not is_utf8(payload[2:]):
        raise Violation(BAD_DATA, "close reason is not UTF-8")
    code = payload[0] << 8 | payload[1]
    if not (1000 <= code <= 1014 and code not in (1004, NO_CODE, ABNORMAL)) and not 3000 <= code <= 4999:
        raise Violation(PROTOCOL_ERROR, "close code not allowed")


def close_of(payload: bytes) -> tuple[int, str]:
    """Code and reason of a checked close payload; NO_CODE if it is empty."""
    return (payload[0] << 8 | payload[1], payload[2:].decode()) if payload else (NO_CODE, "")


_SMALL: Final = {first: [bytes((first, size)) for size in range(126)] for first in (0x81, 0x82, 0xC1, 0xC2, 0x89, 0x8A)}
_SMALL_TEXT: Final = _SMALL[0x81]
_EVENT: Final = [
    head + b"42" for head in (*_SMALL_TEXT[2:], *(struct.pack("!BBH", 0x81, 126, size) for size in range(126, 2048)))
]


def encode_text(payload: bytes) -> bytes:
    """A whole text message; `payload` is UTF-8."""
    size = len(payload)
    if size < 126:
        return _SMALL_TEXT[size] + payload
    return _long(0x81, size) + payload


def encode_event(arguments: bytes) -> bytes:
    """A whole text message that is a Socket.IO event for namespace "/"; `arguments` is a JSON array."""
    size = len(arguments)
    if size < 2046:
        return _EVENT[size] + arguments
    return _long(0x81, size + 2) + b"42" + arguments


def encode_binary(payload: bytes) -> bytes:
    """A whole binary message."""
    size = len(payload)
    return (_SMALL[0x82][size] if size < 126 else _long(0x82, size)) + payload


def encode_compressed(opcode: int, payload: bytes) -> bytes:
    """A whole message, TEXT or BINARY, whose `payload` permessage-deflate has made (RSV1)."""
    size = len(payload)
    first = 0xC0 | opcode
    return (_SMALL[first][size] if size < 126 else _long(first, size)) + payload


def encode_ping(payload: bytes = b"") -> bytes:
    """A ping of at most 125 bytes."""
    return _SMALL[0x89][len(payload)] + payload


def encode_pong(payload: bytes = b"") -> bytes:
    """A pong of at most 125 bytes."""
    return _SMALL[0x8A][len(payload)] + payload


def encode_close(code: int = NO_CODE, reason: str = "") -> bytes:
    """A close frame. NO_CODE makes an empty one; a reason over 123 bytes is cut at a character."""
    if code == NO_CODE:
        return b"\x88\x00"
    text = reason.encode()
    if len(text) > 123:
        text = text[:123].decode(errors="ignore").encode()
    return bytes((0x88, len(text) + 2)) + code.to_bytes(2, "big") + text


def _long(first: int, size: int) -> bytes:
    if size < 65536:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)
