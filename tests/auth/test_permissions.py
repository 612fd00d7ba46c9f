"""The rules: which decides, for whom, and for which rooms and actions."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any

import pytest

from ahd.core.connection import Connection
from ahd.core.errors import NOT_ALLOWED, Code, Refused
from ahd.core.permissions import DECISIONS, Permissions, Rule
from tests.core.conftest import ListLink


def rule(
    allow: bool, verbs: str, *, rooms: Any = None, actions: Any = None, who: str = "anyone", claims: Any = None
) -> Rule:
    return Rule(allow, frozenset(verbs.split()), rooms, actions, who, claims or {})


def client(**claims: Any) -> Connection:
    connection = Connection("id", "test", "", ListLink(), {})
    connection.claims = MappingProxyType(claims)
    connection.authenticated = bool(claims)
    return connection


def test_without_a_rule_that_is_meant_all_is_allowed() -> None:
    rules = Permissions([rule(False, "say", rooms=("news",))])
    assert rules.allow(client(), "say", "lobby")
    assert rules.allow(client(), "enter", "news")
    assert not rules.allow(client(), "say", "news")


def test_a_refusal_is_the_documented_one() -> None:
    with pytest.raises(Refused) as refused:
        Permissions([rule(False, "say")]).check(client(), "say", "x")
    assert refused.value.sentence == NOT_ALLOWED == "you are not allowed to do this"
    assert refused.value.code is Code.NOT_ALLOWED
    assert refused.value.code.http_status == 403


def test_the_first_rule_that_is_meant_decides() -> None:
    first = rule(True, "say", rooms=("news",), claims={"role": "editor"})
    second = rule(False, "say", rooms=("news",))
    assert Permissions([first, second]).allow(client(role="editor"), "say", "news")
    assert not Permissions([first, second]).allow(client(role="reader"), "say", "news")
    assert not Permissions([second, first]).allow(client(role="editor"), "say", "news")


@pytest.mark.parametrize(
    ("who", "claims", "meant"),
    [
        ("anyone", {}, True),
        ("anyone", {"sub": "x"}, True),
        ("authenticated", {}, False),
        ("authenticated", {"sub": "x"}, True),
        ("anonymous", {}, True),
        ("anonymous", {"sub": "x"}, False),
    ],
)
def test_who(who: str, claims: dict[str, Any], meant: bool) -> None:
    assert Permissions([rule(False, "call", who=who)]).allow(client(**claims), "call", "a") is not meant


@pytest.mark.parametrize(
    ("condition", "claims", "meant"),
    [
        ({"role": "admin"}, {"role": "admin"}, True),
        ({"role": "admin"}, {"role": "Admin"}, False),
        ({"role": "admin"}, {"role": ["staff", "admin"]}, True),
        ({"role": "admin"}, {"role": []}, False),
        ({"role": "admin"}, {"other": "admin"}, False),
        ({"role": ("admin", "staff")}, {"role": "staff"}, True),
        ({"role": ("admin", "staff")}, {"role": ["guest"]}, False),
        ({"role": "admin", "team": "red"}, {"role": "admin", "team": "red"}, True),
        ({"role": "admin", "team": "red"}, {"role": "admin", "team": "blue"}, False),
        ({"level": 1}, {"level": 1}, True),
        ({"level": 1}, {"level": True}, False),
        ({"level": 1}, {"level": "1"}, False),
        ({"vip": True}, {"vip": True}, True),
        ({"vip": True}, {"vip": 1}, False),
        ({"realm.roles": "admin"}, {"realm": {"roles": ["admin"]}}, True),
        ({"realm.roles": "admin"}, {"realm.roles": "admin"}, True),
        ({"realm.roles": "admin"}, {"realm": "roles"}, False),
        ({"role": "admin"}, {"role": {"admin": True}}, False),
        ({"role": "admin"}, {"role": None}, False),
    ],
)
def test_claims(condition: dict[str, Any], claims: dict[str, Any], meant: bool) -> None:
    assert Permissions([rule(False, "say", claims=condition)]).allow(client(**claims), "say", "x") is not meant


@pytest.mark.parametrize(
    ("pattern", "room", "fits"),
    [
        ("news", "news", True),
        ("news", "News", False),
        ("news", "news2", False),
        ("news*", "news2", True),
        ("*news", "bad news", True),
        ("*", "any\nthing", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*b", "ab", True),
        ("?", "x", True),
        ("?", "xy", False),
        ("n.ws", "news", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("", "", True),
        ("user-{sub}", "user-ann", True),
        ("user-{sub}", "user-bob", False),
        ("user-{sub}*", "user-ann/private", True),
        ("user-{star}", "user-anything", False),
        ("user-{star}", "user-*", True),
        ("user-{number}", "user-7", True),
        ("user-{nothing}", "user-", False),
        ("user-{list}", "user-['a']", False),
        ("{sub}-{number}", "ann-7", True),
    ],
)
def test_patterns(pattern: str, room: str, fits: bool) -> None:
    rules = Permissions([rule(True, "enter", rooms=(pattern,)), rule(False, "enter")])
    assert rules.allow(client(sub="ann", star="*", number=7, list=["a"]), "enter", room) is fits


def test_what_is_for_actions_is_not_for_rooms() -> None:
    rules = Permissions([rule(False, "call say", rooms=("r*",), actions=("a*",))])
    assert not rules.allow(client(), "call", "add")
    assert rules.allow(client(), "call", "room")
    assert not rules.allow(client(), "say", "room")
    assert rules.allow(client(), "say", "add")


def test_clients_with_equal_claims_share_what_was_worked_out() -> None:
    rules = Permissions([rule(False, "say", rooms=("of-{team}",), claims={"role": "x"}), rule(False, "call")])
    red, other, blue = client(team="red", sub="1"), client(team="red", sub="2"), client(team="blue")
    for one in (red, other, blue):
        rules.allow(one, "say", "x")
    assert red.rights is other.rights
    assert red.rights is not blue.rights


def test_after_a_reload_other_rules_decide() -> None:
    one = client()
    assert not Permissions([rule(False, "say")]).allow(one, "say", "x")
    assert Permissions([rule(True, "say")]).allow(one, "say", "x")


def test_decisions_are_kept_within_a_bound() -> None:
    rules, one = Permissions([rule(False, "say", rooms=("x*",))]), client()
    for number in range(3 * DECISIONS):
        assert rules.allow(one, "say", f"y{number}")
    assert one.rights is not None
    assert len(one.rights._decisions) <= DECISIONS


def test_no_name_makes_a_pattern_try_for_long() -> None:
    rules = Permissions([rule(False, "enter", rooms=("*a*a*a*a*a*a*a*a*b",))])
    started = time.perf_counter()
    assert rules.allow(client(), "enter", "a" * 4000)
    assert time.perf_counter() - started < 0.5
