"""An HTTP request and its response as values, so that one service answers on Tornado and on the direct path alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class HttpRequest:
    """One whole request. `headers` has lower-case names, repeated ones joined with ", "; `query` is the raw text
    after "?"; `remote_address` is the client's, behind trusted proxies too; `scheme` "http" or "https"."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    remote_address: str
    scheme: str


@dataclass(slots=True)
class HttpResponse:
    """One whole response. Content-Length, Date and Connection are the shell's to add."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


HttpService = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
"""Answers a request at once, or later: a shell runs the awaitable in a task and cancels it when the client goes."""
