"""Origins of web pages: the patterns of the configuration, and whether one may use the server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PATTERN = re.compile(rf"(?P<host>\*|{_HOST}):(?P<port>\*|[0-9]{{1,5}})\Z")
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?\Z")


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """Origins that are allowed. None stands for any scheme, host or port; hosts are in lower case."""

    scheme: str | None
    host: str | None
    port: int | None

    @property
    def any(self) -> bool:
        return self.host is None and self.port is None and self.scheme is None

    def allows(self, scheme: str, host: str, port: int) -> bool:
        return self.scheme in (None, scheme) and self.host in (None, host) and self.port in (None, port)


def parse_origin(text: str) -> OriginPattern | None:
    """`https://www.example.com`, `http://localhost:3000` or `*`; None when it is none of these."""
    if text == "*":
        return OriginPattern(None, None, None)
    match = _ORIGIN.match(text)
    if match is None:
        return None
    scheme = match["scheme"]
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    return OriginPattern(scheme, match["host"].lower(), port) if 0 < port < 65536 else None


def parse_patterns(text: str) -> tuple[OriginPattern, ...] | None:
    """Socket.IO 0.9's `host:port`, `host:*`, `*:port` and `*:*`, one or several; origins in full are taken as well."""
    patterns = []
    for word in re.split(r"[\s,]+", text.strip()):
        match = _PATTERN.match(word)
        if match is None:
            pattern = parse_origin(word)
        else:
            host = None if match["host"] == "*" else match["host"].lower()
            port = None if match["port"] == "*" else int(match["port"])
            pattern = None if port is not None and not 0 < port < 65536 else OriginPattern(None, host, port)
        if pattern is None:
            return None
        patterns.append(pattern)
    return tuple(patterns)


def origin_allowed(origin: str | None, allowed: Sequence[OriginPattern], host: str | None, scheme: str) -> bool:
    """Whether a request with this Origin header may be served.

    `host` is the request's Host header and `scheme` the scheme it came with (behind a trusted proxy: at the proxy).
    A request without the header comes from no foreign page and is served, and so is one from the server's own origin.
    The Host is compared as it is; a request that came without TLS may have lost it at a proxy, so a page with https
    counts as the same origin there, but never a page with http for a request with https.
    """
    if origin is None:
        return True
    if any(pattern.any for pattern in allowed):
        return True
    parts = _parts(origin)
    if parts is None:
        return False
    return any(pattern.allows(*parts) for pattern in allowed) or _is_own(parts, host, scheme)


def _parts(origin: str) -> tuple[str, str, int] | None:
    try:
        split = urlsplit(origin)
        port = split.port
    except ValueError:
        return None
    scheme = split.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not split.hostname or split.path or split.query or split.fragment:
        return None
    name = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return scheme, name.lower(), port if port is not None else _DEFAULT_PORTS[scheme]


def _is_own(parts: tuple[str, str, int], host: str | None, scheme: str) -> bool:
    page_scheme, page_host, page_port = parts
    if not host or (scheme == "https" and page_scheme != "https"):
        return False
    own = _parts(f"{page_scheme}://{host}")
    return own is not None and own[1:] == (page_host, page_port)
