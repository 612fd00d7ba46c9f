"""The tokens that the file lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from types import MappingProxyType
from typing import Any

from .grant import Grant


class TokenList:
    """Finds a token among those of `auth.tokens` in a time that tells nothing of them. `old` is the list before it:
    a token that stands in both with the same claims has the same grant, so that connections can be told from those
    whose token is gone."""

    def __init__(self, entries: Iterable[Mapping[str, Any]], old: TokenList | None = None) -> None:
        before = {} if old is None else dict(old._grants)
        self._grants: list[tuple[bytes, Grant]] = []
        for entry in entries:
            digest = sha256(entry["token"].reveal().encode()).digest()
            claims: Mapping[str, Any] = entry.get("claims", MappingProxyType({}))
            grant = before.get(digest)
            if grant is None or grant.claims != claims:
                grant = Grant(MappingProxyType(dict(claims)), f"token {digest.hex()}")
            self._grants.append((digest, grant))

    def find(self, token: str) -> Grant | None:
        """The grant of a token. Every entry is compared, and what is compared are hashes."""
        digest = sha256(token.encode()).digest()
        found = None
        for other, grant in self._grants:
            if compare_digest(digest, other):
                found = grant
        return found

    def claims(self) -> dict[int, Mapping[str, Any]]:
        """The claims of all its tokens, by their identity as objects."""
        return {id(grant.claims): grant.claims for _, grant in self._grants}
