"""Says, from one who publishes to all who hear."""

from __future__ import annotations

import orjson

from ahd.core.message import Say
from tests.contract.conftest import Subject, spoken
from tests.harness.waiting import eventually_async


async def test_a_say_arrives_once_and_as_it_was_encoded(subject: Subject) -> None:
    bus = subject.store.bus
    await bus.subscribe("a")
    say = spoken("a", "one", {"text": "é\u2028", "n": [1.50, None]})
    await bus.publish(say)
    await bus.publish(spoken("a", "one", "last"))
    await eventually_async(lambda: len(subject.heard) == 2)
    heard = subject.heard[0]
    assert (heard.room, heard.sender, heard.json) == ("a", "one", say.json)


async def test_a_say_of_the_server_has_no_sender(subject: Subject) -> None:
    await subject.store.bus.subscribe("a")
    await subject.store.bus.publish(Say.announced("a", "news", orjson.dumps))
    await eventually_async(lambda: len(subject.heard) == 1)
    assert subject.heard[0].sender is None


async def test_says_arrive_in_the_order_of_their_publishing(subject: Subject) -> None:
    bus = subject.store.bus
    for room in ("a", "b"):
        await bus.subscribe(room)
    for number in range(500):
        await bus.publish(spoken("ab"[number % 2], "one", number))
    await eventually_async(lambda: len(subject.heard) == 500)
    assert subject.messages() == list(range(500))


async def test_announcements_and_says_keep_their_order(subject: Subject) -> None:
    store = subject.store
    await store.bus.subscribe("a")
    for number in range(0, 100, 2):
        await store.bus.publish(spoken("a", "one", number))
        await store.presence.enter("a", f"member{number}", spoken("a", f"member{number}", number + 1))
    await eventually_async(lambda: len(subject.heard) == 100)
    assert subject.messages() == list(range(100))


async def test_subscriptions_are_counted(subject: Subject) -> None:
    bus = subject.store.bus
    await bus.subscribe("a")
    await bus.subscribe("a")
    await bus.unsubscribe("a")
    await bus.publish(spoken("a", "one", 1))
    await eventually_async(lambda: subject.messages() == [1])
    await bus.unsubscribe("a")
    await bus.subscribe("a")
    await bus.publish(spoken("a", "one", 2))
    await eventually_async(lambda: subject.messages() == [1, 2])


async def test_nobody_hears_after_close(subject: Subject) -> None:
    await subject.store.bus.subscribe("a")
    await subject.store.close()
    assert subject.heard == []


async def test_the_store_is_there(subject: Subject) -> None:
    assert subject.store.away() is None
