"""Certificates for 127.0.0.1 and localhost."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

_KEY = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Certificate(NamedTuple):
    """The two PEM files."""

    key_file: Path
    cert_file: Path


def self_signed(directory: Path, name: str = "tls") -> Certificate:
    """Make one that signs itself with openssl; valid for a day."""
    return _made(directory, name, "-subj", "/CN=localhost", "-addext", _NAMES)


def authority(directory: Path, name: str) -> Certificate:
    """Make one that may sign others."""
    extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash"
    return _made(directory, name, *_configured(directory, name, extensions))


def signed(directory: Path, name: str, by: Certificate) -> Certificate:
    """Make one that an authority has signed."""
    extensions = f"basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{_NAMES}"
    signer = ["-CA", str(by.cert_file), "-CAkey", str(by.key_file)]
    return _made(directory, name, *signer, *_configured(directory, name, extensions))


def _configured(directory: Path, name: str, extensions: str) -> list[str]:
    """The arguments for exactly these extensions, which strict clients look at."""
    file = directory / f"{name}.cnf"
    file.write_text(f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={name}\n[ext]\n{extensions}\n")
    return ["-config", str(file), "-extensions", "ext"]


def _made(directory: Path, name: str, *words: str) -> Certificate:
    made = Certificate(directory / f"{name}.key", directory / f"{name}.crt")
    files = ["-keyout", str(made.key_file), "-out", str(made.cert_file), "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", *_KEY, *words, *files], check=True, capture_output=True, timeout=30)
    return made
