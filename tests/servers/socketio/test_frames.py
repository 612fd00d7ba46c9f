"""Every stream of bytes is accepted, or refused with the documented code; never anything else, wherever it is cut.

The judge is the server's side of the `websockets` package, which reads the same bytes without I/O. What it does
otherwise: it takes lengths that are not in their shortest form, refuses a close frame inside a fragmented message,
checks the UTF-8 of text later (here: below), and weighs a frame before it looks at its header (below as well).
"""

from __future__ import annotations

import itertools
import os
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.speedups import websocket_mask
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from ahd.servers.socketio import frames
from ahd.servers.socketio.deflate import DeflateOptions, negotiate
from ahd.servers.socketio.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Event, Parser

LIMIT = 1100

Outcome = tuple[list[Event], int | None]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes | None = b"\x01\x02\xfe\x80",
          form: int = 0) -> bytes:  # fmt: skip
    """One client frame; `form` forces a length of 16 or 64 bits, `key` None leaves it unmasked."""
    first = bytes([fin << 7 | rsv << 4 | opcode])
    size = len(payload)
    masked = 0x80 if key is not None else 0
    if form == 64 or size > 65535:
        head = bytes([masked | 127]) + size.to_bytes(8, "big")
    elif form == 16 or size > 125:
        head = bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([masked | size])
    if key is None:
        return first + head + payload
    return first + head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def read(pieces: Iterable[bytes], parser: Parser | None = None) -> Outcome:
    parser = parser or Parser(LIMIT, websocket_mask)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return events, parser.failure[0] if parser.failure else None


def judge(data: bytes, limit: int | None = LIMIT) -> Outcome:
    """What `websockets` makes of it, with the differences named above taken out."""
    judge = Protocol(Side.SERVER, max_size=limit)
    judge.receive_data(data)
    events: list[Event] = []
    message, kind = bytearray(), 0
    for event in judge.events_received():
        payload = bytes(event.data)  # type: ignore[union-attr]
        opcode = Opcode(event.opcode)  # type: ignore[union-attr]
        if opcode >= CLOSE:
            events.append((int(opcode), payload))
            continue
        message += payload
        kind = int(opcode) or kind
        if event.fin:  # type: ignore[union-attr]
            if kind == TEXT:
                try:
                    message.decode()
                except UnicodeDecodeError:
                    return events, 1007
            events.append((kind, bytes(message)))
            message.clear()
    if judge.parser_exc is None:
        return events, None
    if str(judge.parser_exc) == "incomplete fragmented message":
        assert judge.close_rcvd is not None
        code, reason = judge.close_rcvd.code, judge.close_rcvd.reason
        return [*events, (CLOSE, b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode())], None
    assert judge.close_sent is not None
    return events, judge.close_sent.code


def whole(*parts: bytes) -> bytes:
    return b"".join(parts)


GOOD = {
    "small text": frame(TEXT, b'42["say",{"message":"hi"}]'),
    "several": whole(frame(TEXT, b"one"), frame(BINARY, b"\0\xff"), frame(TEXT, b""), frame(TEXT, b"three")),
    "lengths": whole(*(frame(BINARY, bytes(size)) for size in (0, 1, 124, 125, 126, 127, 128, LIMIT))),
    "not ascii": frame(TEXT, "žluťoučký kůň 🐎".encode()),
    "a character across fragments": whole(
        frame(TEXT, "🐎".encode()[:1], fin=False), frame(0, "🐎".encode()[1:3], fin=False), frame(0, "🐎".encode()[3:])
    ),
    "control between fragments": whole(
        frame(TEXT, b"a", fin=False), frame(PING, b"p"), frame(0, b"b", fin=False), frame(PONG), frame(0, b"c"),
        frame(TEXT, b"next"),
    ),
    "empty fragments": whole(frame(BINARY, b"", fin=False), *[frame(0, b"", fin=False)] * 20, frame(0, b"")),
    "close": whole(frame(TEXT, b"a"), frame(CLOSE, b"\x03\xe8bye"), frame(TEXT, b"too late"), b"\xff" * 20),
    "close without a code": frame(CLOSE),
    "application code": frame(CLOSE, (4999).to_bytes(2, "big")),
    "limit": frame(TEXT, b"x" * LIMIT),
    "limit in fragments": whole(frame(TEXT, b"x" * 600, fin=False), frame(0, b"x" * 500)),
    "close between fragments": whole(frame(TEXT, b"a", fin=False), frame(CLOSE, b"\x03\xe9")),
}  # fmt: skip

