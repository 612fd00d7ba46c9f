"""TLS for every listener: contexts from certificate files, and their renewal while in use."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from ahd.config import ConfigError, Mistake, where
from ahd.servers.reasons import reason

if TYPE_CHECKING:
    from ahd.config.model import HttpServer, TcpServer


def tls_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A server's TLS: Python's defaults (TLS 1.2 and up). Raises OSError (ssl.SSLError is one) for a bad pair."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context


def context_for(name: str, section: HttpServer | TcpServer, source: Path) -> ssl.SSLContext | None:
    """The TLS of a section of the file `source`, None without. Raises ConfigError for a bad pair."""
    if not section.secure or section.cert_file is None or section.key_file is None:
        return None
    try:
        return tls_context(section.cert_file, section.key_file)
    except OSError as error:
        why = f"{section.cert_file} is no certificate that goes with {section.key_file}: {reason(error)}"
        place = where(source, (name, "certFile"), os.environ)
        raise ConfigError([Mistake(place, f"{name}.certFile", why)]) from None


def check(context: ssl.SSLContext | None, section: HttpServer | TcpServer) -> None:
    """Whether a section's certificate files hold what `renew` can use. Raises OSError."""
    if context is not None and section.cert_file is not None and section.key_file is not None:
        tls_context(section.cert_file, section.key_file)


def renew(context: ssl.SSLContext | None, section: HttpServer | TcpServer) -> None:
    """Put what a section's certificate files hold now, and `check` has found good, into a context in use."""
    if context is not None and section.cert_file is not None and section.key_file is not None:
        context.load_cert_chain(section.cert_file, section.key_file)
