"""A store of each kind, opened, with what it delivers kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import orjson
import pytest

from ahd.core.interfaces import Store
from ahd.core.message import Say
from ahd.store.memory import MemoryStore
from tests.harness.clock import Clock
from tests.harness.places import PLACES, Place
from tests.store.stores import redis_store


class Subject:
    """An opened store; `heard` are the says it delivered, `advance` lets its time go on."""

    def __init__(self, store: Store, advance: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        self.store = store
        self.heard: list[Say] = []
        self.advance = advance

    def messages(self) -> list[Any]:
        """What was said, in the order of its delivery."""
        return [orjson.loads(say.json)["message"] for say in self.heard]


def spoken(room: str, sender: str, message: Any) -> Say:
    """A say as the core makes it."""
    return Say.spoken(room, sender, message, orjson.dumps)


async def memory() -> AsyncIterator[Subject]:
    clock = Clock()

    async def advance(milliseconds: int) -> None:
        clock.now += milliseconds

    store = MemoryStore(orjson.dumps, orjson.loads, max_entries=1000, max_size=100_000, clock=clock, elapsed=clock)
    subject = Subject(store, advance)
    await store.open(subject.heard.append)
    yield subject
    await store.close()


async def redis(place: Place) -> AsyncIterator[Subject]:
    async def advance(milliseconds: int) -> None:
        # The time of Redis is nobody's to set.
        await asyncio.sleep(milliseconds / 1000)

    store = redis_store(place.section)
    subject = Subject(store, advance)
    await store.open(subject.heard.append)
    assert store.away() is None
    yield subject
    await store.close()
    with place.master().client() as client:
        client.flushall()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """One Redis of each kind for all tests of the contract; each leaves it empty."""
    started: dict[str, Place] = {}

    def place(name: str) -> Place:
        if reason := PLACES[name].lacking():
            pytest.skip(reason)
        if name not in started:
            started[name] = PLACES[name](tmp_path_factory.mktemp("place"))
            started[name].start()
        return started[name]

    yield place
    for one in started.values():
        one.stop()


@pytest.fixture(params=["memory", *PLACES])
async def subject(request: pytest.FixtureRequest, places: Callable[[str], Place]) -> AsyncIterator[Subject]:
    made = memory() if request.param == "memory" else redis(places(request.param))
    async for subject in made:
        yield subject
