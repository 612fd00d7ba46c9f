"""What every kind of listener is to the application."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Protocol

from ahd.config.model import Config


class Server(Protocol):
    """A kind of listener. `name` is that of the log; `addresses` are there once it has started."""

    name: str
    addresses: list[str]
    passed: list[socket.socket]

    async def start(self) -> None:
        """Listen. Raises OSError."""

    def check(self, config: Config) -> None:
        """Whether `configure` can take this up: raises OSError for a bad certificate."""

    def configure(self, config: Config, params: Mapping[str, Any]) -> None:
        """Take up what may be reloaded, after `check`; `params` are a new client's."""

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open live on."""

    async def drain(self, seconds: float, patience: float) -> None:
        """Send the clients away within `seconds`, those who are owed something within `patience` more."""

    async def close(self) -> None:
        """Let go of everything."""