BAD = {
    "unmasked": (frame(TEXT, b"abc", key=None), 1002),
    "unmasked and empty": (frame(TEXT, b"", key=None), 1002),
    "rsv1 without an extension": (frame(TEXT, b"abc", rsv=4), 1002),
    "rsv2": (frame(TEXT, b"abc", rsv=2), 1002),
    "rsv3 on a ping": (frame(PING, b"abc", rsv=1), 1002),
    **{f"opcode {opcode}": (frame(opcode, b"abc"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "long ping": (frame(PING, bytes(126)), 1002),
    "fragmented ping": (frame(PING, b"", fin=False), 1002),
    "fragmented close": (frame(CLOSE, b"", fin=False), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"abc"), 1002),
    "continuation after a message": (whole(frame(TEXT, b"a"), frame(CONTINUATION, b"abc")), 1002),
    "text inside a message": (whole(frame(TEXT, b"a", fin=False), frame(TEXT, b"b")), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{
        f"close code {code}": (frame(CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
    },
    "close code and reason": (frame(CLOSE, b"\0\0\xff"), 1007),
    "close reason": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text": (frame(TEXT, b"a\xc3\x28"), 1007),
    "cut text": (frame(TEXT, "🐎".encode()[:3]), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text over fragments": (whole(frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"a")), 1007),
    "too big": (frame(BINARY, bytes(LIMIT + 1)), 1009),
    "too big in fragments": (whole(frame(TEXT, b"x" * LIMIT, fin=False), frame(CONTINUATION, b"y")), 1009),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_good_streams_are_read_as_websockets_reads_them(data):
    outcome = read([data])
    assert outcome[1] is None
    assert outcome == judge(data)


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_bad_streams_are_refused_with_the_documented_code(data, code):
    before = frame(TEXT, b"before")
    events, failure = read([before + data + frame(TEXT, b"after")])
    assert (events, failure) == (
        [(TEXT, b"before")] + ([(TEXT, b"a")] if data.startswith(frame(TEXT, b"a")) else []),
        code,
    )
    assert judge(before + data) == (events, code)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"abc", form=16), 1002),
        (frame(TEXT, b"abc", form=64), 1002),
        (frame(BINARY, bytes(200), form=64), 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\x05" + b"keys" + b"hello", 1002),
        (frame(PING, b"abc", form=16), 1002),
        (frame(CLOSE, bytes(126)), 1002),
    ],
)
def test_lengths_have_one_form(data, code):
    assert read([data]) == ([], code)


@pytest.mark.parametrize("data", [*GOOD.values(), *(data for data, _ in BAD.values())], ids=[*GOOD, *BAD])
def test_it_does_not_matter_where_a_stream_is_cut(data):
    expected = read([data])
    assert read(data[i : i + 1] for i in range(len(data))) == expected
    step = max(1, len(data) // 400)
    for first in range(0, len(data) + 1, step):
        assert read([data[:first], data[first:]]) == expected
    if len(data) <= 40:
        for first in range(len(data)):
            for second in range(first, len(data)):
                assert read([data[:first], data[first:second], data[second:]]) == expected


@pytest.mark.parametrize("size", [LIMIT + 1, 65535, 65536, 1 << 40, (1 << 63) - 1])
def test_a_length_over_the_limit_is_refused_by_the_header_alone(size):
    head = b"\x82\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\x82\xff" + size.to_bytes(8, "big")
    assert read([head]) == ([], 1009)
    assert read([frame(BINARY, bytes(LIMIT), fin=False), b"\x80\x81"]) == ([], 1009)


def test_nothing_is_kept_over_the_limit():
    limit = 100_000
    parser = Parser(limit, websocket_mask)
    piece = bytes(10_000)
    tracemalloc.start()
    try:
        parser.feed(b"\x02\xff" + limit.to_bytes(8, "big") + b"\0\0\0\0")
        for _ in range(limit // len(piece)):
            parser.feed(piece)
        for _ in range(50_000):  # fragments of nothing cost nothing
            assert parser.feed(b"\0\x80\0\0\0\0") == []
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 5 * limit
        assert parser.failure is None
        assert read([b"\0\x81\0\0\0\0\0"], parser) == ([], 1009)
        assert tracemalloc.get_traced_memory()[0] < limit
    finally:
        tracemalloc.stop()


def test_a_small_limit_also_binds_small_text():
    assert read([frame(TEXT, b"12345")], Parser(5)) == ([(TEXT, b"12345")], None)
    assert read([frame(TEXT, b"123456")], Parser(5)) == ([], 1009)


def test_what_was_whole_before_a_violation_is_delivered():
    data = whole(frame(TEXT, b"1"), frame(PING, b"2"), frame(TEXT, b"3"), frame(3), frame(TEXT, b"4"))
    assert read([data]) == ([(TEXT, b"1"), (PING, b"2"), (TEXT, b"3")], 1002)


def test_after_the_end_nothing_is_read():
    parser = Parser(LIMIT)
    assert read([frame(CLOSE), frame(TEXT, b"1"), b"\xff\xff"], parser) == ([(CLOSE, b"")], None)
    parser = Parser(LIMIT)
    assert read([frame(3), frame(TEXT, b"1"), frame(CLOSE)], parser) == ([], 1002)


PAYLOADS = st.one_of(
    st.sampled_from([0, 200, 400, 1000, 1200]).map(lambda size: b"x" * size),
    st.sampled_from(["", "é" * 100, "🐎" * 50]).map(str.encode),
    st.sampled_from([b"\xff" * 200, b"\xc3" + b"a" * 199]),
)
KEYS = st.binary(min_size=4, max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Mostly well-formed frames, so that much is read before the first mistake."""
    result = []
    for _ in range(draw(st.integers(1, 8))):
        key = draw(KEYS)
        match draw(st.sampled_from("mmmmffccbx")):
            case "m":
                result.append(frame(draw(st.sampled_from([TEXT, BINARY])), draw(PAYLOADS), key=key))
            case "f":
                opcode = draw(st.sampled_from([TEXT, BINARY]))
                count = draw(st.integers(2, 4))
                for i in range(count):
                    result.append(frame(0 if i else opcode, draw(PAYLOADS), fin=i == count - 1, key=key))
                    if draw(st.booleans()):
                        result.append(frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=90)), key=key))
            case "c":
                result.append(frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=90)), key=key))
            case "b":
                code = draw(st.sampled_from([1000, 1001, 1005, 1015, 3000, 4321, 5000]))
                reason = draw(st.sampled_from([b"", b"bye", "é".encode(), b"\xff"]))
                result.append(frame(CLOSE, code.to_bytes(2, "big") + reason, key=key))
            case _:
                opcode, fin, rsv = (
                    draw(st.integers(0, 15)),
                    draw(st.booleans()),
                    draw(st.sampled_from([0, 0, 0, 1, 2, 4])),
                )
                result.append(
                    frame(
                        opcode, draw(st.binary(max_size=90)), fin=fin, rsv=rsv, key=draw(st.sampled_from([key, None]))
                    )
                )
    return result


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(streams(), CUTS)
@settings(max_examples=400, deadline=None)
def test_any_stream_is_read_as_websockets_reads_it(stream, cuts):
    data = b"".join(stream)
    outcome = read(pieces(data, cuts))
    judged = judge(data)
    if (outcome[1], judged[1]) == (1002, 1009):  # one frame with two faults: without a limit the other one is left
        judged = judge(data, None)
    assert outcome == judged
    assert read([data], Parser(LIMIT)) == outcome  # and with the mask in Python


@given(st.binary(max_size=300) | streams().map(b"".join), CUTS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_accepted_or_refused_with_a_documented_code(data, cuts, compressed):
    def parser() -> Parser:
        negotiated = negotiate("permessage-deflate", DeflateOptions()) if compressed else None
        return Parser(LIMIT, websocket_mask, negotiated[1] if negotiated else None)

    events, code = read(pieces(data, cuts), parser())
    assert code in (None, 1002, 1007, 1009)
    assert (events, code) == read([data], parser())
    for kind, payload in events:
        assert kind in (TEXT, BINARY, CLOSE, PING, PONG)
        assert len(payload) <= (LIMIT if kind < CLOSE else 125)
        if kind == TEXT:
            payload.decode()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_encoded_messages_are_read_by_websockets(size):
    client = Protocol(Side.CLIENT, max_size=None)
    payload = os.urandom(size)
    text = b"t" * size
    client.receive_data(frames.encode_binary(payload) + frames.encode_text(text))
    got = [(int(event.opcode), bytes(event.data)) for event in client.events_received()]  # type: ignore[union-attr]
    assert got == [(BINARY, payload), (TEXT, text)]
    assert client.parser_exc is None


def test_encoded_control_frames_are_read_by_websockets():
    client = Protocol(Side.CLIENT)
    client.receive_data(frames.encode_ping(b"p" * 125) + frames.encode_pong(b"q"))
    client.receive_data(frames.encode_close(1008, "é" * 100))
    got = [(int(event.opcode), bytes(event.data)) for event in client.events_received()]  # type: ignore[union-attr]
    assert got[:2] == [(PING, b"p" * 125), (PONG, b"q")]
    assert client.close_rcvd is not None
    assert (client.close_rcvd.code, client.close_rcvd.reason) == (
        1008,
        "é" * 61,
    )  # 123 bytes at most, cut at a character
    assert frames.encode_close() == b"\x88\x00"


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=50))
def test_the_mask_in_python_is_the_mask_in_c(key, data):
    assert frames.unmask(key, data) == websocket_mask(key, data)
