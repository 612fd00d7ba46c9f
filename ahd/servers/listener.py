"""The addresses of the web server: TCP or a unix socket, plain or with TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from .front import Front

if TYPE_CHECKING:
    from ahd.config.model import HttpServer


def tls_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A server's TLS: Python's defaults (TLS 1.2 and up). Raises OSError (ssl.SSLError is one) for a bad pair."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context


class Listener:
    """Opens and closes what `httpServer` names. `addresses` are the URLs that it listens on."""

    name = "web"

    def __init__(self, front: Front, section: HttpServer, tls: ssl.SSLContext | None) -> None:
        self.front = front
        self._section = section
        self._tls = tls
        self.addresses: list[str] = []

    async def start(self) -> None:
        """Listen. Raises OSError whose text says which address and why not."""
        section = self._section
        scheme = "http" if self._tls is None else "https"
        if section.unix_socket is not None:
            await self.front.listen_unix(str(section.unix_socket), self._tls)
            self.addresses = [f"{scheme}+unix:{section.unix_socket}"]
            return
        bound = await self.front.listen_tcp(section.bind_ip, section.port, self._tls)
        self.addresses = [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host, port in bound]

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open live on."""
        self.front.close_listeners()

    async def drain(self, seconds: float, patience: float) -> None:
        """Nothing: requests end by themselves, and Socket.IO's clients are sent away by Socket.IO."""

    async def close(self) -> None:
        """Cut off what is still open."""
        self.front.close_listeners()
        if self.front.connections:
            self.front.abort_all()
            await asyncio.sleep(0)
