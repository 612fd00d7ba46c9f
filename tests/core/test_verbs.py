"""Each counted verb gets exactly one reply, with its count, in order; and each verb does what docs/protocol.md says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ahd.codec import decode, encode
from ahd.core.errors import CLIENT_QUIT, STORE_LOST, StoreUnavailable
from ahd.core.message import Say
from ahd.store.memory import MemoryBus, MemoryPresence, MemoryStore
from tests.core.conftest import World


def test_welcome_comes_first_and_tells_the_room(world: World) -> None:
    connection, link = world.client("a")
    assert link.events == [("welcome", {"welcome": "Hello!", "room": "lobby", "context": "api"})]
    assert connection.room == "lobby"


def test_every_verb_but_farewells_is_counted_from_one(world: World) -> None:
    connection, _ = world.client("a")
    verbs = ["detailsView", "say", "roomView", "roomChange", "listenToRoom", "silenceRoom", "action"]
    counts = [world.ask(connection, verb, {})[0]["messageCount"] for verb in verbs]
    assert counts == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("verb", ["quit", "exit", "close"])
def test_farewells_close_without_a_reply_or_a_count(world: World, verb: str) -> None:
    connection, link = world.client("a")
    assert world.ask(connection, verb, "anything") == []
    assert link.closed is CLIENT_QUIT
    assert connection.count == 0


@pytest.mark.parametrize("data", [[], "text", 1, True, 0, ""])
def test_data_must_be_an_object(world: World, data: Any) -> None:
    connection, _ = world.client("a")
    assert world.ask(connection, "roomView", data) == [
        {"context": "response", "error": "data must be an object", "messageCount": 1}
    ]


def test_null_data_stands_for_an_empty_object(world: World) -> None:
    connection, _ = world.client("a")
    assert world.ask(connection, "roomView", None)[0]["status"] == "OK"


def test_say_reaches_all_who_hear_the_room_but_the_speaker(world: World) -> None:
    speaker, to_speaker = world.client("a")
    _, to_member = world.client("b")
    listener, to_listener = world.client("c")
    world.ask(listener, "roomChange", {"room": "elsewhere"})
    world.ask(listener, "listenToRoom", {"room": "lobby"})
    for link in (to_speaker, to_member, to_listener):
        link.events.clear()
    assert world.ask(speaker, "say", {"message": {"any": ["json"]}}) == [
        {"context": "response", "status": "OK", "messageCount": 1}
    ]
    assert to_speaker.events == []
    assert to_member.said() == to_listener.said() == [("lobby", "a", {"any": ["json"]})]
    say = to_member.events[0][1]
    assert say["context"] == "user"
    assert isinstance(say["sentAt"], int)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({}, "message is required"),
        ({"message": None}, "message is required"),
        ({"message": "x" * 60}, "message is too large"),
        ({"message": b"bytes"}, "message cannot be sent"),
    ],
)
def test_say_refuses(world: World, data: Any, error: str) -> None:
    connection, _ = world.client("a")
    _, other = world.client("b")
    other.events.clear()
    assert world.ask(connection, "say", data) == [{"context": "response", "error": error, "messageCount": 1}]
    assert other.events == []


@pytest.mark.parametrize("message", ["", 0, False, [], {}, "x" * 48])
def test_say_takes_any_json_but_null_up_to_the_limit(world: World, message: Any) -> None:
    connection, _ = world.client("a")
    _, other = world.client("b")
    other.events.clear()
    assert world.ask(connection, "say", {"message": message})[0]["status"] == "OK"
    assert other.said() == [("lobby", "a", message)]


def test_room_change_is_announced_in_both_rooms_and_seen_in_the_views(world: World) -> None:
    mover, to_mover = world.client("a")
    stays, to_stays = world.client("b")
    there, to_there = world.client("c")
    world.ask(there, "roomChange", {"room": "den"})
    for link in (to_mover, to_stays, to_there):
        link.events.clear()
    assert world.ask(mover, "roomChange", {"room": "den"})[0] == {
        "context": "response", "status": "OK", "room": "den", "messageCount": 1,
    }  # fmt: skip
    assert to_stays.said() == [("lobby", "a", "I have left the room")]
    assert to_there.said() == [("den", "a", "I have entered the room")]
    assert to_mover.events == []
    assert world.ask(stays, "roomView")[0]["roomStatus"] == {"room": "lobby", "members": ["b"], "membersCount": 1}
    assert world.ask(mover, "roomView")[0]["roomStatus"]["members"] == ["c", "a"]


def test_a_change_to_the_same_room_changes_nothing(world: World) -> None:
    connection, _ = world.client("a")
    _, other = world.client("b")
    other.events.clear()
    assert world.ask(connection, "roomChange", {"room": "lobby"})[0]["status"] == "OK"
    assert other.events == []


BAD_NAMES: list[Any] = ["", "x" * 21, "a\nb", "\x00", "\x7f", "\x85", "\ud800", 1, ["a"], {}]
BAD_NAME = "room must be a string of 1 to 20 characters without control characters"


@pytest.mark.parametrize("verb", ["roomChange", "listenToRoom", "silenceRoom"])
@pytest.mark.parametrize(("room", "error"), [(None, "room is required"), *[(name, BAD_NAME) for name in BAD_NAMES]])
def test_room_names_are_checked(world: World, verb: str, room: Any, error: str) -> None:
    connection, _ = world.client("a")
    assert world.ask(connection, verb, {"room": room})[0]["error"] == error
    assert connection.room == "lobby"


def test_listening_twice_and_silencing_what_is_not_heard_are_errors_that_change_nothing(world: World) -> None:
    connection, link = world.client("a")
    speaker, _ = world.client("b")
    world.ask(speaker, "roomChange", {"room": "den"})
    assert world.ask(connection, "silenceRoom", {"room": "den"})[0]["error"] == "you are not listening to this room"
    assert world.ask(connection, "listenToRoom", {"room": "den"})[0]["status"] == "OK"
    again = world.ask(connection, "listenToRoom", {"room": "den"})[0]
    assert again["error"] == "you are already listening to this room"
    assert "status" not in again
    link.events.clear()
    world.ask(speaker, "say", {"message": "once"})
    assert link.said() == [("den", "b", "once")]
    assert world.ask(connection, "silenceRoom", {"room": "den"})[0]["status"] == "OK"
    world.ask(speaker, "say", {"message": "unheard"})
    assert len(link.said()) == 1


def test_a_listener_is_no_member_and_cannot_speak_there(world: World) -> None:
    listener, _ = world.client("a")
    member, to_member = world.client("b")
    world.ask(member, "roomChange", {"room": "den"})
    world.ask(listener, "listenToRoom", {"room": "den"})
    to_member.events.clear()
    world.ask(listener, "say", {"message": "hi", "room": "den"})
    assert to_member.events == []
    assert world.ask(member, "roomView")[0]["roomStatus"]["members"] == ["b"]


def test_who_listens_to_its_own_room_hears_once_and_goes_on_hearing_it_after_a_change(world: World) -> None:
    connection, link = world.client("a")
    speaker, _ = world.client("b")
    world.ask(connection, "listenToRoom", {"room": "lobby"})
    link.events.clear()
    world.ask(speaker, "say", {"message": 1})
    world.ask(connection, "roomChange", {"room": "den"})
    world.ask(speaker, "say", {"message": 2})
    world.ask(connection, "silenceRoom", {"room": "lobby"})
    world.ask(speaker, "say", {"message": 3})
    assert [message for _, _, message in link.said()] == [1, 2]


def test_listening_is_bounded(world: World) -> None:
    connection, _ = world.client("a")
    for room in ("one", "two"):
        assert world.ask(connection, "listenToRoom", {"room": room})[0]["status"] == "OK"
    assert world.ask(connection, "listenToRoom", {"room": "three"})[0]["error"] == "you are listening to too many rooms"


def test_who_has_gone_is_announced_once_hears_nothing_and_gets_no_answer(world: World) -> None:
    connection, link = world.client("a")
    other, to_other = world.client("b")
    to_other.events.clear()
    link.events.clear()
    world.verbs.closed(connection)
    world.verbs.closed(connection)
    world.ask(other, "say", {"message": "hi"})
    assert to_other.said() == [("lobby", "a", "I have left the room")]
    assert link.events == []
    assert world.ask(connection, "roomView") == []
    assert world.rooms.here() == {"b": other}


class SlowBus(MemoryBus):
    """Publishes when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.away = False

    async def publish(self, say: Say) -> None:
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable
        await super().publish(say)


