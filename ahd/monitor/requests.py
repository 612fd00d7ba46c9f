"""Counts verbs and actions by name and outcome, and the durations of a sample of them.

A good answer costs its message one addition in a tally; everything else is worked out when somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from typing import Any

from ahd.core.connection import Connection, Tally
from ahd.core.errors import NOT_ALLOWED, STORE_UNAVAILABLE, TOO_MANY_MESSAGES, TOO_MANY_PENDING, Code
from ahd.core.message import JsonObject
from ahd.core.verbs import ACTION
from ahd.monitor.durations import Durations

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PAUSE = 0.02
"""Seconds between two verbs that are timed: fifty a second are enough, and all of them when there are fewer."""
UNKNOWN = "(unknown)"
"""The one name under which calls of actions that there are not are counted: clients must not invent labels."""
OK = "ok"
SENTENCES = {
    STORE_UNAVAILABLE: Code.STORE_AWAY,
    TOO_MANY_MESSAGES: Code.TOO_MANY,
    TOO_MANY_PENDING: Code.TOO_MANY,
    NOT_ALLOWED: Code.NOT_ALLOWED,
}
"""What a verb's reply, which has no code, says by its sentence."""


class Requests:
    """What was answered; an `ahd.core.verbs.Meter`. `actions` are the known names, `arm` has the next verb timed.

    `tallies`: the good answers, by kind of server. `failures`: the others, by kind, verb, the action's name ("" for
    other verbs) and outcome. `durations`: of a sample, by verb and the action's name.
    """

    def __init__(self, actions: Container[str], arm: Callable[[], None]) -> None:
        self._actions = actions
        self._arm = arm
        self.tallies: dict[str, Tally] = {}
        self.failures: dict[tuple[str, str, str, str], int] = {}
        self.durations: dict[tuple[str, str], Durations] = {}
        self.statuses: dict[int, int] = {}
        """HTTP requests by the status of their answer."""

    def tally(self, kind: str) -> Tally:
        """That of one kind of server, the same each time."""
        tally = self.tallies.get(kind)
        if tally is None:
            tally = self.tallies[kind] = Tally()
        return tally

    def failed(self, connection: Connection, verb: str, data: Any, reply: JsonObject) -> None:
        """A verb was answered with an error."""
        key = (connection.kind, verb, self._name(verb, data), _outcome(reply))
        self.failures[key] = self.failures.get(key, 0) + 1

    def took(self, verb: str, data: Any, seconds: float) -> None:
        """How long an answer took."""
        key = (verb, self._name(verb, data))
        durations = self.durations.get(key)
        if durations is None:
            durations = self.durations[key] = Durations(BOUNDS)
        durations.add(seconds)

    def rest(self) -> None:
        """One has been begun to be timed: the next is after a pause."""
        asyncio.get_running_loop().call_later(PAUSE, self._arm)

    def observe(self, connection: Connection, verb: str, data: Any, reply: JsonObject, seconds: float) -> None:
        """Count and time one answer, as `ahd.core.verbs.Observe`: for HTTP, where a request costs far more."""
        if "error" in reply:
            self.failed(connection, verb, data, reply)
        else:
            self.tally(connection.kind).actions[data["action"]].n += 1
        self.took(verb, data, seconds)

    def answered(self, request: Any, response: Any, seconds: float) -> None:
        """Count an HTTP request of any kind, as an observer of the web server."""
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1

    def _name(self, verb: str, data: Any) -> str:
        if verb != ACTION:
            return ""
        name = data.get("action") if type(data) is dict else None
        return name if type(name) is str and name in self._actions else UNKNOWN


def _outcome(reply: JsonObject) -> str:
    """What kind of error a reply is: the name of its code in lower case."""
    code = getattr(reply, "code", None)
    if not isinstance(code, Code):
        sentence = str(reply["error"])
        # Of the verbs' sentences only that of the server error begins so.
        code = SENTENCES.get(sentence, Code.SERVER_ERROR if sentence.startswith("Error: ") else Code.BAD_INPUT)
    return code.name.lower()
