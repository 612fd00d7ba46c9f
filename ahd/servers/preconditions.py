"""What a request's headers ask of a representation (RFC 9110, 12 to 14). PURE: header text in, decisions out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)
_QUALITY = re.compile(r"\s*(?:0(?:\.\d*)?|1(?:\.0*)?)\s*")


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding allows gzip: by name, else by `*`, with a quality above 0."""
    if not header:
        return False
    qualities: dict[str, float] = {}
    for item in header.split(","):
        coding, *parameters = (part.strip().lower() for part in item.split(";"))
        if coding:
            qualities["gzip" if coding == "x-gzip" else coding] = _quality(parameters)
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0


def prefers_html(accept: str) -> bool:
    """Whether a person in a browser asks: HTML is named in Accept, which no script does by itself."""
    return "text/html" in accept.lower()


def http_time(value: str | None) -> float | None:
    """A date of a header in seconds since the epoch; None for none or one that cannot be read, which is ignored."""
    if not value:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def precondition(headers: Mapping[str, str], etag: str, modified: float, safe: bool) -> int | None:
    """304 or 412 when a precondition decides so, in the order of RFC 9110, 13.2.2; None: go on.

    `etag` is the strong tag with its quotes, `modified` whole seconds since the epoch, `safe` whether it is GET or
    HEAD.
    """
    match = headers.get("if-match")
    if match is not None:
        if match.strip() != "*" and not _has_strongly(match, etag):
            return 412
    else:
        unmodified = http_time(headers.get("if-unmodified-since"))
        if unmodified is not None and modified > unmodified:
            return 412
    none_match = headers.get("if-none-match")
    if none_match is not None:
        if names(none_match, etag):
            return 304 if safe else 412
        return None
    since = http_time(headers.get("if-modified-since"))
    if since is not None and safe and modified <= since:
        return 304
    return None


def names(header: str, etag: str) -> bool:
    """Whether If-None-Match names a tag, by 13.1.2's weak comparison; `*` names whatever is there."""
    return header.strip() == "*" or etag in _TAG.findall(header)


def _has_strongly(header: str, etag: str) -> bool:
    return any(tag.strip() == etag for tag in header.split(","))


def byte_range(headers: Mapping[str, str], etag: str, modified: float, size: int) -> tuple[int, int] | int | None:
    """What Range asks of `size` bytes: (first, last), 416, or None for the whole.

    More than one range, another unit and an If-Range that does not hold get the whole, as the standard allows.
    """
    wanted = headers.get("range")
    if wanted is None:
        return None
    matched = _RANGE.fullmatch(wanted)
    if matched is None or not _range_holds(headers.get("if-range"), etag, modified):
        return None
    first, last = matched.groups()
    if not first:
        if not last:
            return None
        length = min(int(last), size)
        return (size - length, size - 1) if length else 416
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return None
    return (start, end) if start < size else 416


def _range_holds(condition: str | None, etag: str, modified: float) -> bool:
    if condition is None:
        return True
    if condition.strip().endswith('"'):
        return condition.strip() == etag
    return http_time(condition) == modified
