"""Errors of the system as a user is told of them. PURE."""

from __future__ import annotations

import re
import ssl

BIND = re.compile(r"error while attempting to bind on address \('(.+?)', (\d+).*?\): (?:\[errno \d+\] )?(.+)", re.I)
"""What the loop makes of an OSError when it cannot listen on an address."""


def reason(error: Exception) -> str:
    """Why something failed, in a few words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()  # OpenSSL's own name, without where in its code
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    text = error.strerror or str(error)
    bind = BIND.match(text)
    if error.filename is not None:
        return f"{error.filename}: {text[:1].lower()}{text[1:]}"
    return text if bind is None else f"{bind[1]}, port {bind[2]}: {bind[3]}"
