"""TLS for every listener: contexts from certificate files, and their renewal while in use."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahd.config.model import HttpServer, TcpServer


def tls_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A server's TLS: Python's defaults (TLS 1.2 and up). Raises OSError (ssl.SSLError is one) for a bad pair."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context


def check(context: ssl.SSLContext | None, section: HttpServer | TcpServer) -> None:
    """Whether a section's certificate files hold what `renew` can use. Raises OSError."""
    if context is not None and section.cert_file is not None and section.key_file is not None:
        tls_context(section.cert_file, section.key_file)


def renew(context: ssl.SSLContext | None, section: HttpServer | TcpServer) -> None:
    """Put what a section's certificate files hold now, and `check` has found good, into a context in use."""
    if context is not None and section.cert_file is not None and section.key_file is not None:
        context.load_cert_chain(section.cert_file, section.key_file)
