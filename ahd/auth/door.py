"""Where clients come in: what the file says now, for every server; replaced at a reload."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

from ahd.config.mistakes import ConfigError, Mistake
from ahd.config.model import Config
from ahd.core.connection import Connection
from ahd.core.errors import TOKEN_REVOKED
from ahd.core.permissions import Permissions
from ahd.core.verbs import Verbs

from .authenticator import Authenticator, refused
from .grant import ANONYMOUS, CODES, Grant, Refusal, not_allowed
from .leases import Leases
from .rules import permissions

SERVERS = ("webSocket", "socket", "web")


class Door:
    """Lets clients in. `guarded` is whether anybody is asked anything; `authenticator` None: nobody for a token."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self.leases = Leases()
        self.authenticator: Authenticator | None = None
        self._started = False
        self.refusals = dict.fromkeys(product(SERVERS, CODES), 0)
        """Clients that were not let in since the start, by kind of server and code of why."""

    def start(self) -> None:
        """Begin to fetch keys, and to look for tokens that have expired; needs the running loop."""
        self._started = True
        self.leases.start()
        if self.authenticator is not None:
            self.authenticator.start()

    @property
    def guarded(self) -> bool:
        """Whether a client may be refused."""
        return self.authenticator is not None or self._verbs.permissions is not None

    def anonymous(self) -> Grant | None:
        """What a client without a token is taken for; None when it is not let in without one."""
        if self.authenticator is not None and self.authenticator.required:
            return None
        return ANONYMOUS if self._verbs.admits(ANONYMOUS) else None

    async def admit(self, token: Any, address: str, server: str, member: bool = True) -> Grant:
        """What a client with this token (None: without one) is taken for, waiting for keys where they are needed.

        Raises Refusal, which has been logged. `member`: it is to be in rooms, and must be allowed into the first.
        """
        grant = self.admit_now(token, address, server, member)
        if grant is not None:
            return grant
        assert self.authenticator is not None
        try:
            return self._checked(await self.authenticator.fetched(token), member)
        except Refusal as refusal:
            self.refuse(refusal, address, server)
            raise

    def admit_now(self, token: Any, address: str, server: str, member: bool = True) -> Grant | None:
        """As `admit`, without waiting; None when keys are needed first."""
        try:
            grant = ANONYMOUS if self.authenticator is None else self.authenticator.grant(token)
            return None if grant is None else self._checked(grant, member)
        except Refusal as refusal:
            self.refuse(refusal, address, server)
            raise

    def refuse(self, refusal: Refusal, address: str, server: str) -> None:
        """Count and log a client that is not let in."""
        self.refusals[server, refusal.word] += 1
        refused(refusal, address, server)

    def _checked(self, grant: Grant, member: bool) -> Grant:
        if member and not self._verbs.admits(grant):
            raise not_allowed()
        return grant

    def welcome(self, connection: Connection, grant: Grant) -> None:
        """Let a connection be what was granted, for as long as that holds."""
        grant.give(connection)
        self.leases.add(connection)

    def configure(self, authenticator: Authenticator | None, connections: list[Connection]) -> None:
        """Judge by another file from now on; those whose token it does not list any more are closed."""
        before = self.authenticator
        self.authenticator = authenticator
        if authenticator is not None and self._started:
            authenticator.start()
        gone = {} if before is None else before.tokens.claims()
        for claims in [] if authenticator is None else authenticator.tokens.claims():
            gone.pop(claims, None)
        for connection in connections if gone else ():
            if id(connection.claims) in gone:
                connection.link.close(TOKEN_REVOKED)


def authenticator_of(config: Config, source: Path, old: Authenticator | None) -> Authenticator | None:
    """What the file says of tokens; None when it accepts none. Raises ConfigError."""
    section = config.auth
    if not section.tokens and all(section.jwt[key] is None for key in ("secret", "jwksFile", "jwksUrl")):
        return None
    return Authenticator(config, source, old)


def authorities(
    config: Config, actions: Collection[str], source: Path, old: Authenticator | None = None
) -> tuple[Authenticator | None, Permissions | None]:
    """Who judges tokens, and the rules; None where the file says nothing of them. ConfigError with all mistakes."""
    mistakes: list[Mistake] = []
    authenticator, rules = None, None
    try:
        authenticator = authenticator_of(config, source, old)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        rules = permissions(config, actions, source)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return authenticator, rules
