"""What counting costs a message, in calls: it must not come back by and by."""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest

from ahd.app import assemble
from ahd.config import loads
from ahd.core.connection import Connection
from ahd.core.verbs import TEXT_ACTION
from ahd.monitor.requests import BOUNDS, PAUSE, Requests


@pytest.fixture
def app() -> Any:
    return assemble(loads("log: {logRequests: false}", {}))


class Silent:
    """A link that nobody is behind."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def calls(app: Any, connection: Connection, verb: str, data: Any) -> int:
    """Python functions and C functions that are called to answer one verb."""
    found = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        app.verbs.receive(connection, verb, data, _taken)
    finally:
        sys.setprofile(None)
    return found


def _taken(reply: Any) -> None:
    assert "messageCount" in reply


TIMES = 20


@pytest.mark.parametrize("verb", ["detailsView", "action", TEXT_ACTION])
def test_counting_costs_a_message_no_call(app: Any, verb: str) -> None:
    data = {"action": "randomNumber"}
    plain = Connection("a", "webSocket", "127.0.0.1", Silent(), {})
    unwatched = [calls(app, plain, verb, data) for _ in range(TIMES)]

    async def look() -> list[int]:
        app.verbs.meter = requests = Requests(app.actions.by_name, app.verbs.time_next)
        app.verbs.observe = None
        connection = Connection("b", "webSocket", "127.0.0.1", Silent(), {})
        connection.tally = requests.tally("webSocket")
        found = [calls(app, connection, verb, data) for _ in range(TIMES)]
        await asyncio.sleep(2 * PAUSE)
        found += [calls(app, connection, verb, data) for _ in range(TIMES)]
        tally = requests.tallies["webSocket"]
        counted = [answered.n for part in (tally.verbs, tally.actions) for answered in part.values()]
        assert counted == [2 * TIMES]
        assert [sum(durations.counts) for durations in requests.durations.values()] == [2]
        return found

    watched = asyncio.run(look())
    more = [index for index, number in enumerate(watched) if number > unwatched[-1]]
    print(f"{unwatched[-1]} calls an answer, {watched[1]} when it is counted; the clock at {more}")
    assert more == [0, TIMES]


def test_all_are_timed_for_who_is_told_of_each(app: Any) -> None:
    told: list[float] = []
    app.verbs.meter = requests = Requests(app.actions.by_name, app.verbs.time_next)
    app.verbs.observe = lambda *arguments: told.append(arguments[-1])
    connection = Connection("a", "webSocket", "127.0.0.1", Silent(), {})
    connection.tally = requests.tally("webSocket")
    for _ in range(5):
        app.verbs.receive(connection, "detailsView", None, _taken)
    assert len(told) == 5
    assert all(0 < seconds < 1 for seconds in told)
    assert sum(requests.durations["detailsView", ""].counts) == 5


def test_a_verb_is_timed_by_its_buckets() -> None:
    requests = Requests({"a"}, lambda: None)
    for seconds in (0.00005, 0.3, 99.0):
        requests.took("action", {"action": "a"}, seconds)
    durations = requests.durations["action", "a"]
    assert durations.total == pytest.approx(99.30005)
    assert dict(durations.buckets()) == {str(b): float(1 + (b >= 0.3)) for b in BOUNDS} | {"+Inf": 3.0}
