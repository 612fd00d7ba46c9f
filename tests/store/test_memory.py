"""The bounds of the store in memory."""

from __future__ import annotations

import random

import orjson
import pytest

from ahd.store.memory import MemoryCache
from tests.harness.clock import Clock


def made(max_entries: int = 10, max_size: int = 10_000) -> tuple[MemoryCache, Clock]:
    clock = Clock()
    return MemoryCache(orjson.dumps, orjson.loads, max_entries, max_size, clock, clock), clock


async def test_at_the_bound_the_value_unused_for_longest_goes() -> None:
    cache, _ = made(max_entries=3)
    for key in "abc":
        await cache.save(key, key)
    await cache.load("a")
    await cache.save("d", "d")
    assert [key for key in "abcd" if await cache.load(key) is not None] == ["a", "c", "d"]
    assert cache.evicted == 1


async def test_what_has_expired_makes_room_before_anything_is_given_up() -> None:
    cache, clock = made(max_entries=2)
    await cache.save("kept", 1)
    await cache.save("short", 1, 10)
    clock.now += 10
    await cache.save("new", 1)
    assert await cache.load("kept") is not None
    assert cache.evicted == 0


async def test_replacing_a_value_gives_up_no_other() -> None:
    cache, _ = made(max_entries=2)
    await cache.save("a", 1)
    await cache.save("b", 1)
    await cache.save("a", 2)
    assert await cache.load("b") is not None
    assert cache.evicted == 0


async def test_the_size_counts_keys_and_values_in_bytes() -> None:
    cache, _ = made(max_entries=1000, max_size=100)
    await cache.save("é", "x" * 46)  # 2 bytes of key, 48 of JSON
    await cache.save("b", "x" * 47)
    assert await cache.size() == 2
    await cache.save("c", 1)
    assert await cache.load("é") is None
    assert await cache.size() == 2


async def test_a_value_larger_than_the_cache_is_refused_and_gives_up_nothing() -> None:
    cache, _ = made(max_size=100)
    await cache.save("a", 1)
    with pytest.raises(ValueError, match="larger than the whole cache"):
        await cache.save("b", "x" * 100)
    assert await cache.load("a") is not None


async def test_it_stays_within_its_bounds_and_agrees_with_a_simple_model() -> None:
    random_ = random.Random(20121)
    cache, clock = made(max_entries=20, max_size=2000)
    model: dict[str, tuple[int, int | None]] = {}
    for step in range(5000):
        key = f"key{random_.randrange(15)}"  # fewer keys than the bound: nothing is evicted
        match random_.randrange(5):
            case 0 | 1:
                time_to_live = random_.choice([None, random_.randrange(1, 200)])
                await cache.save(key, step, time_to_live)
                model[key] = (step, None if time_to_live is None else clock.now + time_to_live)
            case 2:
                cached = await cache.load(key)
                assert (None if cached is None else cached.value) == model.get(key, (None,))[0]
            case 3:
                assert await cache.destroy(key) == (model.pop(key, None) is not None)
            case _:
                clock.now += random_.randrange(50)
                model = {k: v for k, v in model.items() if v[1] is None or v[1] > clock.now}
        assert await cache.size() == len(model)
    assert cache.evicted == 0


async def test_what_it_remembers_of_expiries_is_bounded() -> None:
    cache, _ = made(max_entries=10)
    for _ in range(10_000):
        await cache.save("key", 1, 60_000)
    assert len(cache._expiries) <= 2 * 10 + 64 + 1
