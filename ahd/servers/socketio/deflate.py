"""permessage-deflate (RFC 7692): negotiated from the client's offers, bounded while inflating.

Nothing is kept between messages unless `context_takeover` asks for it: a compressor costs a quarter of a MiB a
connection.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

from .frames import BAD_DATA, TOO_BIG, Violation

_TAIL: Final = b"\x00\x00\xff\xff"
_NAME: Final = "permessage-deflate"
_BITS: Final = re.compile(r"[89]|1[0-5]")


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """What this server offers. Sizes in bytes; window bits 9 to 15; level 0 to 9; memory level 1 to 9 (zlib's
    meaning)."""

    threshold: int = 1024  # shorter messages leave as they are
    context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    level: int = 6
    memory_level: int = 8


class Deflate:
    """One connection's compressor and decompressor, as negotiated."""

    __slots__ = (
        "_deflater",
        "_inflater",
        "_keep_deflater",
        "_keep_inflater",
        "_options",
        "_read_bits",
        "_write_bits",
        "threshold",
    )

    def __init__(
        self, options: DeflateOptions, write_bits: int, read_bits: int, keep_deflater: bool, keep_inflater: bool
    ) -> None:
        self.threshold = options.threshold
        self._options = options
        self._write_bits = write_bits
        self._read_bits = read_bits
        self._keep_deflater = keep_deflater
        self._keep_inflater = keep_inflater
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def deflate(self, message: bytes) -> bytes:
        """The payload for a frame with RSV1. With context takeover every result must be sent, in order."""
        deflater = self._deflater
        if deflater is None:
            options = self._options
            deflater = zlib.compressobj(options.level, zlib.DEFLATED, -self._write_bits, options.memory_level)
            if self._keep_deflater:
                self._deflater = deflater
        payload = deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return payload[:-4]  # 7.2.1: without the tail of the empty block

    def inflate(self, payload: bytes, limit: int) -> bytes:
        """The message behind a payload with RSV1. Raises Violation: TOO_BIG over `limit` bytes, BAD_DATA if it cannot
        be inflated."""
        inflater = self._inflater or zlib.decompressobj(-self._read_bits)
        try:
            message = inflater.decompress(payload + _TAIL, limit + 1)
        except zlib.error:
            raise Violation(BAD_DATA, "compressed data is not valid") from None
        if len(message) > limit:
            raise Violation(TOO_BIG, "message too big")
        if inflater.eof:
            # 7.2.3.4: a sender may finish the stream; then only the tail, and the byte that made room for it, may
            # follow.
            if inflater.unused_data not in (_TAIL, b"\x00" + _TAIL):
                raise Violation(BAD_DATA, "compressed data is not valid")
            self._inflater = None
        elif self._keep_inflater:
            self._inflater = inflater
        return message


def negotiate(offers: str, options: DeflateOptions) -> tuple[str, Deflate] | None:
    """The first offer of a Sec-WebSocket-Extensions header that can be met: the value to answer with, and its codec."""
    for offer in offers.split(","):
        name, *rest = (part.strip() for part in offer.split(";"))
        if name.lower() == _NAME:
            accepted = _accept(rest, options)
            if accepted is not None:
                return accepted
    return None


def _accept(parts: list[str], options: DeflateOptions) -> tuple[str, Deflate] | None:
    parameters: dict[str, str | None] = {}
    for part in parts:
        name, equals, given = part.partition("=")
        name = name.strip().lower()
        if name in parameters:
            return None
        parameters[name] = given.strip().strip('"') if equals else None
    answer = [_NAME]
    keep_deflater = keep_inflater = options.context_takeover
    write_bits, read_bits = options.server_max_window_bits, 15
    for name, value in parameters.items():
        if name == "server_no_context_takeover" and value is None:
            keep_deflater = False
        elif name == "client_no_context_takeover" and value is None:
            keep_inflater = False
        elif name == "server_max_window_bits" and value is not None and _BITS.fullmatch(value):
            write_bits = min(write_bits, int(value))
        elif name == "client_max_window_bits" and (value is None or _BITS.fullmatch(value)):
            read_bits = min(options.client_max_window_bits, int(value or 15))
        else:
            return None  # 5.1: an offer with anything unknown or malformed in it is declined
    if write_bits < 9:  # zlib cannot compress with a window of 256 bytes
        return None
    if not keep_deflater:
        answer.append("server_no_context_takeover")
    if not keep_inflater:
        answer.append("client_no_context_takeover")
    if write_bits < 15 or "server_max_window_bits" in parameters:  # 7.1.2.1: an offer of it is answered with it
        answer.append(f"server_max_window_bits={write_bits}")
    if read_bits < 15:
        answer.append(f"client_max_window_bits={read_bits}")
    codec = Deflate(options, write_bits, max(read_bits, 9), keep_deflater, keep_inflater)
    return "; ".join(answer), codec
