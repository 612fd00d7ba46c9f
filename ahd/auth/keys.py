"""A JWK Set: which key is for which algorithms. The kind of a key decides, never what a token says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jwt import PyJWK, PyJWTError

MAX_KEYS = 100
MAX_BYTES = 512 * 1024
SHORTEST_RSA = 2048
"""Bits."""

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}


class KeySetError(Exception):
    """No JWK Set that can be used; the text says why."""


class KeySet:
    """Public keys by algorithm and name. `unusable` says of each key that is left out why."""

    def __init__(self, text: bytes) -> None:
        """Raises KeySetError."""
        self.unusable: list[str] = []
        self._keys: dict[str, list[tuple[str | None, PyJWK]]] = {}
        for number, entry in enumerate(_entries(text)):
            try:
                self._add(entry)
            except KeySetError as error:
                self.unusable.append(f"key {number + 1}: {error}")
        if not self._keys:
            raise KeySetError("; ".join(self.unusable) or "it has no keys")

    def _add(self, entry: Any) -> None:
        algorithms = _algorithms(entry)
        name = entry.get("kid")
        if name is not None and not isinstance(name, str):
            raise KeySetError("its kid is not text")
        try:
            keys = [(algorithm, PyJWK(entry, algorithm)) for algorithm in algorithms]
        except (PyJWTError, ValueError, TypeError) as error:
            raise KeySetError(f"it cannot be read ({type(error).__name__})") from None
        for algorithm, key in keys:
            if algorithm in RSA and key.key.key_size < SHORTEST_RSA:
                raise KeySetError(f"RSA keys must have {SHORTEST_RSA} bits at least")
            self._keys.setdefault(algorithm, []).append((name, key))

    def find(self, algorithm: str, name: str | None) -> PyJWK | None:
        """The key of that name; of a token that names none, the only one there is for its algorithm."""
        keys = self._keys.get(algorithm, [])
        if name is not None:
            return next((key for other, key in keys if other == name), None)
        return keys[0][1] if len(keys) == 1 else None


def _entries(text: bytes) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise KeySetError("it is not JSON") from None
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list):
        raise KeySetError('it is no JWK Set: an object with a list "keys"')
    if len(keys) > MAX_KEYS:
        raise KeySetError(f"it has more than {MAX_KEYS} keys")
    return keys


def _algorithms(entry: Any) -> tuple[str, ...]:
    """What a key may be used for. Raises KeySetError."""
    if not isinstance(entry, dict):
        raise KeySetError("it is no object")
    kind, curve = entry.get("kty"), entry.get("crv")
    if kind == "oct":
        raise KeySetError("it is a secret; only public keys belong here")
    allowed = RSA if kind == "RSA" else CURVES.get((str(kind), str(curve)), ())
    if not allowed:
        raise KeySetError(f"a key of this kind is not supported (kty {kind!s:.20}, crv {curve!s:.20})")
    if "d" in entry:
        raise KeySetError("it is a private key; only public keys belong here")
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
        raise KeySetError("it is not for signatures")
    named = entry.get("alg")
    if named is None:
        return allowed
    if named not in allowed:
        raise KeySetError(f"its alg ({named!s:.20}) is not one of its kind")
    return (named,)
