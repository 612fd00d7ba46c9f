"""The addresses of the web server: TCP or a unix socket, plain or with TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .front import Front
from .tls import check, renew

if TYPE_CHECKING:
    from ahd.config.model import Config, HttpServer


def _address(sock: socket.socket) -> str:
    """What follows the scheme in the URL of a bound socket."""
    if sock.family == socket.AF_UNIX:
        return f"+unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"://{f'[{host}]' if ':' in host else host}:{port}"


class Listener:
    """Opens and closes what `httpServer` names. `addresses` are the URLs that it listens on."""

    name = "web"

    def __init__(self, front: Front, section: HttpServer, tls: ssl.SSLContext | None) -> None:
        self.front = front
        self._section = section
        self._tls = tls
        self.addresses: list[str] = []
        self.passed: list[socket.socket] = []
        """Sockets that systemd has opened already; with any of them the section's own address is not used."""

    async def start(self) -> None:
        """Listen. Raises OSError whose text says which address and why not."""
        section = self._section
        scheme = "http" if self._tls is None else "https"
        if self.passed:
            for sock in self.passed:
                await self.front.listen_socket(sock, self._tls)
                self.addresses.append(f"{scheme}{_address(sock)}")
            return
        if section.unix_socket is not None:
            await self.front.listen_unix(str(section.unix_socket), self._tls)
            self.addresses = [f"{scheme}+unix:{section.unix_socket}"]
            return
        bound = await self.front.listen_tcp(section.bind_ip, section.port, self._tls)
        self.addresses = [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host, port in bound]

    def check(self, config: Config) -> None:
        """Raises OSError when the certificate's files cannot be used."""
        check(self._tls, config.http_server)

    def configure(self, config: Config, params: Mapping[str, Any]) -> None:
        """Read the certificate again: who connects from now on gets what is in the files now."""
        renew(self._tls, self._section)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open live on."""
        self.front.close_listeners()

    async def drain(self, seconds: float, patience: float) -> None:
        """Answer what was asked; Socket.IO's clients are sent away by Socket.IO, within this time too."""
        await self.front.drain(seconds + patience)

    async def close(self) -> None:
        """Cut off what is still open."""
        self.front.close_listeners()
        if self.front.connections:
            self.front.abort_all()
            await asyncio.sleep(0)
