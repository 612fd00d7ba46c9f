"""What differs between two configurations, and whether the running daemon can take it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import schema as schemas
from .model import Config


@dataclass(frozen=True, slots=True)
class Change:
    """A key with its old and its new value. `reloadable` is the key's x-reload in the schema."""

    path: str
    old: Any
    new: Any
    reloadable: bool

    def __str__(self) -> str:
        return f"{self.path}: {self.old!r} -> {self.new!r}"


def changes(old: Config, new: Config) -> list[Change]:
    """Every key whose value differs, in the order of the schema."""
    found = []
    schema = schemas.load_schema()
    for section, part in schemas.sections(schema):
        before, after = getattr(old, schemas.snake(section)), getattr(new, schemas.snake(section))
        for key, inner in schemas.keys(schema, part):
            values = getattr(before, schemas.snake(key)), getattr(after, schemas.snake(key))
            if values[0] != values[1]:
                found.append(Change(f"{section}.{key}", *values, reloadable=inner["x-reload"]))
    return found
