"""Values under keys, with a time to live."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Subject


@pytest.mark.parametrize("value", [0, False, None, "", "é\u2028", [], {"a": [1, {"b": None}]}, 1.5, 2**53 - 1])
async def test_a_value_comes_back_as_it_was(subject: Subject, value: object) -> None:
    assert await subject.store.cache.save("key", value) is True
    cached = await subject.store.cache.load("key")
    assert cached is not None
    assert cached.value == value
    assert type(cached.value) is type(value)
    assert cached.expire_timestamp is None


async def test_what_was_never_saved_is_none(subject: Subject) -> None:
    cache = subject.store.cache
    assert await cache.load("key") is None
    assert await cache.destroy("key") is False
    assert await cache.size() == 0


async def test_a_value_expires(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("short", 1, 40)
    await cache.save("long", 2, 60_000)
    await cache.save("ever", 3)
    await subject.advance(41)
    assert await cache.load("short") is None
    assert await cache.size() == 2
    assert await cache.destroy("short") is False
    long = await cache.load("long")
    assert long is not None
    assert long.expire_timestamp == long.created_at + 60_000


async def test_no_time_to_live_is_gone_at_once(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("key", 1)
    for time_to_live in (0, -1):
        assert await cache.save("key", 2, time_to_live) is True
        assert await cache.load("key") is None
        assert await cache.size() == 0


async def test_saving_again_replaces_value_and_time_to_live(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("key", "first", 40)
    first = await cache.load("key")
    await subject.advance(5)
    await cache.save("key", "second", 60_000)
    await subject.advance(60)
    second = await cache.load("key")
    assert first is not None
    assert second is not None
    assert second.value == "second"
    assert second.created_at >= first.created_at + 5
    assert second.read_at is None
    await cache.save("key", "third")
    third = await cache.load("key")
    assert third is not None
    assert third.expire_timestamp is None
    assert await cache.size() == 1


async def test_read_at_is_the_load_before(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("key", 1, 60_000)
    first = await cache.load("key")
    await subject.advance(5)
    second = await cache.load("key")
    await subject.advance(5)
    third = await cache.load("key")
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.read_at is None
    assert second.read_at is not None
    assert second.read_at >= first.created_at
    assert third.read_at is not None
    assert third.read_at >= second.read_at + 5
    assert third.created_at == first.created_at
    assert third.expire_timestamp == first.expire_timestamp


async def test_destroy_takes_away(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("a", 1)
    await cache.save("b", 1, 60_000)
    assert await cache.destroy("a") is True
    assert await cache.destroy("a") is False
    assert await cache.size() == 1
    assert await cache.destroy("b") is True
    assert await cache.size() == 0


async def test_a_loaded_value_is_the_callers_own(subject: Subject) -> None:
    cache = subject.store.cache
    value = {"list": [1]}
    await cache.save("key", value)
    value["list"].append(2)
    first = await cache.load("key")
    assert first is not None
    assert first.value == {"list": [1]}
    first.value["list"].append(3)
    second = await cache.load("key")
    assert second is not None
    assert second.value == {"list": [1]}


async def test_keys_are_any_text(subject: Subject) -> None:
    cache = subject.store.cache
    keys = ["", " ", "*", "a:b", "ключ", "\n", "{tag}", "x" * 5000]
    for number, key in enumerate(keys):
        await cache.save(key, number)
    assert await cache.size() == len(keys)
    for number, key in enumerate(keys):
        cached = await cache.load(key)
        assert cached is not None
        assert cached.value == number


async def test_a_value_without_json_is_refused_and_loses_nothing(subject: Subject) -> None:
    cache = subject.store.cache
    await cache.save("key", "kept")
    with pytest.raises((TypeError, ValueError)):
        await cache.save("key", object())
    with pytest.raises(ValueError):
        await cache.save("key", "x" * 200_000)
    cached = await cache.load("key")
    assert cached is not None
    assert cached.value == "kept"
