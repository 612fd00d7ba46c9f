"""Configurations as YAML: the default file with its descriptions, and the effective one of a Config."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import schema as schemas
from .model import Config, Secret
from .tree import ScalarError, scalar

FIRST_LINE = "# yaml-language-server: $schema=../schema/ahd.schema.json"
_WIDTH = 120
_PLAIN = re.compile(r"(?:[A-Za-z_./][A-Za-z0-9_./ -]*(?<! )|[0-9]+(?:\.[0-9]+){2,})\Z")
_YAML_1_1 = frozenset(["on", "off", "yes", "no", "y", "n"])  # true and false for older programs


Show = Callable[[Secret], Any]
"""What stands in a secret's place."""


def effective(config: Config, show: Show = lambda secret: Secret.MASK) -> dict[str, dict[str, Any]]:
    """The whole configuration in the file's names, with the value of every key. Secrets are masked, unless `show` has
    something else for them."""
    schema = schemas.load_schema()
    return {
        name: {
            key: _thawed(getattr(getattr(config, schemas.snake(name)), schemas.snake(key)), show)
            for key, _ in schemas.keys(schema, part)
        }
        for name, part in schemas.sections(schema)
    }


def _thawed(value: Any, show: Show) -> Any:
    if isinstance(value, Secret):
        return show(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _thawed(child, show) for key, child in value.items()}
    return [_thawed(child, show) for child in value] if isinstance(value, tuple) else value


def yaml_text(values: Mapping[str, Any], indent: str = "") -> str:
    """An object as YAML that is read back as the same values."""
    return "".join(_entry(key, value, indent) for key, value in values.items())


def _entry(key: str, value: Any, indent: str) -> str:
    if isinstance(value, dict) and value:
        return f"{indent}{_flow(key)}:\n{yaml_text(value, indent + '  ')}"
    line = f"{indent}{_flow(key)}: {_flow(value)}\n"
    if isinstance(value, list) and len(line) > _WIDTH:
        return f"{indent}{_flow(key)}:\n" + "".join(f"{indent}  - {_flow(item)}\n" for item in value)
    return line


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(child)}" for key, child in value.items()) + "}"
    if isinstance(value, str):
        if _PLAIN.match(value) and value.lower() not in _YAML_1_1 and _is_text(value):
            return value
        # What cannot be printed is escaped: YAML takes some of it for the end of a line. ${ would be replaced.
        return json.dumps(value.replace("${", "$${"), ensure_ascii=not value.isprintable())
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value)


def _is_text(value: str) -> bool:
    try:
        return isinstance(scalar(value), str)
    except ScalarError:
        return False


def default_file() -> str:
    """The whole default file: every key with its description, and what else the options may hold as comments."""
    schema = schemas.load_schema()
    parts = [
        f"{FIRST_LINE}\n"
        "#\n"
        "# Every key of ahd with its default, as `ahd config --default` prints it; a file with {} means the same.\n"
        "# (reload): a running ahd takes a new value up when it gets SIGHUP.\n"
    ]
    for name, section in schemas.sections(schema):
        parts.append(f"\n{_comment(section['description'], '')}{name}:\n")
        for key, part in schemas.keys(schema, section):
            parts.append(_comment(describe(part) + (" (reload)" if part["x-reload"] else ""), "  "))
            parts.append(_entry(key, schemas.default(part), "  "))
            for inner, option in schemas.keys(schema, part) if not part.get("x-secret") else ():
                default = f" [{_flow(option['default'])}]" if "default" in option else ""
                parts.append(_comment(f"{inner}{default}: {describe(option)}", "    ", hanging="  "))
    return "".join(parts)


def describe(part: schemas.Schema) -> str:
    """A key's description with its choices."""
    choices = part.get("enum")
    description: str = part["description"]
    return description + (f" One of: {', '.join(map(_flow, choices))}." if choices else "")


def _comment(text: str, indent: str, hanging: str = "") -> str:
    first, later = f"{indent}# ", f"{indent}# {hanging}"
    lines = textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
    return "\n".join(lines) + "\n"
