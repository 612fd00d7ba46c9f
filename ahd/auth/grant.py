"""What a token is worth, and why one is refused. The sentences and codes are those of docs/security.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ahd.core.connection import NO_CLAIMS, Connection
from ahd.core.errors import NOT_ALLOWED, Code, Disconnect, Refused
from ahd.core.permissions import Rights


@dataclass(slots=True)
class Grant:
    """What a client may be taken for. `subject` tells clients apart and is the same for each token of one client ("":
    anonymous); `expires_at` is in epoch seconds (None: never)."""

    claims: Mapping[str, Any]
    subject: str
    expires_at: float | None = None
    rights: Rights | None = None

    @property
    def authenticated(self) -> bool:
        """Whether it came with a token."""
        return bool(self.subject)

    def give(self, connection: Connection) -> None:
        """Let a connection be this client from now on."""
        connection.claims = self.claims
        connection.authenticated = self.authenticated
        connection.expires_at = self.expires_at
        connection.rights = self.rights


CODES = (
    "authenticationRequired",
    "invalidToken",
    "tokenExpired",
    "tokenInAddress",
    "notAllowed",
    "keysUnavailable",
)
"""The words of all refusals."""
ANONYMOUS = Grant(NO_CLAIMS, "")


class Refusal(Refused):
    """A client that is not let in. `word` is for programs; `again`: whether the same token may do later.

    `why` is for the log alone: more exactly what is wrong. `status` is HTTP's.
    """

    def __init__(
        self, word: str, sentence: str, code: Code = Code.NOT_KNOWN, again: bool = False, why: str = "", status: int = 0
    ) -> None:
        super().__init__(sentence, code)
        self.status = status or code.http_status
        self.word = word
        self.again = again
        self.why = why or sentence

    @property
    def data(self) -> dict[str, Any]:
        """What a Socket.IO client gets with its connect_error."""
        return {"code": self.word, "reconnect": self.again}

    def disconnect(self) -> Disconnect:
        """Why a connection is closed for it."""
        return Disconnect(self.word, self.sentence, 1008, self.again)


def token_required() -> Refusal:
    """No token where one is needed."""
    return Refusal("authenticationRequired", "authentication is required")


def invalid(why: str) -> Refusal:
    """A token that was never good here; the client is not told why."""
    return Refusal("invalidToken", "the token is not valid", why=why)


def expired() -> Refusal:
    """A token that was good once."""
    return Refusal("tokenExpired", "the token has expired")


def token_in_address() -> Refusal:
    """A token where logs and proxies see it."""
    return Refusal("tokenInAddress", "a token must not be sent in the address", Code.BAD_INPUT, status=400)


def keys_away() -> Refusal:
    """Tokens cannot be checked, as the keys cannot be had."""
    return Refusal("keysUnavailable", "tokens cannot be checked now", Code.STORE_AWAY, again=True)


def not_allowed() -> Refusal:
    """The rules do not let it into the default room."""
    return Refusal("notAllowed", NOT_ALLOWED, Code.NOT_ALLOWED, why="it may not enter the default room")
