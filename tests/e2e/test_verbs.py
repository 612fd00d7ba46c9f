"""Every verb, over every transport, as socket.io-client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import NodeSocket
from tests.harness.waiting import eventually

CONFIG: dict[str, Any] = {
    "actions": {"modules": ["tests.e2e.plugins.actions"]},
    "general": {"actionTimeout": 1.5, "simultaneousActions": 3, "welcomeMessage": "Good day"},
}
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}

Enter = Callable[[], NodeSocket]


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG, allow_traceback=True)


@pytest.fixture(params=[pytest.param("websocket", marks=pytest.mark.smoke), "polling", "upgrade"])
def enter(request: pytest.FixtureRequest, daemon: Daemon, connect: Connect) -> Enter:
    """Connects a client and takes its welcome."""

    def enter() -> NodeSocket:
        client = connect(daemon.url, transports=TRANSPORTS[request.param])
        client.expect("welcome")
        if request.param == "upgrade":
            client.expect("upgrade")
        return client

    return enter


@pytest.fixture
def client(enter: Enter) -> NodeSocket:
    return enter()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room that no other test enters."""
    return f"room of {request.node.name}"


ANNOUNCED = {"I have entered the room", "I have left the room"}


def spoken(client: NodeSocket) -> list[Any]:
    """What it has heard from people; others of these tests come and go in the default room."""
    return [say["message"] for say in client.events("say") if say["message"] not in ANNOUNCED]


def members(client: NodeSocket) -> set[str]:
    return set(client.call("roomView")["roomStatus"]["members"])


class TestWelcome:
    @pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=list(TRANSPORTS))
    def test_comes_first_and_once(self, daemon: Daemon, connect: Connect, transports: list[str]) -> None:
        client = connect(daemon.url, transports=transports)
        assert client.expect("welcome") == {"welcome": "Good day", "room": "defaultRoom", "context": "api"}
        client.call("detailsView")
        assert client.events("welcome") == []

    def test_the_others_hear_of_it(self, enter: Enter) -> None:
        first = enter()
        second = enter()
        said = first.expect("say", lambda say: say["from"] == second.id)
        assert said.pop("sentAt") == pytest.approx(time.time() * 1000, abs=5000)
        assert said == {
            "message": "I have entered the room",
            "room": "defaultRoom",
            "from": second.id,
            "context": "user",
        }
        assert all(say["from"] != second.id for say in second.events("say"))
        second.close()
        assert first.expect("say", lambda say: say["from"] == second.id)["message"] == "I have left the room"


