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
from tests.harness.redis import RedisServer
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

    store = MemoryStore(orjson.dumps, orjson.loads, max_entries=1000, max_size=100_000, clock=clock)
    subject = Subject(store, advance)
    await store.open(subject.heard.append)
    yield subject
    await store.close()


async def redis(server: RedisServer) -> AsyncIterator[Subject]:
    async def advance(milliseconds: int) -> None:
        # The time of Redis is nobody's to set.
        await asyncio.sleep(milliseconds / 1000)

    store = redis_store(server)
    subject = Subject(store, advance)
    await store.open(subject.heard.append)
    assert store.away() is None
    yield subject
    await store.close()
    with server.client() as client:
        client.flushall()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of the contract; each leaves it empty."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made = memory() if request.param == "memory" else redis(request.getfixturevalue("shared_redis"))
    async for subject in made:
        yield subject
