"""A request, a documented error, or the end of the session; never anything else, however the bytes were cut."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahd.core.verbs import ACTION, TEXT_ACTION
from ahd.servers.tcp import framing
from ahd.servers.tcp.framing import MALFORMED, Lines, Mark, parse

LIMIT = 40

WORDS: list[tuple[str, framing.Request]] = [
    ("randomNumber", (TEXT_ACTION, {"action": "randomNumber"})),
    ("add a=1 b=x=y", (TEXT_ACTION, {"action": "add", "a": "1", "b": "x=y"})),
    ("add  a=1 ", (TEXT_ACTION, {"action": "add", "a": "1"})),
    ("add 5", (MALFORMED, {"error": "5 is not NAME=VALUE"})),
    ("add =5", (MALFORMED, {"error": "=5 is not NAME=VALUE"})),
    ("say hello, all of  you ", ("say", {"message": "hello, all of  you "})),
    ('say {"a": 1}', ("say", {"message": '{"a": 1}'})),
    ("say", ("say", {})),
    ("say ", ("say", {})),
    ("  detailsView", ("detailsView", {})),
    ("roomView whatever", ("roomView", {})),
    ("roomChange the other room ", ("roomChange", {"room": "the other room"})),
    ("roomChange", ("roomChange", {})),
    ("listenToRoom r", ("listenToRoom", {"room": "r"})),
    ("silenceRoom r", ("silenceRoom", {"room": "r"})),
    ("paramAdd key=some value = 1", ("paramAdd", {"key": "some value = 1"})),
    ("paramAdd key=", ("paramAdd", {"key": ""})),
    ("paramAdd key", (MALFORMED, {"error": "key is not NAME=VALUE"})),
    ("paramAdd", (MALFORMED, {"error": "nothing is not NAME=VALUE"})),
    ("paramDelete key", ("paramDelete", {"name": "key"})),
    ("paramView key", ("paramView", {"name": "key"})),
    ("paramsView", ("paramsView", {})),
    ("paramsDelete", ("paramsDelete", {})),
    ("quit", ("quit", {})),
    ("exit now", ("exit", {})),
    ("close", ("close", {})),
    ("quitter", (TEXT_ACTION, {"action": "quitter"})),
]

JSON: list[tuple[str, Any]] = [
    ('{"action":"add","params":{"a":1}}', (ACTION, {"action": "add", "a": 1})),
    ('{"action":"add","params":{"a":1,"action":"other"}}', (ACTION, {"action": "add", "a": 1})),
    ('{"action":"add","params":null}', (ACTION, {"action": "add"})),
    ('{"action":"add","a":1}', (ACTION, {"action": "add", "a": 1})),
    ('{"action":"add","verb":"say"}', (ACTION, {"action": "add", "verb": "say"})),
    ("{}", (ACTION, {})),
    ('{"params":{"a":1}}', (ACTION, {"a": 1})),
    ('{"action":"add","params":[]}', (MALFORMED, {"error": "params must be an object"})),
    (
        '{"action":"add","params":{},"a":1}',
        (MALFORMED, {"error": "a is not expected beside action and params"}),
    ),
    ('{"verb":"say","data":{"message":{"a":[1]}}}', ("say", {"message": {"a": [1]}})),
    ('{"verb":"roomView"}', ("roomView", {})),
    ('{"verb":"roomView","data":5}', ("roomView", 5)),
    ('{"verb":"quit"}', ("quit", {})),
    ('{"verb":"action"}', (MALFORMED, {"error": "action is not a known verb"})),
    ('{"verb":["say"]}', (MALFORMED, {"error": "['say'] is not a known verb"})),
    ('{"verb":"say","message":"x"}', (MALFORMED, {"error": "message is not expected beside verb and data"})),
    ("[1]", (MALFORMED, {"error": "the line must be a JSON object"})),
    ('{"action":', (MALFORMED, {"error": "the line is not valid JSON"})),
    ('{"action":NaN}', (MALFORMED, {"error": "the line is not valid JSON"})),
    ("[" * 3000, (MALFORMED, {"error": "the line is not valid JSON"})),
]


@pytest.mark.parametrize(("line", "request_"), WORDS + JSON)
def test_what_a_line_says(line: str, request_: framing.Request) -> None:
    assert parse(line.encode(), orjson.loads) == request_


@pytest.mark.parametrize("line", [b"say \xff", b'{"action":"\xff"}', b"\xc3", b"say \xed\xa0\x80"])
def test_what_is_not_utf8(line: bytes) -> None:
    assert parse(line, orjson.loads) == (MALFORMED, {"error": "the line is not UTF-8"})


LINES: list[tuple[bytes, list[Any]]] = [
    (b"a\r\nb\n\r\n\n  \nc", [b"a", b"b"]),
    (b"a\r\r\nb\rc\n", [b"a\r", b"b\rc"]),
    (b"x" * LIMIT + b"\r\n" + b"y" * LIMIT + b"\n", [b"x" * LIMIT, b"y" * LIMIT]),
    (b"x" * LIMIT + b"yz\r\nnext\n", [Mark.TOO_LONG, b"next"]),
    (b"x" * (LIMIT + 1) + b"\nnext\n", [Mark.TOO_LONG, b"next"]),
    (b"x" * LIMIT + b"\r\r\nnext\n", [Mark.TOO_LONG, b"next"]),
    (b" " * 500 + b"\nnext\n", [Mark.TOO_LONG, b"next"]),
    (b"one\ntw\x04o\nthree\n", [b"one", Mark.END]),
    (b"one\n\x03", [b"one", Mark.END]),
    (b"\xff\xf4\xff\xfd\x06", [Mark.END]),
    (b"\xff\xec", [Mark.END]),
    (b"x" * 500 + b"\x03", [Mark.TOO_LONG, Mark.END]),
    (b"a\xff\xfd\x01b\xff\xfb\x03c\xff\xf1d\n", [b"abcd"]),
    (b"a\xff\xfa\x18\x00\x03\n\xff\xff\x04\xff\xf0b\n", [b"ab"]),
    (b"a\xff\xffb\n", [b"a\xffb"]),
    (b"\xff\xfd\n\n", []),
    (b"say \xff\r\nnext\n", [b"say \xff", b"next"]),
    (b"say \xff\nnext\n", [b"say \xff", b"next"]),
    (b"\xff\x04next\n", [Mark.END]),
    (b"caf\xc3\xa9\n", [b"caf\xc3\xa9"]),
]


@pytest.mark.parametrize(("data", "lines"), LINES)
def test_lines(data: bytes, lines: list[bytes | Mark]) -> None:
    assert Lines(LIMIT).feed(data) == lines


@pytest.mark.parametrize(("data", "lines"), LINES)
def test_lines_cut_at_every_place(data: bytes, lines: list[bytes | Mark]) -> None:
    for place in range(len(data) + 1):
        reader = Lines(LIMIT)
        assert reader.feed(data[:place]) + reader.feed(data[place:]) == lines, place
    assert fed_in(data, [1] * len(data)) == lines


def test_what_waits_for_its_end_is_bounded() -> None:
    reader = Lines(LIMIT)
    for _ in range(1000):
        reader.feed(b"x" * 1000)
        assert len(reader._rest) <= LIMIT + 1
    assert reader.feed(b"\nhere\n") == [b"here"]


def fed_in(data: bytes, sizes: list[int]) -> list[bytes | Mark]:
    reader = Lines(LIMIT)
    found: list[bytes | Mark] = []
    for size in sizes:
        piece, data = data[:size], data[size:]
        found += reader.feed(piece)
    return found + reader.feed(data)


NOISE = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([line.encode() + b"\r\n" for line, _ in WORDS + JSON if len(line) < 100]),
        st.sampled_from([b"\r", b"\n", b"\r\n", b"\xff", b"\xff\xfa", b"\xff\xf0", b"\x04", b"{", b"say "]),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass") + b"\n"),
    ),
    max_size=12,
).map(b"".join)

SENTENCES = [
    "the line is not UTF-8",
    "the line is not valid JSON",
    "the line must be a JSON object",
    "params must be an object",
    ".* is not expected beside (verb and data|action and params)",
    ".* is not a known verb",
    r"\S+ is not NAME=VALUE",
]


@settings(max_examples=400, deadline=None)
@given(NOISE, st.lists(st.integers(1, 30), max_size=20))
def test_noise(data: bytes, sizes: list[int]) -> None:
    whole = Lines(LIMIT).feed(data)
    assert fed_in(data, sizes) == whole
    assert Mark.END not in whole[:-1]
    for line in whole:
        if isinstance(line, Mark):
            continue
        assert 0 < len(line) <= LIMIT
        assert b"\n" not in line
        check(line)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(min_size=1, max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["action", "params", "verb", "data", "a"]), inner, max_size=4)
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_line(line: bytes) -> None:
    check(line)


def check(line: bytes) -> None:
    verb, data = parse(line, orjson.loads)
    if verb == MALFORMED:
        assert set(data) == {"error"}
        assert any(re.fullmatch(pattern, data["error"], re.DOTALL) for pattern in SENTENCES)
    elif verb == TEXT_ACTION:
        assert all(type(value) is str for value in data.values())
        assert "action" in data
    elif verb == ACTION:
        assert type(data) is dict
    else:
        assert verb in framing.VERBS
