"""A wheel calls each item once, not early and not much later than asked."""

from __future__ import annotations

import asyncio

import pytest

from ahd.servers.socketio.wheel import Due, Wheel

GRAIN = 0.01


class Item:
    def __init__(self) -> None:
        self.slot = -1


async def test_items_are_due_once_and_not_early() -> None:
    loop = asyncio.get_running_loop()
    due: list[tuple[Due, float]] = []
    all_due = asyncio.Event()

    def call(item: Due) -> None:
        due.append((item, loop.time()))
        if len(due) == 50:
            all_due.set()

    wheel = Wheel(GRAIN, call)
    wheel.start()
    begun = loop.time()
    items = [Item() for _ in range(50)]
    delays = [0.002 * number for number in range(50)]
    for item, delay in zip(items, delays, strict=True):
        wheel.put(item, delay)
    await asyncio.wait_for(all_due.wait(), 5)
    await asyncio.sleep(5 * GRAIN)
    wheel.stop()
    assert {id(item) for item, _ in due} == {id(item) for item in items}
    assert len(due) == 50
    asked = {id(item): delay for item, delay in zip(items, delays, strict=True)}
    assert all(at - begun >= asked[id(item)] for item, at in due)


async def test_an_item_is_held_once_and_can_be_moved_and_taken() -> None:
    due: list[Due] = []
    wheel = Wheel(GRAIN, due.append)
    wheel.start()
    moved, taken = Item(), Item()
    wheel.put(moved, 5)
    wheel.put(moved, 0.02)
    wheel.put(taken, 0.02)
    wheel.take(taken)
    wheel.take(taken)
    await asyncio.sleep(0.2)
    wheel.stop()
    assert due == [moved]
    assert moved.slot == -1


async def test_what_is_due_may_be_put_again_and_a_failure_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Due] = []
    thrice = asyncio.Event()
    again, broken = Item(), Item()

    def call(item: Due) -> None:
        seen.append(item)
        if item is broken:
            raise RuntimeError("broken")
        if seen.count(item) < 3:
            wheel.put(item, GRAIN)
        else:
            thrice.set()

    wheel = Wheel(GRAIN, call)
    wheel.start()
    wheel.put(again, 0)
    wheel.put(broken, 0)
    await asyncio.wait_for(thrice.wait(), 5)
    wheel.stop()
    assert seen.count(again) == 3
    assert seen.count(broken) == 1
    assert "a heartbeat failed" in caplog.text
