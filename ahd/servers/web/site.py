"""Which service answers a path, and what every answer of the web server carries. No I/O: requests in, answers out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from ahd.core.hits import Hits
from ahd.servers.http import HttpRequest, HttpResponse, HttpService
from ahd.servers.web import documents

logger = logging.getLogger("ahd.web")

Observe = Callable[[HttpRequest, HttpResponse, float], None]
"""Told of every answer: request, response, seconds it took. Must not raise."""


LIMITS = {408: "bodyTimeout", 413: "maxBodySize", 431: "headSize"}
"""The bounds that answers without a service are about."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A service at `prefix` ("/api" stands for itself and all below, "" for every path); `max_body` in bytes."""

    prefix: str
    service: HttpService
    max_body: int = 0


class Site:
    """All services of the web server. The longest prefix decides; `headers` go on every answer and win.

    `server_error` is the sentence a client reads when a service fails; what failed is logged.
    """

    def __init__(self, mounts: Sequence[Mount], headers: Mapping[str, str], server_error: str) -> None:
        self._mounts = tuple(sorted(mounts, key=lambda mount: -len(mount.prefix)))
        self._left: tuple[str, ...] = ()
        self._nothing = Mount("", _nothing_here)
        self.observe: Observe | None = None
        self.hits: Hits | None = None
        self.configure(headers, server_error)

    def configure(self, headers: Mapping[str, str], server_error: str) -> None:
        """Take up other headers and another sentence."""
        self._headers = list(headers.items())
        self._names = frozenset(name.lower() for name in headers)
        self._server_error = server_error

    def leave(self, prefix: str) -> None:
        """Leave a path and all below it to Tornado: for handlers that a plugin adds to the Tornado application."""
        self._left += (prefix,)

    @property
    def leaves(self) -> bool:
        """Whether any path is left to Tornado."""
        return bool(self._left)

    def left(self, path: str) -> bool:
        """Whether a percent-encoded path is left to Tornado."""
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in self._left)

    def max_body(self, path: str) -> int:
        """Bytes of the largest body that the service of a path takes."""
        return self.mount(path).max_body

    @property
    def largest_body(self) -> int:
        """Bytes of the largest body that any service takes."""
        return max((mount.max_body for mount in self._mounts), default=0)

    def mount(self, path: str) -> Mount:
        """What serves a percent-encoded path."""
        for mount in self._mounts:
            prefix = mount.prefix
            if path.startswith(prefix):
                end = len(prefix)
                if not prefix or len(path) == end or path[end] == "/":
                    return mount
        return self._nothing

    def answer(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """The answer to a request, at once or later. Never raises, except that a cancelled one is cancelled."""
        started = perf_counter()
        if request.method == "OPTIONS" and request.path == "*":
            return self._dressed(request, HttpResponse(204, [("Allow", "GET, HEAD, OPTIONS")]), started)
        try:
            answer = self.mount(request.path).service(request)
        except Exception:
            answer = self._failed(request)
        if isinstance(answer, HttpResponse):
            return self._dressed(request, answer, started)
        return self._later(request, answer, started)

    def refuse(self, request: HttpRequest, status: int, sentence: str) -> HttpResponse:
        """The answer to a request that no service shall see."""
        limit = LIMITS.get(status)
        if limit is not None and self.hits is not None:
            self.hits.hit(limit, "%s: %s", request.remote_address, sentence)
        return self._dressed(request, documents.error(request, status, sentence), perf_counter())

    async def _later(self, request: HttpRequest, answer: Awaitable[HttpResponse], started: float) -> HttpResponse:
        try:
            response = await answer
        except Exception:
            response = self._failed(request)
        return self._dressed(request, response, started)

    def _failed(self, request: HttpRequest) -> HttpResponse:
        extra = {"event": "requestFailed", "method": request.method, "path": request.path}
        logger.exception("%s %s failed", request.method, request.path, extra=extra)
        return documents.error(request, 500, self._server_error)

    def _dressed(self, request: HttpRequest, response: HttpResponse, started: float) -> HttpResponse:
        if self._headers:
            kept = [field for field in response.headers if field[0].lower() not in self._names]
            response.headers = kept + self._headers
        if self.observe is not None:
            self.observe(request, response, perf_counter() - started)
        return response


def _nothing_here(request: HttpRequest) -> HttpResponse:
    return documents.error(request, 404, "There is nothing here.")
