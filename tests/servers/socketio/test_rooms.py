"""However says are batched, every socket is sent exactly what it would be sent at once, in the same order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ahd.core.message import Say
from ahd.servers.socketio.frames import encode_text
from ahd.servers.socketio.rooms import SocketGroup, Turn


class Raw:
    """A WebSocket that takes frames."""

    paused = False

    def __init__(self, socket: FakeSocket) -> None:
        self._socket = socket

    def write(self, frames: bytes) -> None:
        self._socket.writes += 1
        self._socket.got += self._socket.split(frames)


class FakeSocket:
    """What a turn needs of a socket; odd ones are on polling."""

    def __init__(self, number: int, turn: Turn) -> None:
        self.number = number
        self.turn = turn
        self.socket = self  # it is its own link
        self.raw = None if number % 2 else Raw(self)
        self.got: list[bytes] = []
        self.writes = 0

    def split(self, frames: bytes) -> list[bytes]:
        found = []
        while frames:
            size = frames[1]
            found.append(frames[2 : 2 + size])
            frames = frames[2 + size :]
        return found

    def hear(self, frames: bytes, payloads: list[bytes]) -> None:
        self.writes += 1
        assert self.split(frames) == payloads
        self.got += payloads

    def put(self, payload: bytes) -> None:
        if self.turn.group is not None:
            self.turn.settle(self)  # type: ignore[arg-type]
        self.got.append(payload)


SOCKETS, ROOMS = 4, 3
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, ROOMS - 1), st.integers(0, SOCKETS - 1)),
        st.tuples(st.just("reply"), st.integers(0, SOCKETS - 1), st.just(0)),
        st.tuples(st.just("add"), st.integers(0, ROOMS - 1), st.integers(0, SOCKETS - 1)),
        st.tuples(st.just("discard"), st.integers(0, ROOMS - 1), st.integers(0, SOCKETS - 1)),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(deadline=None, max_examples=400)
def test_a_turn_changes_no_order_and_no_hearer(steps: list[tuple[str, int, int]]) -> None:
    async def play() -> None:
        turn = Turn()
        groups = [SocketGroup(turn) for _ in range(ROOMS)]
        sockets = [FakeSocket(number, turn) for number in range(SOCKETS)]
        expected: list[list[bytes]] = [[] for _ in sockets]
        members: list[set[int]] = [set() for _ in groups]
        for index, (step, first, second) in enumerate(steps):
            if step == "say":
                say = Say(str(first), None, None, b"%d" % index)
                groups[first].deliver(say, sockets[second])
                for number in members[first] - {second}:
                    expected[number].append(b'42["say",%d]' % index)
            elif step == "reply":
                sockets[first].put(b"r%d" % index)
                expected[first].append(b"r%d" % index)
            elif step == "add":
                groups[first].add(sockets[second])
                members[first].add(second)
            elif step == "discard":
                groups[first].discard(sockets[second])
                members[first].discard(second)
            else:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [socket.got for socket in sockets] == expected

    asyncio.run(play())


async def test_the_says_of_one_turn_leave_as_one_write_a_member() -> None:
    turn = Turn()
    group = SocketGroup(turn)
    sockets: list[Any] = [FakeSocket(number, turn) for number in range(4)]
    for socket in sockets:
        group.add(socket)
    for number in range(8):
        assert group.deliver(Say("x", None, None, b"%d" % number), sockets[0]) == 3
    await asyncio.sleep(0)
    assert [(len(socket.got), socket.writes) for socket in sockets] == [(0, 0), (8, 1), (8, 1), (8, 1)]


def test_a_say_is_encoded_once_for_all_groups() -> None:
    say = Say("x", None, None, b"{}")

    async def deliver() -> None:
        turn = Turn()
        for _ in range(2):
            group = SocketGroup(turn)
            group.add(FakeSocket(0, turn))
            group.deliver(say, None)
        await asyncio.sleep(0)

    asyncio.run(deliver())
    assert say.frames == {"packet": b'42["say",{}]', "webSocket": encode_text(b'42["say",{}]')}
