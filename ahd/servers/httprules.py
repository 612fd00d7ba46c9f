"""What a request's head must say to be answered, where the parser is more lenient (RFC 9112). PURE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

NOT_HTTP: Final = "This is not HTTP as it should be."
HEAD_TOO_LARGE: Final = "The head of a request may have {limit} bytes."
REST_TOO_LARGE: Final = "Trailers, and what stands between the chunks of a body, may have {limit} bytes."
NO_HOST: Final = "A request needs one Host."
NO_VERSION: Final = "This server speaks HTTP/1.0 and HTTP/1.1."
NO_CODING: Final = "The only transfer coding that is understood is chunked."

_VERSIONS: Final = ("1.1", "1.0")
_HOST: Final = re.compile(r"[-!$%&'()*+.0-9:;=A-Z\[\]_a-z~]*")
_BEGINNINGS: Final = (b"/", b"h", b"H")
"""Of a path, and of a whole address."""

NAMES: dict[bytes, str] = {}
"""Names of header fields that have been seen, in lower case; bounded."""


def lower_case(name: bytes) -> str:
    """A field's name in lower case, kept in NAMES while there is room."""
    key = name.lower().decode("latin-1")
    if len(NAMES) < 1000 and len(name) < 64:
        NAMES[name] = key
    return key


def wrong(method: bytes, target: bytes, version: str, fields: Mapping[str, str]) -> tuple[int, str] | None:
    """The status and the sentence with which a head is refused; None for one that is right."""
    if version not in _VERSIONS:
        return 505, NO_VERSION
    host = fields.get("host")
    if (host is None and version == "1.1") or (host is not None and _HOST.fullmatch(host) is None):
        return 400, NO_HOST
    if target[:1] not in _BEGINNINGS and (target != b"*" or method != b"OPTIONS"):
        return 400, NOT_HTTP
    coding = fields.get("transfer-encoding")
    if coding is not None:
        if version == "1.0":  # a proxy of that time reads the body otherwise
            return 400, NOT_HTTP
        if coding.lower() != "chunked":
            return 501, NO_CODING
    return None
