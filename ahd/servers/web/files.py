"""Files of one directory over HTTP, and nothing outside of it.

A path is decoded exactly once. What is then no plain name (empty, "." and "..", names that begin with a dot, control
characters, backslashes) is not found, and neither is a link that leads out of the directory or anything that is not a
regular file. `.well-known` is the one name with a dot that is served.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from time import monotonic
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes

from ahd.servers import preconditions
from ahd.servers.http import FileBody, HttpRequest, HttpResponse
from ahd.servers.web import documents
from ahd.servers.web.content import Content, Kept, Stamp, load

NOT_FOUND = "There is no such file."
NO_DESCRIPTOR = "The server has too many files open."
METHODS = "GET, HEAD, OPTIONS"
TRUSTED_FOR = 1.0
"""Seconds for which a path that was found to lie in the directory is only looked at, not resolved again."""
RESOLVED_PATHS = 10000
LONGEST_PATH = 4096


def names(path: str) -> list[str] | None:
    """The names of a percent-encoded path below a directory (no leading slash); None for one that is not served.

    A trailing slash shows as an empty last name.
    """
    if len(path) > LONGEST_PATH:
        return None
    try:
        text = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        return None
    parts = text.split("/")
    for index, part in enumerate(parts):
        if not part:
            if index == len(parts) - 1:
                break
            return None
        if (part.startswith(".") and part != ".well-known") or "\\" in part or not part.isprintable():
            return None
        if len(part.encode()) > 255:
            return None
    return parts


class Files:
    """Serves `directory`; `index` is the file for a path that ends in a slash, `max_age` in seconds.

    `answer` takes the request and which part of its path is below the directory.
    """

    def __init__(self, directory: Path, index: str, max_age: int) -> None:
        self._root = os.path.realpath(directory)
        self._index = index
        self.max_age = max_age
        self._kept = Kept()
        self._resolved: dict[str, tuple[str, float]] = {}

    def answer(self, request: HttpRequest, path: str) -> HttpResponse:
        """The file, 304, a part of it, or the document that says why not. `path` is percent-encoded."""
        if request.method not in ("GET", "HEAD"):
            return documents.not_allowed(request, METHODS)
        known = path in self._resolved
        response = self._attempt(request, path)
        if response is None and known:
            # What was known of the path may be a second old, and links have been changed since.
            response = self._attempt(request, path)
        return documents.error(request, 404, NOT_FOUND) if response is None else response

    def _attempt(self, request: HttpRequest, path: str) -> HttpResponse | None:
        real = self._resolve(path)
        if real is None:
            return None
        try:
            state = os.lstat(real)
            if stat.S_ISDIR(state.st_mode):
                return self._to_directory(request, path)
            content = self._kept.get(real, Stamp.of(state))
            if content is not None:
                return self._respond(request, content)
            # Links were resolved: one that is there now was put there meanwhile. A pipe must not hold the process up.
            file = os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        except OSError as error:
            self._resolved.pop(path, None)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return documents.error(request, 503, NO_DESCRIPTOR, [("Retry-After", "5")])
            return None
        response = None
        try:
            state = os.fstat(file.fileno())
            if stat.S_ISREG(state.st_mode):
                content = load(real, file, Stamp.of(state))
                self._kept.put(real, content)
                response = self._respond(request, content, file)
        finally:
            if response is None or response.file is None:
                file.close()
        return response

    def _resolve(self, path: str) -> str | None:
        """The real path of what `path` names, if that lies in the directory."""
        now = monotonic()
        known = self._resolved.get(path)
        if known is not None and now < known[1]:
            return known[0]
        parts = names(path)
        if parts is None:
            return None
        if not parts[-1]:
            parts[-1] = self._index
        try:
            real = os.path.realpath(os.path.join(self._root, *parts), strict=True)
        except (OSError, ValueError):
            return None
        if real != self._root and not real.startswith(self._root.rstrip("/") + "/"):
            return None
        if len(self._resolved) >= RESOLVED_PATHS:
            self._resolved.clear()
        self._resolved[path] = (real, now + TRUSTED_FOR)
        return real

    def _respond(self, request: HttpRequest, content: Content, file: BinaryIO | None = None) -> HttpResponse:
        headers = request.headers
        zipped = bool(content.zipped) and "range" not in headers
        zipped = zipped and preconditions.accepts_gzip(headers.get("accept-encoding", ""))
        # The two encodings are two representations: a strong tag may not be shared.
        etag = f'{content.etag[:-1]}-gzip"' if zipped else content.etag
        cache_control = f"public, max-age={self.max_age}" if self.max_age > 0 else "no-cache"
        fields = [("ETag", etag), ("Last-Modified", content.last_modified), ("Cache-Control", cache_control)]
        if content.zipped:
            fields.append(("Vary", "Accept-Encoding"))
        decided = preconditions.precondition(headers, etag, content.modified, True)
        if decided == 304:
            return HttpResponse(304, fields)
        if decided == 412:
            return documents.error(request, 412, "the file is not in the state that was asked for")
        size = len(content.body) if content.body is not None else content.stamp.size
        fields += [
            ("Content-Type", content.content_type),
            ("Accept-Ranges", "bytes"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if zipped:
            return HttpResponse(200, [*fields, ("Content-Encoding", "gzip")], content.zipped)
        part = None
        if request.method == "GET":
            part = preconditions.byte_range(headers, etag, content.modified, size)
        if part == 416:
            where = [("Content-Range", f"bytes */{size}"), ("Accept-Ranges", "bytes")]
            return documents.error(request, 416, f"the file has {size} bytes", where)
        status, first, last = 200, 0, size - 1
        if isinstance(part, tuple):
            status, (first, last) = 206, part
            fields.append(("Content-Range", f"bytes {first}-{last}/{size}"))
        if content.body is not None or file is None:
            whole = content.body or b""
            return HttpResponse(status, fields, whole if status == 200 else whole[first : last + 1])
        if request.method == "HEAD":
            return HttpResponse(status, [*fields, ("Content-Length", str(size))])
        file.seek(first)
        return HttpResponse(status, fields, file=FileBody(file, last + 1 - first))

    def _to_directory(self, request: HttpRequest, path: str) -> HttpResponse | None:
        if path.endswith("/") or not path:
            return None
        # Built anew from the checked names, so that it can lead nowhere else.
        parts = names(request.path.lstrip("/")) or [""]
        location = "/" + "/".join(quote(part) for part in parts) + "/"
        if request.query:
            location += f"?{quote(request.query, safe='=&%+;:@/?,~')}"
        return HttpResponse(301, [("Location", location), ("Cache-Control", "no-cache")])
