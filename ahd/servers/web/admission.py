"""The token of an HTTP request, and how one without a good one is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ahd.auth.authenticator import bearer
from ahd.auth.grant import Grant, Refusal, token_in_address
from ahd.servers.http import HttpRequest

if TYPE_CHECKING:
    from ahd.auth.door import Door

IN_ADDRESS = "access_token"
"""RFC 6750's name in an address; `token` may be a parameter of an action."""
SERVER = "web"


def granted_now(door: Door, request: HttpRequest) -> Grant | None:
    """What its client is taken for; None when keys are needed first. Raises Refusal."""
    if IN_ADDRESS in request.query and IN_ADDRESS in parse_qs(request.query, keep_blank_values=True):
        refusal: Refusal = token_in_address()
        door.refuse(refusal, request.remote_address, SERVER)
        raise refusal
    return door.admit_now(bearer(request.headers.get("authorization")), request.remote_address, SERVER, member=False)


async def granted(door: Door, request: HttpRequest) -> Grant:
    """As `granted_now`, waiting for the keys."""
    token = bearer(request.headers.get("authorization"))
    return await door.admit(token, request.remote_address, SERVER, member=False)


def challenge(refusal: Refusal) -> str:
    """WWW-Authenticate, as RFC 6750 (3) has it."""
    if refusal.word == "authenticationRequired":
        return 'Bearer realm="ahd"'
    return f'Bearer realm="ahd", error="invalid_token", error_description="{refusal.sentence}"'
