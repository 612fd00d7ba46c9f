"""The browser client as an HTTP answer: names and request headers in, status, headers and body out. No I/O but reading.

What is served, and from what, is the table `_sources`. The web server asks `BrowserClient.answer` for every name below
`{resource}/` that is no Engine.IO request.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ahd.client import FOLDER
from ahd.client.fetch import VERSION
from ahd.config.legacy import BrowserClientPlan
from ahd.servers.preconditions import accepts_gzip, names

_SCRIPT = "text/javascript; charset=utf-8"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

#: Seconds a name without a version may be used without asking again: short, so that an upgrade
#: is seen at once.
SHORT = 60

_SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=[^\n]*\n*\Z")


@dataclass(frozen=True)
class _Source:
    """What one name is made from: files joined in this order."""

    files: tuple[str, ...]
    content_type: str = _SCRIPT
    versioned: bool = False


@dataclass(frozen=True)
class _Body:
    content: bytes
    etag: str


def _sources(minification: bool) -> dict[str, _Source]:
    main = "socket.io.min.js" if minification else "socket.io.js"
    return {
        "socket.io.js": _Source((main, "io09.js")),
        f"socket.io.v{VERSION}.js": _Source((main, "io09.js"), versioned=True),
        "socket.io.min.js": _Source(("socket.io.min.js", "io09.js")),
        "socket.io.esm.min.js": _Source(("socket.io.esm.min.js",)),
        "socket.io.js.map": _Source(("socket.io.js.map",), _JSON),
        "socket.io.min.js.map": _Source(("socket.io.min.js.map",), _JSON),
        "socket.io.esm.min.js.map": _Source(("socket.io.esm.min.js.map",), _JSON),
        "ahsocket.js": _Source(("ahsocket.js",)),
        "ahsocket.mjs": _Source(("ahsocket.mjs",)),
        "ahsocket.d.ts": _Source(("ahsocket.d.ts",), _TEXT),
        "ahsocket.d.mts": _Source(("ahsocket.d.mts",), _TEXT),
    }


class BrowserClient:
    """Answers for the files a browser loads from `{resource}/`.

    `folder` holds them; tests give another.
    """

    def __init__(self, plan: BrowserClientPlan, folder: Path = FOLDER) -> None:
        self._plan = plan
        self._folder = folder
        self._sources = _sources(plan.minification) if plan.enable else {}
        self._kept: dict[tuple[str, bool], _Body] = {}

    @property
    def names(self) -> frozenset[str]:
        """The names that are served: none when the browser client is not enabled."""
        return frozenset(self._sources)

    def missing(self) -> str | None:
        """The warning for the log when socket.io-client's build is not there, else None."""
        files = {name for source in self._sources.values() for name in source.files}
        if all((self._folder / name).is_file() for name in files):
            return None
        return (
            "socket.io-client's build is not there, so socket.io.js is not available to browsers; "
            "`python -m ahd.client.fetch` gets it"
        )

    def answer(self, name: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for `{resource}/{name}`.

        `headers` are the request's, under any spelling of their names. `Content-Length` is always that of the body a
        GET would get; the body of a HEAD is empty.
        """
        if method not in ("GET", "HEAD"):
            return _finish(405, {"Allow": "GET, HEAD", "Content-Type": _TEXT}, b"Use GET or HEAD.\n", method)
        source = self._sources.get(name)
        if source is None:
            return _finish(404, {"Content-Type": _TEXT}, self._unknown(name), method)
        request = {key.lower(): value for key, value in headers.items()}
        zipped = self._plan.gzip and accepts_gzip(request.get("accept-encoding", ""))
        try:
            body = self._body(name, source, zipped)
        except OSError:
            text = "This file is not there: `python -m ahd.client.fetch` on the server gets it.\n"
            return _finish(503, {"Content-Type": _TEXT, "Cache-Control": "no-store"}, text.encode(), method)

        answer = {"Cache-Control": self._cache_control(source)}
        if self._plan.gzip:
            answer["Vary"] = "Accept-Encoding"
        if self._plan.etag:
            answer["ETag"] = body.etag
            if names(request.get("if-none-match", ""), body.etag):
                return 304, answer, b""
        answer["Content-Type"] = source.content_type
        answer["X-Content-Type-Options"] = "nosniff"
        # A page of another origin may load the client as a module; there is nothing secret in it.
        answer["Access-Control-Allow-Origin"] = "*"
        if zipped:
            answer["Content-Encoding"] = "gzip"
        return _finish(200, answer, body.content, method)

    def _unknown(self, name: str) -> bytes:
        if not self._sources:
            return b"The browser client is not enabled on this server.\n"
        if re.fullmatch(r"socket\.io\.v[\d.]+\.js", name):
            return f"This server has socket.io.v{VERSION}.js.\n".encode()
        return b"There is no such file.\n"

    def _cache_control(self, source: _Source) -> str:
        if source.versioned and self._plan.expires > 0:
            return f"public, max-age={int(self._plan.expires)}, immutable"
        return f"public, max-age={SHORT}"

    def _body(self, name: str, source: _Source, zipped: bool) -> _Body:
        kept = self._kept.get((name, zipped))
        if kept is not None:
            return kept
        content = _join([(self._folder / file).read_bytes() for file in source.files])
        digest = hashlib.sha256(content).hexdigest()[:32]
        # The two encodings are two representations: a strong tag may not be shared.
        body = _Body(gzip.compress(content, mtime=0), f'"{digest}-gzip"') if zipped else _Body(content, f'"{digest}"')
        if self._plan.cache:
            self._kept[name, zipped] = body
        return body


def _finish(status: int, headers: dict[str, str], body: bytes, method: str) -> tuple[int, dict[str, str], bytes]:
    headers["Content-Length"] = str(len(body))
    return status, headers, b"" if method == "HEAD" else body


def _join(parts: list[bytes]) -> bytes:
    """One script from several: the first one's source map stays valid, and its comment stays last."""
    if len(parts) == 1:
        return parts[0]
    found = _SOURCE_MAP.search(parts[0])
    comment = found.group().strip() + b"\n" if found else b""
    first = parts[0][: found.start()] if found else parts[0]
    return b"\n".join([first, *(part.strip() for part in parts[1:]), comment])
