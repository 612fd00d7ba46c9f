"""The environment's part: ${NAME} in values, and AHD_SECTION_KEY in place of keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import schema as schemas
from .mistakes import Mistake, Path, Place, did_you_mean, dotted
from .tree import Node, ScalarError, parse, scalar

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^}]*))?\}|\$\{")
_PREFIX = "AHD_"


def substitute(root: Node, environ: Mapping[str, str], schema: schemas.Schema) -> tuple[Node, list[Mistake]]:
    """The tree with every ${NAME} and ${NAME:-default} replaced and typed as its key wants it; $${ stands for ${.

    As in a shell, the default is taken when the variable is unset or empty.
    """
    mistakes: list[Mistake] = []

    def walk(node: Node, path: Path) -> Node:
        if node.variable:
            return node
        if isinstance(node.value, dict):
            children = {key: walk(child, (*path, key)) for key, child in node.value.items()}
            return Node(children, node.place, node.keys)
        if isinstance(node.value, list):
            return Node([walk(child, (*path, index)) for index, child in enumerate(node.value)], node.place)
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        problems: list[str] = []
        used: list[str] = []

        def replacement(match: re.Match[str]) -> str:
            literal, name, has_default, fallback = match.groups()
            if literal:
                return "${"
            if name is None:
                problems.append("${ needs a variable's name and }; write $${ for the two characters themselves")
                return ""
            used.append(name)
            value = environ.get(name, "")
            if has_default:
                return value or fallback
            if name not in environ:
                problems.append(f"the environment variable {name} is not set{did_you_mean(name, environ)}")
            return value

        text = _REFERENCE.sub(replacement, node.value)
        mistakes.extend(Mistake(node.place, dotted(path), problem) for problem in problems)
        if problems or not used:
            return Node(_DROP if problems else text, node.place)
        return _typed(text, node.place, path, "${" + "} and ${".join(dict.fromkeys(used)) + "}", schema, mistakes)

    return _without_dropped(walk(root, ())), mistakes


def override(root: Node, environ: Mapping[str, str], schema: schemas.Schema) -> tuple[Node, list[Mistake]]:
    """The tree with the values of AHD_ variables in place of the file's. A variable of no key is a mistake."""
    mistakes: list[Mistake] = []
    names = schemas.environment_names(schema)
    for variable in sorted((name for name in environ if name.startswith(_PREFIX)), key=lambda name: (len(name), name)):
        place = Place(f"${variable}")
        path = names.get(variable)
        if path is None:
            mistakes.append(Mistake(place, "", f"no key has this variable{did_you_mean(variable, names)}"))
            continue
        value = _typed(environ[variable], place, path, variable, schema, mistakes)
        if value.value is not _DROP:
            root = _put(root, path, value)
    return root, mistakes


def _put(node: Node, path: Path, value: Node) -> Node:
    """The tree with a value at a path. What is in the way and is no object stays: the validation names it."""
    if not path:
        return value
    if node.value is None:
        node = Node({}, node.place)
    if not isinstance(node.value, dict):
        return node
    key = path[0]
    assert isinstance(key, str)
    child = _put(node.value.get(key, Node({}, value.place)), path[1:], value)
    return Node({**node.value, key: child}, node.place, {**node.keys, key: node.keys.get(key, value.place)})


def _typed(text: str, place: Place, path: Path, variable: str, schema: schemas.Schema, mistakes: list[Mistake]) -> Node:
    """A text from the environment as the value that its key wants: text, or what YAML makes of it."""
    part = schemas.at(schema, path) or {}
    wanted = set(schemas.types(part))
    if wanted & {"array", "object"} and not part.get("x-secret") and text.lstrip()[:1] in ("[", "{"):
        node, problems = parse(text, place.source)
        if problems or node is None:
            reasons = "; ".join(problem.reason for problem in problems)
            mistakes.append(Mistake(place, dotted(path), f"{reasons} (from {variable})"))
            return Node(_DROP, place)
        return _placed(node, place, variable)
    if "string" in wanted:
        unset = "null" in wanted and (not text or (text in ("null", "~") and not part.get("x-secret")))
        return Node(None if unset else text, place, variable=variable)
    try:
        value: Any = scalar(text.strip())
    except ScalarError as problem:
        mistakes.append(Mistake(place, dotted(path), f"{problem} (from {variable})"))
        return Node(_DROP, place)
    return Node(value, place, variable=variable)


def _placed(node: Node, place: Place, variable: str) -> Node:
    """A tree that came from a variable, with the one place it has."""
    if isinstance(node.value, dict):
        children = {key: _placed(child, place, variable) for key, child in node.value.items()}
        return Node(children, place, dict.fromkeys(children, place), variable=variable)
    if isinstance(node.value, list):
        return Node([_placed(child, place, variable) for child in node.value], place, variable=variable)
    return Node(node.value, place, variable=variable)


def _without_dropped(node: Node) -> Node:
    """The tree without the values that were mistakes already."""
    if isinstance(node.value, dict):
        kept = {key: _without_dropped(child) for key, child in node.value.items() if child.value is not _DROP}
        return Node(kept, node.place, node.keys, variable=node.variable)
    if isinstance(node.value, list):
        kept_items = [_without_dropped(child) for child in node.value if child.value is not _DROP]
        return Node(kept_items, node.place, variable=node.variable)
    return node


_DROP = object()
