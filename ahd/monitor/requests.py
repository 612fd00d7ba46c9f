"""Counts verbs and actions by name and outcome, with durations: an observer for `Verbs` on the path of each message.

One look-up and three additions a message; everything else is worked out when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container
from typing import Any

from ahd.core.connection import Connection
from ahd.core.errors import STORE_UNAVAILABLE, TOO_MANY_PENDING, Code
from ahd.core.message import JsonObject
from ahd.core.verbs import ACTION, Observe
from ahd.monitor.durations import Durations

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
UNKNOWN = "(unknown)"
"""The one name under which calls of actions that there are not are counted: clients must not invent labels."""
OK = "ok"
SENTENCES = {STORE_UNAVAILABLE: Code.STORE_AWAY, TOO_MANY_PENDING: Code.TOO_MANY}
"""What a verb's reply, which has no code, says by its sentence."""


class Cell:
    """One verb or action of one kind of server. `outcomes`: how many replies had which; `ok` of them were good."""

    __slots__ = ("durations", "ok", "outcomes")

    def __init__(self) -> None:
        self.durations = Durations(BOUNDS)
        self.ok = 0
        self.outcomes: dict[str, int] = {}

    def all_outcomes(self) -> dict[str, int]:
        """How many replies had which outcome, the good ones included."""
        return {OK: self.ok, **self.outcomes} if self.ok else dict(self.outcomes)


class Requests:
    """`cells`: by kind of server, verb, and the action's name ("" for other verbs). `actions` are the known names.

    `observe` counts one reply, as `ahd.core.verbs.Observe`.
    """

    def __init__(self, actions: Container[str]) -> None:
        self.cells: dict[tuple[str, str, str], Cell] = {}
        self.observe: Observe = _observer(actions, self.cells)


def _observer(actions: Container[str], cells: dict[tuple[str, str, str], Cell]) -> Observe:
    """A closure, for it is called with every message: its names cost no look-ups."""
    bounds, find, get = BOUNDS, bisect_left, cells.get

    def observe(connection: Connection, verb: str, data: Any, reply: JsonObject, seconds: float) -> None:
        name: Any = ""
        if verb == ACTION:
            name = data.get("action") if type(data) is dict else None
            if type(name) is not str or name not in actions:
                name = UNKNOWN
        key = (connection.kind, verb, name)
        cell = get(key)
        if cell is None:
            cell = cells[key] = Cell()
        durations = cell.durations
        durations.counts[find(bounds, seconds)] += 1
        durations.total += seconds
        if "error" in reply:
            outcome = _outcome(reply)
            cell.outcomes[outcome] = cell.outcomes.get(outcome, 0) + 1
        else:
            cell.ok += 1

    return observe


def _outcome(reply: JsonObject) -> str:
    """What kind of error a reply is: the name of its code in lower case."""
    code = getattr(reply, "code", None)
    if not isinstance(code, Code):
        sentence = str(reply["error"])
        # Of the verbs' sentences only that of the server error begins so.
        code = SENTENCES.get(sentence, Code.SERVER_ERROR if sentence.startswith("Error: ") else Code.BAD_INPUT)
    return code.name.lower()