class TestAction:
    def test_answers_with_its_own_keys(self, client: NodeSocket) -> None:
        assert client.ask("action", {"action": "add", "a": 1, "b": 2}) == {
            "context": "response",
            "sum": 3,
            "messageCount": 1,
        }

    def test_acknowledged_answers_make_no_event(self, client: NodeSocket) -> None:
        assert client.call("action", {"action": "add", "a": 1}) == {"context": "response", "sum": 1, "messageCount": 1}
        client.call("detailsView")
        assert client.events("response") == []

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            ({"action": "add"}, "Error: a is a required parameter for this action"),
            ({"action": "no such"}, "Error: no such is not a known action."),
            ({}, "Error: {no action} is not a known action."),
            (None, "Error: {no action} is not a known action."),
            ([1], "data must be an object"),
            ("add", "data must be an object"),
            (7, "data must be an object"),
            (False, "data must be an object"),
            ({"action": "boom"}, "Error: The server experienced an internal error"),
            ({"action": "unsayable"}, "Error: The server experienced an internal error"),
        ],
    )
    def test_errors(self, client: NodeSocket, data: Any, error: str) -> None:
        assert client.call("action", data) == {"context": "response", "error": error, "messageCount": 1}
        # The connection goes on.
        assert client.call("action", {"action": "add", "a": 1})["messageCount"] == 2

    def test_input_of_the_wrong_type(self, client: NodeSocket) -> None:
        answer = client.call("action", {"action": "add", "a": {"not": "a number"}})
        assert answer["error"].startswith("Error: a ")
        assert set(answer) == {"context", "error", "messageCount"}

    def test_without_any_data(self, client: NodeSocket) -> None:
        client.emit("action")
        assert client.expect("response")["error"] == "Error: {no action} is not a known action."

    def test_an_action_that_takes_too_long(self, client: NodeSocket) -> None:
        start = time.monotonic()
        answer = client.call("action", {"action": "hang"})
        assert answer == {"context": "response", "error": "Error: the action took too long", "messageCount": 1}
        assert 1.4 < time.monotonic() - start < 3

    def test_a_plain_function_runs_beside_the_others(self, client: NodeSocket) -> None:
        client.emit("action", {"action": "block", "ms": 500})
        start = time.monotonic()
        assert client.call("action", {"action": "add", "a": 1})["messageCount"] == 2
        assert time.monotonic() - start < 0.45
        assert client.expect("response") == {"context": "response", "slept": 500, "messageCount": 1}

    def test_counts_are_stamped_on_arrival(self, client: NodeSocket) -> None:
        client.emit("action", {"action": "sleepTest", "sleepDuration": 300})
        client.emit("action", {"action": "sleepTest", "sleepDuration": 10})
        client.emit("detailsView")
        answers = [client.expect("response") for _ in range(3)]
        assert [answer["messageCount"] for answer in answers] == [3, 2, 1]

    def test_too_many_at_once(self, client: NodeSocket) -> None:
        for _ in range(4):
            client.emit("action", {"action": "sleepTest", "sleepDuration": 300})
        first = client.expect("response")
        assert first == {"context": "response", "error": "you have too many pending requests", "messageCount": 4}
        assert sorted(client.expect("response")["messageCount"] for _ in range(3)) == [1, 2, 3]
        assert "error" not in client.call("action", {"action": "add", "a": 1})

    def test_built_in_actions(self, client: NodeSocket) -> None:
        status = client.call("action", {"action": "status"})
        assert {"id", "uptime", "stats"} <= set(status)
        assert 0 <= client.call("action", {"action": "randomNumber"})["randomNumber"] <= 1
        names = [entry["name"] for entry in client.call("action", {"action": "actionsView"})["actions"]]
        assert names == sorted(names)
        assert {"add", "status", "actionsView", "cacheTest", "randomNumber", "sleepTest"} <= set(names)
        results = client.call("action", {"action": "cacheTest", "key": "k", "value": "v"})["cacheTestResults"]
        assert (results["key"], results["value"], results["saveResp"], results["deleteResp"]) == ("k", "v", True, True)
        assert {"key", "value", "expireTimestamp", "createdAt", "readAt"} == set(results["loadResp"])


class TestSay:
    @pytest.mark.parametrize("message", ["hello", "", 0, False, [1, None], {"a": {"b": "ü€😀"}}, 1.5], ids=repr)
    def test_reaches_the_others(self, enter: Enter, room: str, message: Any) -> None:
        speaker, hearer = enter(), enter()
        for client in (speaker, hearer):
            client.call("roomChange", {"room": room})
        assert speaker.ask("say", {"message": message}) == {"context": "response", "status": "OK", "messageCount": 2}
        said = hearer.expect("say", lambda say: say["room"] == room)
        assert isinstance(said.pop("sentAt"), int)
        assert said == {"message": message, "room": room, "from": speaker.id, "context": "user"}
        # Its own words do not come back.
        speaker.call("detailsView")
        assert spoken(speaker) == []

    def test_in_the_order_said(self, enter: Enter, room: str) -> None:
        speaker, hearer = enter(), enter()
        for client in (speaker, hearer):
            client.call("roomChange", {"room": room})
        hearer.forget()
        for number in range(200):
            speaker.emit("say", {"message": number})
        heard = [hearer.expect("say")["message"] for _ in range(200)]
        assert heard == list(range(200))
        counts = [speaker.expect("response")["messageCount"] for _ in range(200)]
        assert counts == list(range(2, 202))

    @pytest.mark.parametrize("data", [None, {}, {"message": None}, {"text": "hello"}])
    def test_without_a_message(self, client: NodeSocket, data: Any) -> None:
        assert client.call("say", data) == {"context": "response", "error": "message is required", "messageCount": 1}

    def test_stays_in_its_room(self, enter: Enter, room: str) -> None:
        speaker, other = enter(), enter()
        speaker.call("roomChange", {"room": room})
        other.forget()
        speaker.call("say", {"message": "in here"})
        other.call("detailsView")
        assert spoken(other) == []


