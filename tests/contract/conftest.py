"""A store of each kind, opened, with what it delivers kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import orjson
import pytest

from ahd.core.interfaces import Store
from ahd.core.message import Say
from ahd.store.memory import MemoryStore
from tests.harness.clock import Clock


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


KINDS = {"memory": memory}


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for made in KINDS[request.param]():
        yield made
