"""permessage-deflate: what is negotiated, what a codec keeps, and that no bomb gets through."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from ahd.servers.socketio import frames
from ahd.servers.socketio.deflate import Deflate, DeflateOptions, negotiate
from ahd.servers.socketio.frames import TEXT, Parser, Violation
from tests.servers.socketio.test_frames import frame, read

NONE_KEPT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
FRESH = DeflateOptions()
KEEPING = DeflateOptions(context_takeover=True)


def codec(offer: str = "permessage-deflate", options: DeflateOptions = FRESH) -> Deflate:
    negotiated = negotiate(offer, options)
    assert negotiated is not None
    return negotiated[1]


@pytest.mark.parametrize(
    ("offers", "options", "answer"),
    [
        ("permessage-deflate", DeflateOptions(), NONE_KEPT),
        ("permessage-deflate; client_max_window_bits", DeflateOptions(), NONE_KEPT),
        ("permessage-deflate", KEEPING, "permessage-deflate"),
        ("Permessage-Deflate ; Server_No_Context_Takeover", KEEPING, "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", KEEPING, "permessage-deflate; client_no_context_takeover"),
        ("permessage-deflate; server_max_window_bits=10", KEEPING, "permessage-deflate; server_max_window_bits=10"),
        ('permessage-deflate; server_max_window_bits="10"', KEEPING, "permessage-deflate; server_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits=11", KEEPING, "permessage-deflate; client_max_window_bits=11"),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
            DeflateOptions(context_takeover=True, server_max_window_bits=12, client_max_window_bits=9),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=9",
        ),
        ("permessage-deflate; server_max_window_bits=15", KEEPING, "permessage-deflate; server_max_window_bits=15"),
        (  # what the client did not offer must not be asked of it
            "permessage-deflate",
            DeflateOptions(context_takeover=True, client_max_window_bits=9),
            "permessage-deflate",
        ),
        ("permessage-deflate; what=1, permessage-deflate", KEEPING, "permessage-deflate"),
        ("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, permessage-deflate", KEEPING,
         "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=8", KEEPING, None),
        ("permessage-deflate; server_max_window_bits", KEEPING, None),
        ("permessage-deflate; server_max_window_bits=16", KEEPING, None),
        ("permessage-deflate; client_max_window_bits=07", KEEPING, None),
        ("permessage-deflate; server_no_context_takeover=1", KEEPING, None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", KEEPING, None),
        ("permessage-bzip2", KEEPING, None),
        ("", KEEPING, None),
    ],
)  # fmt: skip
def test_negotiation(offers, options, answer):
    negotiated = negotiate(offers, options)
    assert (negotiated and negotiated[0]) == answer


@pytest.mark.parametrize("options", [DeflateOptions(), KEEPING], ids=["nothing kept", "context kept"])
@pytest.mark.parametrize(
    "client_options",
    [
        {"client_max_window_bits": True},
        {},
        {"server_max_window_bits": 15, "client_max_window_bits": 9},
        {"server_max_window_bits": 9, "server_no_context_takeover": True, "client_no_context_takeover": True},
    ],
)
def test_both_ways_with_websockets(client_options, options):
    """The other half is the client of `websockets`, which made the offer and accepts our answer."""
    offered = ClientPerMessageDeflateFactory(**client_options)
    offer = [f"{name}={value}" if value else name for name, value in offered.get_request_params()]
    negotiated = negotiate("; ".join(["permessage-deflate", *offer]), options)
    assert negotiated is not None
    params: list[tuple[str, str | None]] = []
    for part in negotiated[0].split("; ")[1:]:
        name, _, value = part.partition("=")
        params.append((name, value or None))
    client = Protocol(Side.CLIENT, max_size=None)
    client.extensions = [offered.process_response_params(params, [])]
    parser = Parser(1 << 20, inflate=negotiated[1])
    for payload in (b"hello" * 300, b"", os.urandom(3000), b"hello" * 300, b"x" * 100_000):
        compressed = frames.encode_compressed(frames.BINARY, negotiated[1].deflate(payload))
        client.receive_data(compressed)
        event = client.events_received()[-1]
        assert isinstance(event, Frame)
        assert bytes(event.data) == payload
        client.send_binary(payload)
        assert read(client.data_to_send(), parser) == ([(frames.BINARY, payload)], None)
    half = len(payload) // 2
    client.send_text(payload[:half], fin=False)
    client.send_ping(b"between")
    client.send_continuation(payload[half:], fin=True)
    assert read(client.data_to_send(), parser) == ([(Opcode.PING, b"between"), (TEXT, payload)], None)


def test_context_takeover_pays():
    kept, fresh = codec(options=KEEPING), codec()
    message = os.urandom(2000)
    assert len(kept.deflate(message)) > 1000
    assert len(kept.deflate(message)) < 100
    assert len(fresh.deflate(message)) == len(fresh.deflate(message)) > 1000


def test_nothing_is_kept_by_default():
    both = codec()
    message = both.inflate(both.deflate(b"a" * 5000), 5000)
    assert message == b"a" * 5000
    assert both._deflater is None
    assert both._inflater is None


def bomb(size: int) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(size >> 20))
    return data + deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]


def test_a_bomb_is_defused_while_it_is_inflated():
    payload = bomb(256 << 20)
    limit = 1 << 20
    assert len(payload) < limit
    parser = Parser(limit, inflate=codec())
    data = frame(TEXT, payload, rsv=4)
    tracemalloc.start()
    try:
        assert read([data], parser) == ([], 1009)
        assert tracemalloc.get_traced_memory()[1] < 8 * limit
    finally:
        tracemalloc.stop()


def test_the_limit_is_exact():
    both = codec()
    payload = both.deflate(b"a" * 5000)
    assert both.inflate(payload, 5000) == b"a" * 5000
    with pytest.raises(Violation) as refused:
        both.inflate(payload, 4999)
    assert refused.value.code == 1009


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x07", bytes(range(100, 200))])
def test_what_cannot_be_inflated_is_bad_data(garbage):
    assert read([frame(TEXT, garbage, rsv=4)], Parser(1000, inflate=codec())) == ([], 1007)


def test_inflated_text_must_be_utf8():
    both = codec()
    assert read([frame(TEXT, both.deflate(b"\xff" * 50), rsv=4)], Parser(1000, inflate=both)) == ([], 1007)


def test_a_finished_stream_is_read_and_the_next_begins_anew():
    """RFC 7692, 7.2.3.4."""
    both = codec(options=KEEPING)
    for _ in range(2):
        finished = bytes.fromhex("f348cdc9c9070000")
        assert both.inflate(finished, 100) == b"Hello"
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    twice = (deflater.compress(b"Hello") + deflater.flush()) * 2
    with pytest.raises(Violation) as refused:
        both.inflate(twice, 100)
    assert refused.value.code == 1007


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"a", rsv=4, fin=False) + frame(0, b"b", rsv=4),  # RSV1 belongs to the first fragment
        frame(frames.PING, b"a", rsv=4),
        frame(TEXT, b"a", rsv=6),
    ],
)
def test_rsv1_elsewhere_is_a_violation(data):
    assert read([data], Parser(1000, inflate=codec())) == ([], 1002)


def test_uncompressed_messages_are_read_as_well():
    assert read([frame(TEXT, b"plain")], Parser(1000, inflate=codec())) == ([(TEXT, b"plain")], None)
