"""YAML text as a tree in which every value knows its place.

The reading is YAML 1.2's core schema (on, off, yes, no and 10:30 are text, 010 is ten), and JSON is read as well.
PyYAML scans the text into events; the tree is put together here, without recursion and with bounds, so that no input
can exhaust the stack or the memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from .mistakes import Mistake, Place

MAX_DEPTH = 32
MAX_VALUES = 20_000
_LARGEST = 2**63

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")


@dataclass(slots=True)
class Node:
    """A value and its place. `value` is a scalar, a list of nodes, or a dict of nodes.

    `text` is what stood there when a scalar came from plain text; `variable` names the environment variable that it
    came from, so that it can be typed by what its key wants.
    """

    value: Any
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    text: str | None = None
    variable: str = ""


class ScalarError(ValueError):
    """A scalar that no key could take."""


def plain(node: Node) -> Any:
    """The value without its places."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def scalar(text: str) -> Any:
    """What an unquoted scalar means in YAML 1.2. Raises ScalarError for numbers that are out of all bounds."""
    if _NULL.match(text):
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.match(text) or _BASED.match(text):
        if len(text) > 70:
            raise ScalarError("the number is too large")
        number = int(text, 10) if _INTEGER.match(text) else int(text, 0)
        if abs(number) >= _LARGEST:
            raise ScalarError("the number is too large")
        return number
    if _FLOAT.match(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ScalarError("the number is too large")
        return value
    if _NOT_FINITE.match(text):
        raise ScalarError("must be a finite number")
    return text


def parse(text: str, source: str) -> tuple[Node | None, list[Mistake]]:
    """The tree of a text. What cannot be read is left out of it and is in the mistakes; None: nothing can be read."""
    builder = _Builder(source)
    try:
        for event in _events(text):
            builder.take(event)
    except _StopError as stop:
        builder.mistakes.append(Mistake(stop.place, "", stop.reason))
        return None, builder.mistakes
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(source, before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        reason = f"the character U+{_code(error.character):04X} is not allowed"
        return None, [*builder.mistakes, Mistake(place, "", reason)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
        return None, [*builder.mistakes, Mistake(place, "", _syntax_reason(error))]
    except (ValueError, OverflowError):  # PyYAML: chr() of an escape such as "\UFFFFFFFF", int() of a huge %YAML
        place = Place(source, 1, 1)
        return None, [*builder.mistakes, Mistake(place, "", "not YAML: an escape or number is out of range")]
    if builder.root is None:
        place = Place(source, 1, 1)
        return None, [*builder.mistakes, Mistake(place, "", "the file is empty; {} means every default")]
    if builder.root.value is _UNREADABLE:
        return None, builder.mistakes
    return builder.root, builder.mistakes


def _events(text: str) -> Iterator[Any]:
    if text.lstrip()[:1] in ("{", "["):
        # PyYAML takes no tabs between tokens, JSON does. A valid JSON text has none inside its strings.
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            text = text.replace("\t", " ")
    yield from yaml.parse(text, Loader=yaml.SafeLoader)


def _code(character: Any) -> int:
    return ord(character) if isinstance(character, str) else int(character)


def _syntax_reason(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "it cannot be read")
    if "'\\t'" in problem:
        return "not YAML: a tab cannot be here; use spaces"
    if problem == "mapping values are not allowed here":
        problem += " (put a text that contains ': ' in quotes, and check the indentation)"
    context = f", {error.context}" if error.context and error.problem else ""
    return f"not YAML: {problem}{context}"


class _StopError(Exception):
    """The rest of the text cannot be used."""

    def __init__(self, place: Place, reason: str) -> None:
        self.place = place
        self.reason = reason


class _BadKey(str):
    """A key that is a mistake: its value is read and thrown away."""

    __slots__ = ()


class _Builder:
    """Takes events, in the end has the root."""

    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self.mistakes: list[Mistake] = []
        self._source = source
        self._documents = 0
        self._open: list[tuple[Node, str | None]] = []  # containers being filled, and the anchor of each
        self._key: list[tuple[str, Place] | None] = []  # for each of them: the key that waits for its value
        self._anchors: dict[str, tuple[Node, int]] = {}  # a node and how many values it holds
        self._counts: list[int] = []
        self._values = 0

    def take(self, event: Any) -> None:
        place = Place(self._source, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _StopError(place, "only one document is read; take out the line ---")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), place)
        elif isinstance(event, yaml.ScalarEvent):
            self._tag(event, place, "str")
            node = self._scalar(event, place)
            if event.anchor:
                self._anchors[event.anchor] = (node, 1)
            self._add(node, 1)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            self._tag(event, place, "map" if mapping else "seq")
            if len(self._open) >= MAX_DEPTH:
                raise _StopError(place, f"nested deeper than {MAX_DEPTH} levels")
            if self._open and self._waits_for_key():
                raise _StopError(place, "a key must be text")
            self._open.append((Node({} if mapping else [], place), event.anchor))
            self._key.append(None)
            self._counts.append(self._values)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node, anchor = self._open.pop()
            self._key.pop()
            size = self._values - self._counts.pop() + 1
            if anchor:
                self._anchors[anchor] = (node, size)
            self._add(node, 1)

    def _tag(self, event: Any, place: Place, allowed: str) -> None:
        if event.tag and event.tag not in ("!", f"tag:yaml.org,2002:{allowed}"):
            raise _StopError(place, f"the tag {str(event.tag)[:60]} is not supported")

    def _scalar(self, event: Any, place: Place) -> Node:
        text = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            # JSON writes characters beyond U+FFFF as two escapes, which PyYAML leaves apart.
            try:
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise _StopError(place, "half of a surrogate pair is no character") from None
        if event.style is not None or event.tag:
            return Node(text, place)
        try:
            return Node(scalar(text), place, text=text)
        except ScalarError as problem:
            self.mistakes.append(Mistake(place, self._path(), str(problem)))
            return Node(_UNREADABLE, place)

    def _alias(self, anchor: str, place: Place) -> None:
        if anchor not in self._anchors:
            reason = f"the alias *{anchor[:60]} stands for nothing above it"
            raise _StopError(place, reason)
        node, size = self._anchors[anchor]
        self._add(Node(node.value, place, node.keys, node.text), size)

    def _waits_for_key(self) -> bool:
        return isinstance(self._open[-1][0].value, dict) and self._key[-1] is None

    def _add(self, node: Node, size: int) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            raise _StopError(node.place, f"more than {MAX_VALUES} values")
        if not self._open:
            self.root = node
            return
        container = self._open[-1][0]
        if isinstance(container.value, list):
            if node.value is not _UNREADABLE:
                container.value.append(node)
        elif self._waits_for_key():
            self._take_key(node)
        else:
            waiting = self._key[-1]
            assert waiting is not None
            key, place = waiting
            self._key[-1] = None
            if key in container.value:
                first = container.keys[key].line
                self.mistakes.append(Mistake(place, self._path(key), f"the key is already in line {first}"))
            elif node.value is not _UNREADABLE and not isinstance(key, _BadKey):
                container.value[key] = node
                container.keys[key] = place

    def _take_key(self, node: Node) -> None:
        key = node.value
        if not isinstance(key, str):
            if isinstance(key, dict | list) or key is _UNREADABLE:
                raise _StopError(node.place, "a key must be text")
            self.mistakes.append(
                Mistake(node.place, self._path(node.text or ""), "a key must be text; put it in quotes")
            )
            key = _BadKey(node.text)
        self._key[-1] = (key, node.place)

    def _path(self, last: str = "") -> str:
        parts = [waiting[0] for waiting in self._key if waiting]
        return ".".join([*parts, last] if last and (not parts or parts[-1] != last) else parts)


_UNREADABLE = object()
