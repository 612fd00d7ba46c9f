"""A tree against the schema: every mistake, in sentences for people."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from . import schema as schemas
from .mistakes import Mistake, Path, Place, did_you_mean, dotted, shown
from .origins import parse_origin, parse_patterns
from .tree import Node, plain

_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def validate(root: Node, schema: schemas.Schema) -> tuple[list[Mistake], set[Path]]:
    """All mistakes against the schema, and the paths of the values (or the unknown keys) that they are about."""
    mistakes: dict[tuple[Path, str], Mistake] = {}
    wrong: set[Path] = set()
    validator = _Validator(schema, format_checker=_FORMATS)
    for error in validator.iter_errors(plain(root)):
        for path, place, reason in _explain(error, root, schema):
            wrong.add(path)
            mistakes.setdefault((path, reason), Mistake(place, dotted(path), reason))
    return list(mistakes.values()), wrong


def node_at(root: Node, path: Path) -> Node | None:
    """The node at a path, or None when the file has none there."""
    node: Node | None = root
    for step in path:
        if node is None:
            return None
        if isinstance(node.value, dict):
            node = node.value.get(step)
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return None
    return node


def place_of(root: Node, path: Path) -> Place:
    """Where the value at a path is written, or else the nearest thing around it."""
    while (node := node_at(root, path)) is None:
        path = path[:-1]
    return node.place


Explanation = Iterator[tuple[Path, Place, str]]


def _explain(error: ValidationError, root: Node, schema: schemas.Schema) -> Explanation:
    path: Path = tuple(error.absolute_path)
    node = node_at(root, path)
    assert node is not None
    part = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        for key in error.instance:
            if key not in part.get("properties", {}):
                yield (*path, key), node.keys[key], _unknown_key(key, path, part, schema)
    elif error.validator == "enum" and not isinstance(error.instance, str):
        return  # what has the wrong type is told so once
    elif "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        yield (*path, key), node.keys[key], f"the key must be {part['x-expects']}"
    elif error.validator == "uniqueItems":
        seen: list[Any] = []
        for index, item in enumerate(node.value):
            if plain(item) in seen:
                yield (*path, index), item.place, f"{shown(plain(item))} is in the list already"
            seen.append(plain(item))
    else:
        reason = _reason(error, node, path, part, schema)
        told = node.variable and node.place.line  # otherwise the place is the variable already
        yield path, node.place, reason + (f" (from {node.variable})" if told else "")


def _reason(error: ValidationError, node: Node, path: Path, part: dict[str, Any], schema: schemas.Schema) -> str:
    found = "this value" if part.get("x-secret") else shown(error.instance)
    if node.variable and node.value in (None, ""):
        found = "empty text"
    limit: Any = error.validator_value
    instance: Any = error.instance
    simple: dict[str, Callable[[], str]] = {
        "minimum": lambda: f"must be at least {limit}, not {found}",
        "maximum": lambda: f"must be at most {limit}, not {found}",
        "exclusiveMinimum": lambda: f"must be more than {limit}, not {found}",
        "exclusiveMaximum": lambda: f"must be less than {limit}, not {found}",
        "minLength": lambda: "must not be empty",
        "minItems": lambda: "must not be empty",
        "minProperties": lambda: "must not be empty",
        "maxLength": lambda: f"must have at most {limit} characters",
        "maxItems": lambda: f"must have at most {limit} items",
        "required": lambda: "needs the key " + " and ".join(key for key in limit if key not in instance),
        "pattern": lambda: f"must be {part.get('x-expects', f'text like {limit}')}, not {found}",
        "format": lambda: f"must be {part.get('x-expects', limit)}, not {found}",
        "enum": lambda: _not_allowed(error.instance, limit, path, schema),
        "type": lambda: _wrong_type(node, part, found),
    }
    explain = simple.get(str(error.validator))
    return explain() if explain else error.message


def _wrong_type(node: Node, part: dict[str, Any], found: str) -> str:
    wanted = [name for name in schemas.types(part) if name != "null"]
    expected = " or ".join(_TYPE_NAMES[name] for name in wanted)
    if "enum" in part:
        expected = "one of " + ", ".join(map(str, part["enum"]))
    hint = ""
    if "string" in wanted and node.text and not isinstance(node.value, str):
        hint = "; put it in quotes if it is meant as text"
    elif wanted == ["array"] and node.variable:
        hint = "; write it as [a, b]"
    elif wanted == ["boolean"] and str(node.value).lower() in ("on", "yes"):
        hint = "; write true"
    elif wanted == ["boolean"] and str(node.value).lower() in ("off", "no"):
        hint = "; write false"
    elif isinstance(node.value, str) and re.fullmatch(r"-?[0-9.]+", node.value) and not node.variable:
        hint = "; take it out of the quotes"
    return f"must be {expected}, not {found}{hint}"


def _not_allowed(value: Any, allowed: list[Any], path: Path, schema: schemas.Schema) -> str:
    if path[:2] == ("webSockets", "settings"):
        options = schemas.at(schema, ("webSockets", "options"))
        if options and value in options["properties"]:
            return f"{shown(value)} needs a value: write it in webSockets.options"
    hint = did_you_mean(value, map(str, allowed)) if isinstance(value, str) else ""
    return f"must be one of {', '.join(map(str, allowed))}, not {shown(value)}{hint}"


def _unknown_key(key: str, path: Path, part: dict[str, Any], schema: schemas.Schema) -> str:
    known = list(part.get("properties", {}))
    kind = "key" if path else "section"
    hint = did_you_mean(key, known)
    if not hint:
        homes = [name for name, section in schemas.sections(schema) if key in section.get("properties", {})]
        options = schemas.at(schema, ("webSockets", "options"))
        if options and key in options["properties"]:
            homes.append("webSockets.options")
        homes = [home for home in homes if home != dotted(path)]
        if homes:
            hint = f"; it belongs in {' or '.join(homes)}"
    if not hint and len(known) <= 15:
        hint = f"; {kind}s here: {', '.join(known)}"
    return f"unknown {kind}{hint}"


def _whole_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`pattern` as ECMAScript has it: $ is the end of the text only, and \\w is ASCII."""
    strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(instance, str) and not re.search(strict, instance, re.ASCII):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: Any = validators.extend(Draft202012Validator, {"pattern": _whole_pattern})  # type: ignore[no-untyped-call]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_host(value: object) -> bool:
    if not isinstance(value, str) or not value or _is_address(value):
        return True  # the type and the length are other rules
    return bool(_HOST_NAME.match(value)) and not re.fullmatch(r"[0-9.]+", value)


def _is_network(value: object) -> bool:
    try:
        ipaddress.ip_network(value, strict=False) if isinstance(value, str) else None
    except ValueError:
        return False
    return True


def _is_origin(value: object) -> bool:
    return not isinstance(value, str) or parse_origin(value) is not None


def _are_patterns(value: object) -> bool:
    return not isinstance(value, str) or not value or parse_patterns(value) is not None


def _is_web_address(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and value.isprintable()
    except ValueError:
        return False


_FORMATS = FormatChecker(formats=())
for _name, _check in (
    ("host", _is_host),
    ("network", _is_network),
    ("origin", _is_origin),
    ("web-address", _is_web_address),
    ("origin-patterns", _are_patterns),
):
    _FORMATS.checks(_name)(_check)
