"""How a client shows its token, as OpenAPI and AsyncAPI say it alike."""

from __future__ import annotations

from typing import Any

from ahd.actions.kinds import JsonSchema
from ahd.config.model import Auth

SCHEME = "token"
SOURCES = ("secret", "jwksFile", "jwksUrl")


def scheme(auth: Auth) -> JsonSchema | None:
    """The security scheme; None where nobody is asked for a token."""
    jwt = any(auth.jwt[key] is not None for key in SOURCES)
    if not jwt and not auth.tokens:
        return None
    return {
        "type": "http",
        "scheme": "bearer",
        **({"bearerFormat": "JWT"} if jwt and not auth.tokens else {}),
        "description": "The header `Authorization: Bearer TOKEN`"
        + ("." if auth.required else "; without it a client is anonymous."),
    }


def required(auth: Auth) -> list[dict[str, Any]]:
    """OpenAPI's `security`: with the token, or also without it."""
    return [{SCHEME: []}] if auth.required else [{SCHEME: []}, {}]
