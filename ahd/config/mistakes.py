"""What is wrong with a configuration, as values that know their place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Actions

Path = tuple[str | int, ...]
"""Where a value is: ("httpServer", "port") or ("webSockets", "options", "transports", 0)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: a file with line and column from 1, or `$NAME` of the environment with line 0."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that must be put right. `path` is dotted, and empty when the whole file is meant."""

    place: Place
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.reason}" if self.path else f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that works, but maybe not as it was meant: a warning."""

    place: Place
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: warning: {self.reason}"


class ConfigError(Exception):
    """A configuration that cannot be used, with every mistake that was found in it, in the order of the file.

    `str()` is what a user is shown: one line a mistake, then their number. `actions` is that section when nothing is
    wrong in it: then its modules can be looked at too.
    """

    def __init__(self, mistakes: Iterable[Mistake], actions: Actions | None = None) -> None:
        self.actions = actions
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(mistakes, key=_reading_order))
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        count = len(self.mistakes)
        lines = [str(mistake) for mistake in self.mistakes]
        return "\n".join([*lines, f"{count} mistake{'' if count == 1 else 's'}"])


def _reading_order(mistake: Mistake) -> tuple[bool, str, int, int]:
    place = mistake.place
    return (not place.line and place.source.startswith("$"), place.source, place.line, place.column)


def dotted(path: Path) -> str:
    """("a", "b c", 0) as `a.b c[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """A value for a sentence: short, in the notation of the file."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:56] + "…" + ('"' if isinstance(value, str) else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no known word is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""