class AwayPresence(MemoryPresence):
    async def enter(self, room: str, member: str, entered: Say | None) -> None:
        raise StoreUnavailable


class SlowStore(MemoryStore):
    immediate = False

    def __init__(self) -> None:
        super().__init__(encode, decode, 10, 1000)
        self.bus = self.slow = SlowBus()


async def settle(world: World) -> None:
    while pending := [task for task in world.tasks if not task.done()]:
        await asyncio.wait(pending, timeout=5)


async def test_verbs_behind_one_that_waits_keep_their_order_and_their_counts() -> None:
    store = SlowStore()
    world = World(store, announce=False)
    await store.open(world.rooms.deliver)
    connection, _ = world.client("a")
    await settle(world)
    answers: list[Any] = []
    world.verbs.receive(connection, "say", {"message": 1}, answers.append)
    world.verbs.receive(connection, "roomChange", {"room": "den"}, answers.append)
    world.verbs.receive(connection, "roomView", {}, answers.append)
    world.verbs.receive(connection, "action", {"x": 1}, answers.append)
    world.verbs.receive(connection, "detailsView", {}, answers.append)
    assert [(a["messageCount"], a["error"]) for a in answers] == [(5, "you have too many pending requests")]
    store.slow.gate.set()
    await settle(world)
    assert [a["messageCount"] for a in answers] == [5, 1, 2, 3, 4]
    assert answers[3]["room"] == "den"
    assert answers[4]["x"] == 1


