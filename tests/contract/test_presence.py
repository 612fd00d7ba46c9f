"""Who is in which room, each change with its announcement."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Subject, spoken
from tests.harness.waiting import eventually_async


@pytest.fixture(autouse=True)
async def rooms(subject: Subject) -> None:
    for room in ("a", "b"):
        await subject.store.bus.subscribe(room)


async def test_enter_move_leave(subject: Subject) -> None:
    presence = subject.store.presence
    assert await presence.members("a") == []
    await presence.enter("a", "one", None)
    await presence.enter("a", "two", None)
    assert await presence.members("a") == ["one", "two"]
    await presence.move("one", "a", "b", None, None)
    assert await presence.members("a") == ["two"]
    assert await presence.members("b") == ["one"]
    await presence.leave("b", "one", None)
    await presence.leave("a", "two", None)
    assert await presence.members("a") == []
    assert await presence.members("b") == []
    assert subject.heard == []


async def test_members_stand_in_the_order_of_their_coming(subject: Subject) -> None:
    presence = subject.store.presence
    names = [f"member{number}" for number in (7, 3, 9, 1)]
    for name in names:
        await presence.enter("a", name, None)
    await presence.leave("a", "member3", None)
    await presence.enter("a", "member3", None)
    assert await presence.members("a") == ["member7", "member9", "member1", "member3"]


async def test_a_change_is_announced_with_it(subject: Subject) -> None:
    presence = subject.store.presence
    await presence.enter("a", "one", spoken("a", "one", "entered a"))
    await presence.move("one", "a", "b", spoken("a", "one", "left a"), spoken("b", "one", "entered b"))
    await presence.leave("b", "one", spoken("b", "one", "left b"))
    await eventually_async(lambda: len(subject.heard) == 4)
    assert subject.messages() == ["entered a", "left a", "entered b", "left b"]
    assert [say.room for say in subject.heard] == ["a", "a", "b", "b"]
    assert {say.sender for say in subject.heard} == {"one"}


async def test_leaving_twice_is_no_error_and_takes_nobody_else(subject: Subject) -> None:
    presence = subject.store.presence
    await presence.enter("a", "one", None)
    await presence.enter("a", "two", None)
    await presence.leave("a", "one", None)
    await presence.leave("a", "one", None)
    assert await presence.members("a") == ["two"]


@pytest.mark.parametrize("name", ["room with spaces", "комната", "{tag}", "a:b", "*", "x" * 200, "__proto__"])
async def test_rooms_have_any_name(subject: Subject, name: str) -> None:
    presence = subject.store.presence
    await subject.store.bus.subscribe(name)
    await presence.enter(name, "one", spoken(name, "one", "entered"))
    assert await presence.members(name) == ["one"]
    await eventually_async(lambda: len(subject.heard) == 1)
    assert subject.heard[0].room == name


async def test_after_close_the_members_are_gone(subject: Subject) -> None:
    await subject.store.presence.enter("a", "one", None)
    await subject.store.close()
    await subject.store.close()
    await subject.store.open(subject.heard.append)
    assert await subject.store.presence.members("a") == []
