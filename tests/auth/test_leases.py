"""The one timer of all tokens: each expires in its time, whatever the clock does, and the gone are let go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from ahd.auth import leases as module
from ahd.auth.leases import SWEEP_AT, Leases


class Client:
    def __init__(self, expires_at: float | None) -> None:
        self.expires_at = expires_at
        self.gone = False
        self.expired = 0.0
        self.done = asyncio.Event()

    def expire(self) -> None:
        self.expired = time.time()
        self.done.set()


@pytest.fixture
async def leases() -> AsyncIterator[Leases]:
    made = Leases()
    made.start()
    yield made
    made.stop()


async def until(client: Client) -> None:
    await asyncio.wait_for(client.done.wait(), 5)


async def test_each_in_its_time(leases: Leases) -> None:
    now = time.time()
    late, soon, first = Client(now + 0.3), Client(now + 0.2), Client(now - 5)
    for client in (late, soon, first):
        leases.add(client)
    leases.add(Client(None))
    for client in (first, soon, late):
        await until(client)
        assert client.expires_at is not None
        assert 0 <= client.expired - max(client.expires_at, now) < 1
    assert first.expired <= soon.expired <= late.expired
    assert len(leases) == 0


async def test_one_that_is_put_off_expires_later(leases: Leases) -> None:
    client, other = Client(time.time() + 0.05), Client(time.time() + 0.1)
    leases.add(client)
    leases.add(other)
    client.expires_at = time.time() + 0.4
    await until(other)
    assert not client.expired
    await until(client)
    assert client.expired >= client.expires_at


async def test_the_gone_are_not_expired_and_not_kept(leases: Leases) -> None:
    gone = Client(time.time() + 0.05)
    leases.add(gone)
    gone.gone = True
    for _ in range(5 * SWEEP_AT):
        client = Client(time.time() + 3600)
        leases.add(client)
        client.gone = True
        assert len(leases) <= SWEEP_AT + 1
    await asyncio.sleep(0.1)
    assert not gone.expired


async def test_a_clock_that_is_set_is_noticed(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SLEEP", 0.05)
    client = Client(time.time() + 3600)
    leases.add(client)
    await asyncio.sleep(0.1)
    assert not client.expired
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 4000)
    await until(client)


async def test_nothing_is_looked_at_after_the_end(leases: Leases) -> None:
    client = Client(time.time() + 0.05)
    leases.add(client)
    leases.stop()
    await asyncio.sleep(0.1)
    assert not client.expired
