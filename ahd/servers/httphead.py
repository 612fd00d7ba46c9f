"""The head of one HTTP/1 request, for requests that ask for a WebSocket. PURE: bytes in, a Request or a HeadError out.

Strict where leniency lets two readers of the same bytes disagree (RFC 9112): names, folding, control characters,
bodies.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, Literal, TypeVar
from urllib.parse import parse_qsl

from .http import origin_form

_T = TypeVar("_T")
_END: Final = re.compile(rb"\r?\n\r?\n")
_START: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/(1\.[0-9])")
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_UPGRADE: Final = re.compile(rb"\nupgrade[ \t]*:", re.IGNORECASE)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_BREAK: Final = re.compile(r"[\r\n\0]")
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}

Scheme = Literal["http", "https"]


class HeadError(Exception):
    """A request that is refused: an HTTP status, a sentence for its body, and more header fields."""

    def __init__(self, status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)


class Headers(dict[str, str]):
    """Header fields by lower-case name; lookups ignore case. Repeated fields are joined with ", ", cookies with ";
    "."""

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: _T = None) -> str | _T:  # type: ignore[assignment]
        """The field's value, or `default`."""
        return super().get(name.lower(), default)

    def add(self, name: str, value: str) -> None:
        """One more field line."""
        key = name.lower()
        before = super().get(key)
        self[key] = value if before is None else f"{before}{'; ' if key == 'cookie' else ', '}{value}"


class Request:
    """A request's head. `peer` is the address of the socket's other end as text, or "unix"; `scheme` that of the
    socket."""

    __slots__ = ("_params", "headers", "method", "path", "peer", "query", "scheme", "target", "version")

    def __init__(self, method: str, target: str, version: str, headers: Headers, peer: str, scheme: Scheme) -> None:
        self.method = method
        #: The path with the query, as sent; without scheme and host when they were sent.
        self.target = target if target.startswith("/") or "://" not in target else origin_form(target)
        self.version = version
        self.headers = headers
        self.peer = peer
        self.scheme: Scheme = scheme
        #: The path, still percent-encoded, and the query without its question mark.
        self.path, _, self.query = self.target.partition("?")
        self._params: dict[str, str] | None = None

    @property
    def params(self) -> dict[str, str]:
        """The query's fields, decoded; the first of repeated ones."""
        if self._params is None:
            query = self.query
            params: dict[str, str] = {}
            # Nothing to decode, as in what Socket.IO's clients ask for: a tenth of parse_qsl's time.
            plain = "%" not in query and "+" not in query
            pairs = (part.partition("=")[::2] for part in query.split("&") if part) if plain else None
            for name, value in pairs or parse_qsl(query, keep_blank_values=True):
                params.setdefault(name, value)
            self._params = params
        return self._params

    @property
    def upgrade(self) -> bool:
        """Whether the client asks for a WebSocket, well or badly."""
        fields = self.headers
        return "websocket" in tokens(fields.get("upgrade", "")) and "upgrade" in tokens(fields.get("connection", ""))


def end_of(data: bytes | bytearray, start: int = 0) -> int:
    """Where the body begins; -1 while the head is not complete. Nothing before `start` is looked at again."""
    found = _END.search(data, max(0, start - 3))
    return found.end() if found else -1


def may_upgrade(head: bytes) -> bool:
    """A quick look: False for a head without an Upgrade field."""
    return _UPGRADE.search(head) is not None


def tokens(value: str) -> list[str]:
    """A comma-separated list, in lower case."""
    return [token.strip().lower() for token in value.split(",")]


def parse(head: bytes, peer: str, scheme: Scheme) -> Request:
    """A whole head, up to and with its empty line. Raises HeadError(400)."""
    start, *lines = head.decode("latin-1").replace("\r\n", "\n").strip("\n").split("\n")
    matched = _START.fullmatch(start)
    if matched is None:
        raise HeadError(400, "malformed request line")
    headers = Headers()
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise HeadError(400, "malformed header field")
        headers.add(field[1], field[2].rstrip(" \t"))
    return Request(matched[1], matched[2], matched[3], headers, peer, scheme)


def check_handshake(request: Request) -> str:
    """The value of Sec-WebSocket-Accept for a good opening handshake (RFC 6455, 4.2.1). Raises HeadError(400 or
    426)."""
    fields = request.headers
    if request.method != "GET":
        raise HeadError(400, "a WebSocket handshake is a GET request")
    if request.version == "1.0":
        raise HeadError(400, "a WebSocket handshake needs HTTP/1.1")
    host = fields.get("host")
    if not host or "," in host:
        raise HeadError(400, "a WebSocket handshake needs one Host")
    if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
        raise HeadError(400, "a WebSocket handshake has no body")
    if fields.get("sec-websocket-version") != "13":
        raise HeadError(
            426, "this server speaks version 13 of the WebSocket protocol", [("Sec-WebSocket-Version", "13")]
        )
    key = fields.get("sec-websocket-key", "")
    if _KEY.fullmatch(key) is None:
        raise HeadError(400, "missing or malformed Sec-WebSocket-Key")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def response(status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A whole response. Raises ValueError for a field that would break out of its line."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Refused')}"]
    for name, value in headers:
        line = f"{name}: {value}"
        if _BREAK.search(line):
            raise ValueError(f"the header field {name!r} is not one line")
        lines.append(line)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def refusal(status: int, body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """A response after which the connection is closed; plain text unless `headers` say otherwise."""
    fields = list(headers)
    if not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", "text/plain; charset=utf-8"))
    fields += [("Content-Length", str(len(body))), ("Connection", "close")]
    return response(status, fields, body)
