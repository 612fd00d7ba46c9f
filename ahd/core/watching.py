"""Who may look on while verbs are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ahd.core.connection import Connection, Tally
from ahd.core.message import JsonObject

Observe = Callable[[Connection, str, Any, JsonObject, float], None]
"""Told of every reply: connection, verb, data, reply, seconds it took. Must not raise."""


class Meter(Protocol):
    """Counts answers, on the path of every message. Good ones are counted in the tallies it hands out, without a call;
    it is told of those that are errors, and of the durations of a sample: two looks at the clock cost more than all
    other counting. Must not raise."""

    def tally(self, kind: str) -> Tally:
        """That of one kind of server."""

    def failed(self, connection: Connection, verb: str, data: Any, reply: JsonObject) -> None:
        """A verb was answered with an error."""

    def took(self, verb: str, data: Any, seconds: float) -> None:
        """How long the answer to one of a sample of verbs took."""

    def rest(self) -> None:
        """One of the sample has been begun; set `Verbs.timed` when it is time for the next."""
