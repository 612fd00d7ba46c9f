"""JSON Web Tokens: the signature, by a key that is for its algorithm and no other; then what the file asks of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import jwt

from .grant import Grant, Refusal, expired, invalid, keys_away
from .keys import KeySet
from .remote import RemoteKeys

SECRET_BYTES: Mapping[str, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""How long a secret must be for an algorithm (RFC 7518, 3.2)."""
LATEST = 10**12
"""Epoch seconds; what expires later expires then."""


KNOWN = 2_000
"""Tokens that are remembered, so that a client that shows one with every request is not checked anew each time."""
KNOWN_FOR = 60.0
"""Seconds for which a token is remembered, if it does not expire before and the keys stay the same."""


class KeysNeededError(Exception):
    """The keys must be fetched before a token can be judged."""


class JsonWebTokens:
    """Checks tokens. `section` is `auth.jwt`; `file_keys` are those of its jwksFile, `remote` those of its jwksUrl."""

    def __init__(self, section: Mapping[str, Any], file_keys: KeySet | None, remote: RemoteKeys | None) -> None:
        secret = section["secret"]
        self._secret: str | None = None if secret is None else secret.reveal()
        self._file_keys = file_keys
        self.remote = remote
        self._algorithms = frozenset(section["algorithms"])
        self._audience = list(section["audience"])
        self._issuer = list(section["issuer"])
        self._leeway = section["leeway"]
        self._required = ["exp"] if section["requireExpiry"] else []
        self._known: dict[bytes, tuple[Grant, KeySet | None, float]] = {}

    def grant(self, token: str, final: bool) -> Grant:
        """What a token is worth. Raises Refusal; KeysNeededError unless `final`."""
        digest, now = sha256(token.encode()).digest(), time.time()
        keys = self._file_keys if self.remote is None else self.remote.keys()
        known = self._known.get(digest)
        if known is not None and known[1] is keys and known[2] > now:
            return known[0]
        grant = self._judge(token, keys, final)
        if len(self._known) >= KNOWN:
            self._known.clear()
        until = now + KNOWN_FOR if grant.expires_at is None else min(now + KNOWN_FOR, grant.expires_at)
        self._known[digest] = grant, keys, until
        return grant

    def _judge(self, token: str, keys: KeySet | None, final: bool) -> Grant:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, name = header.get("alg"), header.get("kid")
        except Exception as error:  # whatever is in it is the client's
            raise invalid(f"it is no JSON Web Token ({type(error).__name__})") from None
        if type(algorithm) is not str or (name is not None and type(name) is not str):
            raise invalid("its header has an alg or a kid that is not text")
        if "crit" in header:
            raise invalid("its header has extensions that must be understood (crit)")
        if self._algorithms and algorithm not in self._algorithms:
            raise invalid(f"its algorithm {algorithm[:20]!r} is not one of auth.jwt.algorithms")
        key = self._key(algorithm, name, keys, final)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience or None,
                issuer=self._issuer or None,
                leeway=self._leeway,
                options={"require": self._required},
            )
            return self._granted(claims)
        except jwt.ExpiredSignatureError:
            raise expired() from None
        except jwt.PyJWTError as error:
            raise invalid(f"{type(error).__name__}: {error}"[:200]) from None
        except Refusal:
            raise
        except Exception as error:  # numbers without end, text that is no text: all of it the client's
            raise invalid(f"its claims cannot be read ({type(error).__name__})") from None

    def _key(self, algorithm: str, name: str | None, keys: KeySet | None, final: bool) -> Any:
        """The one key for this algorithm. A secret is never asked about a public key's algorithm, or the reverse."""
        shortest = SECRET_BYTES.get(algorithm)
        if shortest is not None:
            if self._secret is None:
                raise invalid(f"{algorithm} is for secrets, and there is no auth.jwt.secret")
            if len(self._secret.encode()) < shortest:
                raise invalid(f"{algorithm} needs a secret of {shortest} bytes")
            return self._secret
        key = None if keys is None else keys.find(algorithm, name)
        if key is not None:
            return key
        if self.remote is not None:
            if not final:
                raise KeysNeededError
            if self.remote.failed or keys is None:
                raise keys_away()
        named = "that names no key" if name is None else f"of the key {name[:40]!r}"
        raise invalid(f"there is no key for a token {named} with the algorithm {algorithm[:20]!r}")

    def _granted(self, claims: dict[str, Any]) -> Grant:
        expiry = claims.get("exp")
        expires_at = None if expiry is None else min(int(expiry), LATEST) + self._leeway
        subject = claims.get("sub")
        # Without a subject all that is known is what it says; times and the number of the token are no part of it.
        known = subject or sorted((k, str(v)) for k, v in claims.items() if k not in ("exp", "iat", "nbf", "jti"))
        return Grant(MappingProxyType(claims), f"jwt {claims.get('iss', '')!r} {known!r}", expires_at)
