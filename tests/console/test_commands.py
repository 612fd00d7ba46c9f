"""What is typed, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahd.console.commands import CommandError, owes_reply, shown, to_event
from ahd.core.verbs import NAMES


@pytest.mark.parametrize(
    ("line", "event", "data"),
    [
        ("say hello  there", "say", {"message": "hello  there"}),
        ("roomChange other room\n", "roomChange", {"room": "other room"}),
        ("detailsView", "detailsView", {}),
        ("status", "action", {"action": "status"}),
        ("add a=1 b=2.5", "action", {"action": "add", "a": 1, "b": 2.5}),
        ("greet name=Ann", "action", {"action": "greet", "name": "Ann"}),
        ("greet name='Ann Lee' list='[1, 2]'", "action", {"action": "greet", "name": "Ann Lee", "list": [1, 2]}),
        ("greet 'name=a=b'", "action", {"action": "greet", "name": "a=b"}),
        ('{"action":"add","params":{"a":1}}', "action", {"action": "add", "a": 1}),
        ('{"verb":"say","data":{"message":5}}', "say", {"message": 5}),
        ("quit", "quit", {}),
    ],
)
def test_events(line: str, event: str, data: object) -> None:
    assert to_event(line) == (event, data)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("add 5", "5 is not NAME=VALUE"),
        ("add a='", "no closing quotation"),
        ("{", "the line is not valid JSON"),
        ("paramAdd a=1", "paramAdd works over tcp:// and tls:// only"),
        ("paramAdd", "nothing is not NAME=VALUE"),
    ],
)
def test_mistakes(line: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=f"^{sentence}$"):
        to_event(line)


@given(st.text(min_size=1).filter(str.strip))
def test_any_line_is_an_event_or_a_mistake(line: str) -> None:
    try:
        event, _ = to_event(line)
    except CommandError:
        return
    assert event in NAMES


def test_replies() -> None:
    assert owes_reply("status")
    assert owes_reply("nonsense 5")
    assert not owes_reply("quit")


@pytest.mark.parametrize(
    ("event", "data", "text"),
    [
        ("welcome", {"welcome": "Hi", "room": "r"}, "Hi (room r)"),
        ("say", {"message": "hi", "room": "r", "from": "me"}, "[r] me: hi"),
        ("say", {"message": {"a": 1}, "room": "r", "from": None}, '[r] server: {"a": 1}'),
        ("say", {"bye": "bye", "reason": "server shutdown"}, "the server says goodbye: server shutdown"),
        ("closing", {"code": "tooLarge", "reason": "too large"}, "the server closes the connection: too large"),
        ("say", {"dropped": 3, "context": "api"}, "3 says were lost: you read too slowly"),
        ("response", {"context": "response", "status": "OK", "messageCount": 1}, "OK"),
        ("response", {"context": "response", "error": "no", "messageCount": 1}, "error: no"),
        ("response", {"context": "response", "sum": 3, "messageCount": 1}, '{\n  "sum": 3\n}'),
        ("text", "x", 'text: "x"'),
    ],
)
def test_what_a_person_is_shown(event: str, data: object, text: str) -> None:
    assert shown(event, data) == text
