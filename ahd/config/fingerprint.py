"""A short name of what a configuration means, by which the nodes of a system see that they differ."""

from __future__ import annotations

import hashlib
import json

from .model import Config
from .write import effective

OWN_SECTIONS = frozenset({"log", "monitor"})
OWN_KEYS = frozenset({"bindIP", "port", "unixSocket", "keyFile", "certFile", "host", "url"})
"""What may be another on each node: where it listens, where it finds Redis, how it logs."""


def fingerprint(config: Config) -> str:
    """Twelve hexadecimal digits; equal for nodes that serve their clients alike. Secrets are not part of it."""
    shared = {
        name: {key: value for key, value in section.items() if key not in OWN_KEYS}
        for name, section in effective(config).items()
        if name not in OWN_SECTIONS
    }
    text = json.dumps(shared, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
