"""What differs between two configurations, and whether the running daemon can take it up."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import schema as schemas
from .model import Config, Secret
from .write import effective

Values = Mapping[str, Mapping[str, Any]]
"""Sections, keys and their values, as `effective` has them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key with its old and its new value. `reloadable` is the key's x-reload in the schema."""

    path: str
    old: Any
    new: Any
    reloadable: bool

    def __str__(self) -> str:
        return f"{self.path}: {self.old!r} -> {self.new!r}"

    def parts(self) -> Iterator[str]:
        """The same, a line for each key that differs where the values are objects."""
        yield from _parts(self.path, self.old, self.new)


def _parts(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            if old.get(key) != new.get(key):
                yield from _parts(f"{path}.{key}", old.get(key), new.get(key))
    elif isinstance(old, Hidden) and isinstance(new, Hidden):
        yield f"{path}: another secret"
    else:
        yield f"{path}: {old!r} -> {new!r}"


def changes(old: Config, new: Config) -> list[Change]:
    """Every key whose value differs, in the order of the schema."""
    return differences(effective(old, _itself), effective(new, _itself))


def differences(old: Values, new: Values) -> list[Change]:
    """Every key that both have and whose value differs, in the order of the schema."""
    found = []
    schema = schemas.load_schema()
    for section, part in schemas.sections(schema):
        before, after = old.get(section, {}), new.get(section, {})
        for key, inner in schemas.keys(schema, part):
            if key in before and key in after and before[key] != after[key]:
                found.append(Change(f"{section}.{key}", before[key], after[key], reloadable=inner["x-reload"]))
    return found


def _itself(secret: Secret) -> Secret:
    return secret


# -- a running daemon's configuration, told without its secrets

DIGEST = "secretDigest"
"""The one key of the object that stands for a secret."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret of which only a digest is known."""

    digest: str

    def __repr__(self) -> str:
        return repr(Secret(self.digest))


def new_salt() -> str:
    """A salt for the digests of one process."""
    return secrets.token_hex(16)


@lru_cache(64)
def digest(secret: Secret, salt: str) -> str:
    """By which another secret is known to be another. It takes some 20 ms, so that a weak one is not soon guessed."""
    key = secret.reveal().encode("utf-8", "surrogatepass")
    return hashlib.scrypt(key, salt=bytes.fromhex(salt), n=2**13, r=8, p=1, dklen=16).hex()


def told(config: Config, salt: str) -> Values:
    """The configuration as JSON can carry it to who must not read the secrets: digests stand for them."""
    return effective(config, lambda secret: {DIGEST: digest(secret, salt)})


def hidden(values: Any) -> Any:
    """What `told` told, the digests made comparable."""
    if isinstance(values, Mapping):
        if values.keys() == {DIGEST}:
            return Hidden(str(values[DIGEST]))
        return {key: hidden(value) for key, value in values.items()}
    return [hidden(value) for value in values] if isinstance(values, list) else values
