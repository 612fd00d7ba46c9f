"""What pages of other origins may do: CORS, its preflight, and scripts that ask for JSONP."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from ahd.servers.http import HttpRequest, HttpResponse

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

OriginAllowed = Callable[[str, str | None, str], bool]
"""Origin, Host and scheme of a request in; whether a page of that origin may use the server."""

_EXPOSED = "X-Request-ID, Retry-After"
_REQUEST_HEADERS = "Accept, Authorization, Content-Type, X-Request-ID"
_PREFLIGHT_AGE = "600"


class Cors:
    """`named`: some origins are allowed by name, so that answers depend on who asks."""

    def __init__(self, allowed: OriginAllowed, any_origin: bool) -> None:
        self._allowed = allowed
        self._any = any_origin

    def headers(self, request: HttpRequest) -> list[tuple[str, str]] | None:
        """What an answer to this request carries; None when its origin is not allowed."""
        origin = request.headers.get("origin")
        if origin is None:
            return []
        if self._any:
            # Without credentials: any page may ask, but not in the name of its visitor.
            return [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", _EXPOSED)]
        if not self._allowed(origin, request.headers.get("host"), request.scheme):
            return None
        return [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", _EXPOSED),
            ("Vary", "Origin"),
        ]

    def options(self, headers: list[tuple[str, str]], methods: str) -> HttpResponse:
        """The answer to OPTIONS, a preflight or not, of an origin that is allowed."""
        fields = [("Allow", methods), *headers]
        if headers:
            fields += [
                ("Access-Control-Allow-Methods", methods),
                ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
                ("Access-Control-Max-Age", _PREFLIGHT_AGE),
            ]
        return HttpResponse(204, fields)

    def script_allowed(self, request: HttpRequest) -> bool:
        """Whether a JSONP script may be loaded: browsers say what kind of page it is for, old ones only its address."""
        site, address = request.headers.get("sec-fetch-site"), request.headers.get("referer", "")
        if self._any or site in ("none", "same-origin") or (site is None and not address):
            return True
        try:
            referer = urlsplit(address)
        except ValueError:
            return False
        origin = f"{referer.scheme}://{referer.netloc}"
        return self._allowed(origin, request.headers.get("host"), request.scheme)
