"""Who an HTTP client is: a cookie that only it knows, and a public id made from it that everybody may see."""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ahd.servers.http import HttpRequest

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Identity:
    """A client's public id; `lasting` is whether its next request will show the same. `cookie`: what to set."""

    id: str
    lasting: bool
    cookie: str | None = None
    known: bool = False
    """Whether the request itself said who it is."""


class Fingerprints:
    """Tells clients by commonWeb.fingerprintOptions. The public id does not lead back to the cookie."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._name = options["cookieKey"]
        self._prefix = f"{self._name}="
        self._sets = options["toSetCookie"]
        self._by_address = options["onlyStaticElements"]
        age = options["maxAge"]
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + (f"; Max-Age={age}" if age is not None else "")
        self._salt = secrets.token_bytes(16)

    def identify(self, request: HttpRequest, subject: str = "") -> Identity:
        """Who sends a request. `subject` is what a token says of the client: with one cookie, each subject is another
        client, so that nobody goes on where somebody else has begun."""
        owner = blake2b(subject.encode("utf-8", "replace"), digest_size=16).digest() if subject else b""
        cookies = request.headers.get("cookie")
        if cookies is not None and self._prefix in cookies:
            for cookie in cookies.split(";"):
                name, _, token = cookie.strip().partition("=")
                if name == self._name and _TOKEN.fullmatch(token):
                    return Identity(_public(token.encode(), owner), True, known=True)
        if self._by_address:
            agent = request.headers.get("user-agent", "")
            seen = f"{request.remote_address}|{agent}".encode("utf-8", "replace")
            return Identity(_public(seen, self._salt + owner), True, known=True)
        if not self._sets:
            return Identity(secrets.token_urlsafe(15), False)
        token = secrets.token_urlsafe(24)
        secure = "; Secure" if request.scheme == "https" else ""
        return Identity(_public(token.encode(), owner), True, f"{self._prefix}{token}{self._attributes}{secure}")


def _public(token: bytes, salt: bytes = b"") -> str:
    return urlsafe_b64encode(blake2b(token, digest_size=15, key=salt).digest()).decode()
