"""One log line a request, for every server: observers that the verbs and the web server are handed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ahd.log import masked

requests = logging.getLogger("ahd.requests")


def request_log(filtered_params: Iterable[str]) -> Callable[..., None]:
    """An observer of verbs that logs one line a request, parameters masked."""
    filtered = frozenset(name.lower() for name in filtered_params)

    def observe(connection: Any, verb: str, data: Any, reply: dict[str, Any], seconds: float) -> None:
        if not requests.isEnabledFor(logging.INFO):
            return
        params = masked(data, filtered) if isinstance(data, dict) else data
        outcome = reply.get("error", "OK")
        name = data.get("action") if verb == "action" and isinstance(data, dict) else None
        extra = {
            "event": "request",
            "connection": connection.id,
            "address": connection.remote_address,
            "server": connection.kind,
            "verb": verb,
            "count": reply.get("messageCount"),
            "params": params,
            "outcome": outcome,
            "duration": round(seconds * 1000, 3),
        }
        what = verb if name is None else f"{verb} {name}"
        requests.info("%s %s: %s", connection.id, what, outcome, extra=extra)

    return observe


def both(first: Callable[..., None] | None, second: Callable[..., None] | None) -> Callable[..., None] | None:
    """One observer for two that may be None."""
    if first is None or second is None:
        return second if first is None else first

    def observe(*told: Any) -> None:
        first(*told)
        second(*told)

    return observe


def web_log(request: Any, response: Any, seconds: float) -> None:
    """An observer of the web server that logs one line a request."""
    if requests.isEnabledFor(logging.INFO):
        extra = {
            "event": "webRequest",
            "address": request.remote_address,
            "method": request.method,
            "path": request.path,
            "status": response.status,
            "duration": round(seconds * 1000, 3),
        }
        given = next((value for name, value in response.headers if name == "X-Request-ID"), None)
        if given is not None:
            extra["requestID"] = given
        requests.info("%s %s %d", request.method, request.path, response.status, extra=extra)