async def test_a_store_that_is_away_is_told_and_loses_no_count() -> None:
    store = SlowStore()
    world = World(store, announce=False)
    await store.open(world.rooms.deliver)
    connection, _ = world.client("a")
    await settle(world)
    store.slow.away = True
    store.slow.gate.set()
    answers = world.ask(connection, "say", {"message": 1})
    await settle(world)
    assert answers == [{"context": "response", "error": "the store is unavailable", "messageCount": 1}]


async def test_who_leaves_while_a_verb_waits_leaves_after_it() -> None:
    store = SlowStore()
    world = World(store, announce=False)
    await store.open(world.rooms.deliver)
    connection, _ = world.client("a")
    await settle(world)
    answers = world.ask(connection, "say", {"message": 1})
    world.ask(connection, "say", {"message": 2})
    world.verbs.closed(connection)
    store.slow.gate.set()
    await settle(world)
    assert [a["messageCount"] for a in answers] == [1]
    assert world.rooms.here() == {}
    assert await store.presence.members("lobby") == []


async def test_a_client_is_sent_away_when_it_cannot_enter_its_first_room() -> None:
    store = SlowStore()
    store.presence = AwayPresence()
    world = World(store)
    _, link = world.client("a")
    await settle(world)
    assert link.closed is STORE_LOST
    assert link.events == []


def test_a_verb_that_fails_inside_is_answered_with_the_server_error(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection, _ = world.client("a")

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(world.rooms, "view", broken)
    assert world.ask(connection, "roomView") == [{"context": "response", "error": "Error: it broke", "messageCount": 1}]
    assert "a secret of the inside" in caplog.text