class TestRooms:
    def test_view(self, enter: Enter, room: str) -> None:
        first, second = enter(), enter()
        assert first.call("roomChange", {"room": room}) == {
            "context": "response",
            "status": "OK",
            "room": room,
            "messageCount": 1,
        }
        second.call("roomChange", {"room": room})
        view = first.ask("roomView", {})
        assert sorted(view["roomStatus"].pop("members")) == sorted([first.id, second.id])
        assert view == {
            "context": "response",
            "status": "OK",
            "room": room,
            "roomStatus": {"room": room, "membersCount": 2},
            "messageCount": 2,
        }

    def test_change_is_announced_in_both_rooms(self, enter: Enter, room: str) -> None:
        mover, left, entered = enter(), enter(), enter()
        for client, name in ((mover, f"{room} 1"), (left, f"{room} 1"), (entered, f"{room} 2")):
            client.call("roomChange", {"room": name})
        left.forget()
        entered.forget()
        mover.call("roomChange", {"room": f"{room} 2"})
        said = left.expect("say")
        assert (said["message"], said["room"], said["from"]) == ("I have left the room", f"{room} 1", mover.id)
        said = entered.expect("say")
        assert (said["message"], said["room"], said["from"]) == ("I have entered the room", f"{room} 2", mover.id)
        assert members(left) == {left.id}
        assert members(entered) == {entered.id, mover.id}

    @pytest.mark.parametrize("verb", ["roomChange", "listenToRoom", "silenceRoom"])
    @pytest.mark.parametrize("data", [None, {}, {"room": None}, {"room": ""}])
    def test_without_a_room(self, client: NodeSocket, verb: str, data: Any) -> None:
        answer = client.call(verb, data)
        assert "status" not in answer
        assert answer["messageCount"] == 1
        if data != {"room": ""}:
            assert answer["error"] == "room is required"
        assert client.call("detailsView")["details"]["room"] == "defaultRoom"

    @pytest.mark.parametrize("name", [5, ["a"], "x" * 201, "a\nb", "\x00"], ids=repr)
    def test_bad_names(self, client: NodeSocket, name: Any) -> None:
        assert "room" in client.call("roomChange", {"room": name})["error"]
        assert client.call("roomView")["room"] == "defaultRoom"

    @pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "ü€😀", "a/b#c?d", " "])
    def test_odd_names(self, client: NodeSocket, name: str) -> None:
        assert client.call("roomChange", {"room": name})["room"] == name
        status = client.call("roomView")["roomStatus"]
        assert status["room"] == name
        assert client.id in status["members"]

    def test_a_room_named_like_a_client(self, enter: Enter) -> None:
        first, second = enter(), enter()
        first.call("roomChange", {"room": second.id})
        second.forget()
        first.call("say", {"message": "private?"})
        second.call("detailsView")
        assert spoken(second) == []

    def test_a_listener_hears_and_is_no_member(self, enter: Enter, room: str) -> None:
        speaker, listener = enter(), enter()
        speaker.call("roomChange", {"room": room})
        assert listener.call("listenToRoom", {"room": room}) == {
            "context": "response",
            "status": "OK",
            "room": room,
            "messageCount": 1,
        }
        assert members(speaker) == {speaker.id}
        speaker.call("say", {"message": "hear, hear"})
        assert listener.expect("say", lambda say: say["room"] == room)["message"] == "hear, hear"
        # What it says itself goes to its own room.
        speaker.forget()
        listener.call("say", {"message": "from outside"})
        speaker.call("detailsView")
        assert spoken(speaker) == []
        assert listener.call("silenceRoom", {"room": room})["status"] == "OK"
        listener.forget()
        speaker.call("say", {"message": "anybody?"})
        listener.call("detailsView")
        assert spoken(listener) == []

    def test_listening_and_silencing_twice(self, client: NodeSocket, room: str) -> None:
        assert client.call("listenToRoom", {"room": room})["status"] == "OK"
        assert client.call("listenToRoom", {"room": room}) == {
            "context": "response",
            "error": "you are already listening to this room",
            "messageCount": 2,
        }
        assert client.call("silenceRoom", {"room": room})["status"] == "OK"
        assert client.call("silenceRoom", {"room": room}) == {
            "context": "response",
            "error": "you are not listening to this room",
            "messageCount": 4,
        }

    def test_silencing_a_room_never_heard_adds_nothing(self, enter: Enter, room: str) -> None:
        speaker, silencer = enter(), enter()
        silencer.call("silenceRoom", {"room": room})
        speaker.call("roomChange", {"room": room})
        silencer.forget()
        speaker.call("say", {"message": "hello"})
        silencer.call("detailsView")
        assert spoken(silencer) == []

    def test_a_member_that_listens_hears_once(self, enter: Enter, room: str) -> None:
        speaker, hearer = enter(), enter()
        for client in (speaker, hearer):
            client.call("roomChange", {"room": room})
        hearer.call("listenToRoom", {"room": room})
        hearer.forget()
        speaker.call("say", {"message": 1})
        speaker.call("say", {"message": 2})
        assert hearer.expect("say", lambda say: say["message"] == 2)
        assert spoken(hearer) == [1]


