"""What is kept of the request that opened a connection: little, as it is kept for every connection."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any


class Handshake:
    """The opening request. `environ` makes the WSGI environment that python-socketio's handlers are given."""

    __slots__ = ("_head", "address", "method", "path", "query", "scheme")

    def __init__(
        self, method: str, path: str, query: str, headers: Iterable[tuple[str, str]], address: str, scheme: str
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.address = address
        self.scheme = scheme
        # One string instead of a dict with two for each header: a fifth of the memory.
        self._head = "\n".join(f"{name}\t{value}" for name, value in headers)

    def headers(self) -> list[tuple[str, str]]:
        """Names as they came, with their values."""
        return [(name, value) for name, _, value in (line.partition("\t") for line in self._head.split("\n")) if name]

    def header(self, wanted: str) -> str | None:
        """One header's value, by any spelling of its name."""
        wanted = wanted.lower()
        return next((value for name, value in self.headers() if name.lower() == wanted), None)

    def environ(self) -> dict[str, Any]:
        """The request as PEP 3333 has it; REMOTE_ADDR is the client's own address, behind trusted proxies too."""
        headers = self.headers()
        host, _, port = next((v for n, v in headers if n.lower() == "host"), "").rpartition(":")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "RAW_URI": f"{self.path}?{self.query}" if self.query else self.path,
            "SERVER_NAME": host or port or "localhost",
            "SERVER_PORT": port if host and port.isdigit() else ("443" if self.scheme == "https" else "80"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "ahd",
            "REMOTE_ADDR": self.address,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.async": True,
        }
        for name, value in headers:
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        return environ
