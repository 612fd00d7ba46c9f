"""The schema: the only source of types, defaults, descriptions and of what may be reloaded."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .mistakes import Path as KeyPath

Schema = Mapping[str, Any]


def schema_file() -> Path:
    """Where ahd.schema.json is: inside an installed package, or beside the package in a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package, package.parent):
        file = folder / "schema" / "ahd.schema.json"
        if file.is_file():
            return file
    raise FileNotFoundError(f"schema/ahd.schema.json is missing beside {package}: the installation is not complete")


@cache
def load_schema() -> Schema:
    schema: Schema = json.loads(schema_file().read_text(encoding="utf-8"))
    return schema


def resolve(schema: Schema, part: Schema) -> Schema:
    """A part of the schema with its $ref filled in; what stands beside the $ref wins."""
    reference = part.get("$ref")
    if reference is None:
        return part
    target: Any = schema
    for name in reference.removeprefix("#/").split("/"):
        target = target[name]
    return {**resolve(schema, target), **{name: value for name, value in part.items() if name != "$ref"}}


def sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every section's name and schema."""
    for name, part in schema["properties"].items():
        yield name, resolve(schema, part)


def keys(schema: Schema, section: Schema) -> Iterator[tuple[str, Schema]]:
    """Every key's name and schema in a section (or in another object that names its keys)."""
    for name, part in section.get("properties", {}).items():
        yield name, resolve(schema, part)


def at(schema: Schema, path: KeyPath) -> Schema | None:
    """The schema of the value at a path, or None for a path that the schema does not know."""
    part: Schema = schema
    for step in path:
        if isinstance(step, int):
            following = part.get("items")
        else:
            following = part.get("properties", {}).get(step, part.get("additionalProperties"))
        if not isinstance(following, dict):
            return None
        part = resolve(schema, following)
    return part


def types(part: Schema) -> tuple[str, ...]:
    """The JSON types a value may have."""
    named = part.get("type", ())
    return (named,) if isinstance(named, str) else tuple(named)


def default(part: Schema) -> Any:
    """A key's default, to keep and to change: nobody else has it."""
    return copy.deepcopy(part["default"])


def option_defaults(schema: Schema) -> dict[str, Any]:
    """The defaults of webSockets.options; a name without a default is not in it."""
    options = at(schema, ("webSockets", "options")) or {}
    return {name: default(part) for name, part in keys(schema, options) if "default" in part}


def environment_names(schema: Schema) -> dict[str, KeyPath]:
    """AHD_HTTPSERVER_PORT and so on, for every key of every section and every name of webSockets.options."""
    names: dict[str, KeyPath] = {}
    for section, part in sections(schema):
        for key, inner in keys(schema, part):
            names[_variable(section, key)] = (section, key)
            if not inner.get("x-secret"):
                names.update({_variable(section, key, name): (section, key, name) for name, _ in keys(schema, inner)})
    return names


def _variable(*path: str) -> str:
    return "_".join(["AHD", *(re.sub(r"[^A-Z0-9]", "_", part.upper()) for part in path)])


def snake(name: str) -> str:
    """bindIP as bind_ip, httpClientMessageTTL as http_client_message_ttl."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def defaults(schema: Schema) -> dict[str, dict[str, Any]]:
    """The default of every key of every section."""
    return {name: {key: default(inner) for key, inner in keys(schema, part)} for name, part in sections(schema)}