class TestDetails:
    def test_view(self, client: NodeSocket) -> None:
        client.call("action", {"action": "add", "a": 1, "extra": "kept"})
        details = client.ask("detailsView", {})
        assert details.pop("context") == "response"
        assert details.pop("status") == "OK"
        assert details.pop("messageCount") == 2
        details = details.pop("details")
        assert details.pop("public") == {"id": client.id, "connectedAt": pytest.approx(time.time() * 1000, abs=20_000)}
        params = details.pop("params")
        assert (params["a"], params["extra"], params["limit"], params["offset"]) == (1, "kept", 100, 0)
        assert details == {"room": "defaultRoom", "totalActions": 1, "pendingActions": 0}

    def test_pending_actions_are_counted(self, client: NodeSocket) -> None:
        client.emit("action", {"action": "sleepTest", "sleepDuration": 300})
        assert client.call("detailsView")["details"]["pendingActions"] == 1
        client.expect("response")
        assert client.call("detailsView")["details"]["pendingActions"] == 0


class TestFarewell:
    @pytest.mark.parametrize("verb", ["quit", "exit", "close"])
    @pytest.mark.parametrize("data", [None, {"any": "thing"}, 5])
    def test_disconnects(self, enter: Enter, verb: str, data: Any) -> None:
        stayer, client = enter(), enter()
        client.emit(verb, *([] if data is None else [data]))
        assert client.expect("disconnect") in {"io server disconnect", "transport close"}
        assert client.events("response") == []
        assert stayer.expect("say", lambda say: say["from"] == client.id and "left" in say["message"])

    def test_leaves_nothing_behind(self, enter: Enter, room: str) -> None:
        stayer, client = enter(), enter()
        for each in (stayer, client):
            each.call("roomChange", {"room": room})
        client.drop()
        eventually(lambda: members(stayer) == {stayer.id})

    def test_what_was_in_flight_ends_quietly(self, enter: Enter) -> None:
        stayer, client = enter(), enter()
        client.emit("action", {"action": "sleepTest", "sleepDuration": 200})
        client.close()
        assert stayer.call("action", {"action": "sleepTest", "sleepDuration": 300})["messageCount"] == 1


def test_events_nobody_knows_are_not_counted(client: NodeSocket) -> None:
    client.emit("no such verb", {"a": 1})
    client.emit("__proto__", {})
    assert client.call("detailsView")["messageCount"] == 1


def test_all_replies_come_once_in_every_mixture(client: NodeSocket, room: str) -> None:
    """The promise: exactly one reply for every counted verb, with its count, also when actions fail."""
    said: list[tuple[str, Any]] = [
        ("action", {"action": "add", "a": 1}),
        ("action", {"action": "boom"}),
        ("action", {"action": "nowhere"}),
        ("say", {"message": "x"}),
        ("say", {}),
        ("roomView", {}),
        ("roomChange", {"room": room}),
        ("roomChange", {}),
        ("listenToRoom", {"room": room}),
        ("silenceRoom", {"room": room}),
        ("detailsView", 5),
    ]
    for _ in range(20):
        for verb, data in said:
            client.emit(verb, data)
    counts = sorted(client.expect("response")["messageCount"] for _ in range(20 * len(said)))
    print(f"{len(counts)} verbs, {len(counts)} replies")
    assert counts == list(range(1, 20 * len(said) + 1))
    client.call("detailsView")
    assert client.events("response") == []
