"""The documents of answers that are not what was asked for: JSON for programs, a small page for people."""

from __future__ import annotations

import html
from collections.abc import Iterable

import orjson

from ahd.servers.http import HttpRequest, HttpResponse, phrase
from ahd.servers.preconditions import prefers_html

JSON = ("Content-Type", "application/json; charset=utf-8")
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{sentence}</p></body></html>
"""


def error(request: HttpRequest, status: int, sentence: str, headers: Iterable[tuple[str, str]] = ()) -> HttpResponse:
    """`{"error": sentence}`, or a page that says the same to a browser. Never kept by caches."""
    fields = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), *headers]
    if prefers_html(request.headers.get("accept", "")):
        page = _PAGE.format(title=html.escape(f"{status} {phrase(status)}"), sentence=html.escape(sentence))
        fields += [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", "default-src 'none'"),
            ("Vary", "Accept"),
        ]
        return HttpResponse(status, fields, page.encode())
    fields += [JSON, ("Vary", "Accept")]
    return HttpResponse(status, fields, orjson.dumps({"error": sentence}))


def not_allowed(request: HttpRequest, methods: str) -> HttpResponse:
    """405 with what is allowed; an OPTIONS request gets that as its answer."""
    if request.method == "OPTIONS":
        return HttpResponse(204, [("Allow", methods)])
    return error(request, 405, f"{request.method} is not allowed here; allowed: {methods}", [("Allow", methods)])
