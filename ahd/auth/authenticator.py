"""From what a client shows to what it may be taken for, the same for every transport."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ahd.config.load import where
from ahd.config.mistakes import ConfigError, Mistake, dotted
from ahd.config.model import Config

from .grant import ANONYMOUS, Grant, Refusal, invalid, keys_away, token_required
from .tokens import TokenList

if TYPE_CHECKING:
    from .jsonwebtoken import JsonWebTokens
    from .keys import KeySet
    from .remote import RemoteKeys

logger = logging.getLogger("ahd.auth")

LONGEST_TOKEN = 8192
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
IN_ADDRESS = frozenset({"token", "access_token"})
"""Names under which clients put tokens into addresses, where every log on the way has them."""


class Authenticator:
    """Judges tokens as the file says. `old` is the one before a reload."""

    def __init__(self, config: Config, source: Path, old: Authenticator | None = None) -> None:
        """Raises ConfigError for a jwksFile that cannot be used."""
        section = config.auth
        self.required = section.required
        self.timeout = section.timeout
        self.tokens: TokenList = TokenList(section.tokens, None if old is None else old.tokens)
        self._jwt: JsonWebTokens | None = None
        if any(section.jwt[key] is not None for key in ("secret", "jwksFile", "jwksUrl")):
            from .jsonwebtoken import JsonWebTokens

            remote = _remote(section.jwt, None if old is None else old.remote)
            self._jwt = JsonWebTokens(section.jwt, _file_keys(config, source), remote)

    @property
    def remote(self) -> RemoteKeys | None:
        """The keys that are fetched from elsewhere, if any are."""
        return None if self._jwt is None else self._jwt.remote

    def start(self) -> None:
        """Begin to fetch the keys; needs the running loop."""
        if self.remote is not None:
            self.remote.keys()

    def grant(self, token: Any, final: bool = False) -> Grant | None:
        """What a client with this token (None: without one) is. Raises Refusal.

        None: keys must be fetched first, see `fetched`; never when `final`.
        """
        if token is None:
            if self.required:
                raise token_required()
            return ANONYMOUS
        if type(token) is not str or len(token) > LONGEST_TOKEN or not _TOKEN.fullmatch(token):
            raise invalid("it is no token by its form")
        grant = self.tokens.find(token)
        if grant is not None:
            return grant
        if self._jwt is None:
            raise invalid("it is not in auth.tokens")
        from .jsonwebtoken import KeysNeededError

        try:
            return self._jwt.grant(token, final)
        except KeysNeededError:
            return None

    async def fetched(self, token: Any) -> Grant:
        """`grant`, waiting for keys where they are needed: at most as long as fetching them may take."""
        grant = self.grant(token)
        if grant is None:
            if self.remote is not None:
                await self.remote.refreshed()
            grant = self.grant(token, final=True)
        if grant is None:
            raise keys_away()
        return grant


def _remote(section: Mapping[str, Any], old: RemoteKeys | None) -> RemoteKeys | None:
    url = section["jwksUrl"]
    if url is None:
        return None
    from .remote import RemoteKeys

    if old is not None and old.url == url:
        old.max_age = section["jwksMaxAge"]
        return old
    return RemoteKeys(url, section["jwksMaxAge"])


def _file_keys(config: Config, source: Path) -> KeySet | None:
    file = config.auth.jwt["jwksFile"]
    if file is None:
        return None
    from .keys import MAX_BYTES, KeySet, KeySetError

    path = ("auth", "jwt", "jwksFile")
    try:
        with open(file, "rb") as opened:
            keys = KeySet(opened.read(MAX_BYTES))
    except (KeySetError, OSError) as error:
        raise ConfigError([Mistake(where(source, path, os.environ), dotted(path), f"{file}: {error}")]) from None
    for reason in keys.unusable:
        logger.warning("%s: %s", file, reason, extra={"event": "keyUnusable", "reason": reason})
    return keys


def bearer(authorization: str | None) -> str | None:
    """The token of an Authorization header; None when it is for something else, such as a proxy's password."""
    scheme, _, rest = (authorization or "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def refused(refusal: Refusal, address: str, server: str) -> None:
    """Log that a client was not let in: why, and never with what."""
    extra = {"event": "authRefused", "code": refusal.word, "reason": refusal.why, "address": address, "server": server}
    logger.info("%s was not let in: %s", address or "a client", refusal.why, extra=extra)
