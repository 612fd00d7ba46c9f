"""A certificate for 127.0.0.1 and localhost that signs itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """The two PEM files."""

    key_file: Path
    cert_file: Path


def self_signed(directory: Path, name: str = "tls") -> Certificate:
    """Make one with openssl; valid for a day."""
    key, cert = directory / f"{name}.key", directory / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert), "-days", "1"]
    subprocess.run([*command, *names, *files], check=True, capture_output=True, timeout=30)
    return Certificate(key, cert)
