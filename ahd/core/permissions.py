"""Who may do what: the rules of `auth.rules`, asked by the verbs and by the runner of actions; PURE.

The first rule that is about the verb, the room or action, and the client decides; when none is, it is allowed. What a
client's claims make of the rules is worked out once for all clients with such claims, and each decision is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

from ahd.core import errors
from ahd.core.errors import Code, Refused

SAY, ENTER, LISTEN, VIEW, CALL = "say", "enter", "listen", "view", "call"
DECISIONS = 100
"""Decisions that are kept for clients with the same claims, who may be one client; beyond it they are made anew."""

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: whether it allows, its verbs, patterns for rooms and for actions (None: all), and for whom it is.

    `who` is "anyone", "authenticated" or "anonymous". `claims` are conditions that must all hold: a value, or a tuple
    of values of which one is enough; a claim that is a list fits when it has the value.
    """

    allow: bool
    verbs: frozenset[str]
    rooms: tuple[str, ...] | None
    actions: tuple[str, ...] | None
    who: str
    claims: Mapping[str, Any]


class Holder(Protocol):
    """Whoever may do something: a connection, or what may become one."""

    rights: Rights | None

    @property
    def claims(self) -> Mapping[str, Any]: ...
    @property
    def authenticated(self) -> bool: ...


class Rights:
    """What the rules come to for one kind of client."""

    __slots__ = ("__weakref__", "_decisions", "_rules", "owner")

    def __init__(self, owner: Permissions, rules: Iterable[tuple[Rule, Mapping[str, Any]]]) -> None:
        self.owner = owner
        self._rules: dict[str, list[tuple[Callable[[str], object] | None, bool]]] = {}
        for rule, claims in rules:
            for verb in rule.verbs:
                patterns = rule.actions if verb == CALL else rule.rooms
                fits = None if patterns is None else _fits(patterns, claims)
                self._rules.setdefault(verb, []).append((fits, rule.allow))
        self._decisions: dict[tuple[str, str], bool] = {}

    def allow(self, verb: str, target: str) -> bool:
        """Whether this may be done to a room, or to an action."""
        rules = self._rules.get(verb)
        if rules is None:
            return True
        key = verb, target
        decision = self._decisions.get(key)
        if decision is None:
            decision = next((allow for fits, allow in rules if fits is None or fits(target)), True)
            if len(self._decisions) >= DECISIONS:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision


class Permissions:
    """All rules. `check` raises Refused (403) for what may not be done."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        names = {name for rule in self._rules for name in (*placeholders(rule.rooms), *placeholders(rule.actions))}
        self._named = tuple(sorted(names))
        self._rights: WeakValueDictionary[tuple[Any, ...], Rights] = WeakValueDictionary()

    def check(self, holder: Holder, verb: str, target: str) -> None:
        """Let it pass, or raise Refused."""
        if not self.allow(holder, verb, target):
            raise Refused(errors.NOT_ALLOWED, Code.NOT_ALLOWED)

    def allow(self, holder: Holder, verb: str, target: str) -> bool:
        """Whether a connection may do this to a room, or to an action."""
        rights = holder.rights
        if rights is None or rights.owner is not self:
            rights = holder.rights = self._of(holder.claims, holder.authenticated)
        return rights.allow(verb, target)

    def _of(self, claims: Mapping[str, Any], authenticated: bool) -> Rights:
        values = {name: _text(claim(claims, name)) for name in self._named}
        mine = tuple(rule for rule in self._rules if _is_for(rule, claims, authenticated))
        key = (*map(id, mine), *values.values())
        rights = self._rights.get(key)
        if rights is None:
            rights = self._rights[key] = Rights(self, ((rule, values) for rule in mine))
        return rights


def placeholders(patterns: tuple[str, ...] | None) -> list[str]:
    """The names of the claims that patterns ask for, as in `user-{sub}`."""
    return [name for pattern in patterns or () for name in _PLACEHOLDER.findall(pattern)]


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names with dots into objects; for none a value that no claim has."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _is_for(rule: Rule, claims: Mapping[str, Any], authenticated: bool) -> bool:
    if rule.who != "anyone" and authenticated != (rule.who == "authenticated"):
        return False
    return all(_holds(claim(claims, name), wanted) for name, wanted in rule.claims.items())


def _holds(found: Any, wanted: Any) -> bool:
    found_values = found if isinstance(found, list | tuple) else (found,)
    wanted_values = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return any(_same(one, other) for one in found_values for other in wanted_values)


def _same(found: Any, wanted: Any) -> bool:
    # True is 1 in Python, and is not in JSON.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _text(value: Any) -> str | None:
    """What a claim puts into a pattern: text, or a whole number; anything else puts nothing there that could fit."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _fits(patterns: tuple[str, ...], values: Mapping[str, Any]) -> Callable[[str], object]:
    parts = [part for pattern in patterns if (part := _expression(pattern, values)) is not None]
    # No pattern that can fit: (?!) fits nothing.
    return re.compile("|".join(parts) or "(?!)", re.DOTALL).fullmatch


def _expression(pattern: str, values: Mapping[str, Any]) -> str | None:
    """A pattern as a regular expression: `*` any text, `?` one character, `{NAME}` the claim, all else itself."""
    fixed = [""]
    for index, part in enumerate(_PLACEHOLDER.split(pattern)):
        if index % 2:
            value = values.get(part)
            if value is None:
                return None
            fixed[-1] += re.escape(value)
        else:
            first, *others = (re.escape(text).replace(r"\?", ".") for text in part.split("*"))
            fixed[-1] += first
            fixed += others
    begin, *middle = fixed
    if not middle:
        return f"(?:{begin})"
    # Each text between two stars is taken where it comes first, and for good: no name of a room makes it try for long.
    return f"(?:{begin}{''.join(f'(?>.*?{text})' for text in middle[:-1])}.*{middle[-1]})"
