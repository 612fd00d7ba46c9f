"""An HTTP request and its response as values, so that one service answers on Tornado and on the direct path alike."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO

CHUNK = 65536
"""Bytes of a file that are read and sent at a time."""


@dataclass(slots=True)
class HttpRequest:
    """One whole request. `headers` has lower-case names, repeated ones joined with ", " (cookies with "; ").

    `path` is as it was sent, still percent-encoded, other bytes read as Latin-1; `query` is the raw text after "?";
    `remote_address` is the client's, behind trusted proxies too; `scheme` "http" or "https".
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    remote_address: str
    scheme: str


class FileBody:
    """A part of an open file as a body: `length` bytes from where the file stands. Whoever takes it closes it."""

    __slots__ = ("file", "length")

    def __init__(self, file: BinaryIO, length: int) -> None:
        self.file = file
        self.length = length

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a chunk at a time; fewer than `length` when the file has become shorter meanwhile."""
        left = self.length
        while left:
            chunk = self.file.read(min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self.file.close()


@dataclass(slots=True)
class HttpResponse:
    """One whole response: `body`, or `file` instead. Date and Connection are the shell's to add, and Content-Length.

    `more`: the client has to ask again for the rest of what it is owed, so that the connection is kept while the server
    ends. The shell leaves the body of an answer to HEAD out. A service that has left it out itself says Content-Length.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    file: FileBody | None = None
    more: bool = False


HttpService = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
"""Answers a request at once, or later: a shell runs the awaitable in a task and cancels it when the client goes."""


def phrase(status: int) -> str:
    """The reason phrase of a status, for the status line and for error documents."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_STATUS_LINES: dict[int, str] = {}


def response_head(response: HttpResponse, method: str, keep: bool, old: bool, size: int = -1) -> bytes:
    """The status line and the fields of a response, without Date and the empty line.

    `keep`: the connection stays open, which `old` clients (HTTP/1.0) are told of. `size`: bytes of the body, when it is
    not the response's own.
    """
    status = response.status
    line = _STATUS_LINES.get(status)
    if line is None:
        line = _STATUS_LINES[status] = f"HTTP/1.1 {status} {phrase(status)}\r\n"
    lines = [line]
    length = str(len(response.body) if size < 0 else size)
    for name, value in response.headers:
        if name == "Content-Length" or name.lower() == "content-length":
            if method == "HEAD":
                length = value
        else:
            lines.append(f"{name}: {value}\r\n")
    if status not in (204, 304) and status >= 200:
        lines.append(f"Content-Length: {length}\r\n")
    if not keep:
        lines.append("Connection: close\r\n")
    elif old:
        lines.append("Connection: keep-alive\r\n")
    return "".join(lines).encode("latin-1")


def origin_form(target: str) -> str:
    """A request target as a path with query: an absolute one (`http://host/path`) loses its scheme and host."""
    if target.startswith("/") or target == "*":
        return target
    _, separator, rest = target.partition("://")
    if not separator:
        return f"/{target}"
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return path if path.startswith("/") else f"/{path}"
