"""Bytes by transport, as the kernel counts them for each TCP connection: the message path has no part in it.

A connection is looked at when it ends, and now and then while it is open. With TLS it is too late at the end, so that
what moved since the last look is missing; Unix sockets are not counted at all.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

Kind = tuple[str, str]
"""Kind of server and transport."""

INTERVAL = 1.0
AT_ONCE = 500
"""So many connections are looked at in one go; of more than 15,000 a thirtieth."""
OPTION: int | None = getattr(socket, "TCP_INFO", None)
FIELDS = struct.Struct("=QQ")
OFFSET = 120
"""Where in Linux's struct tcp_info `tcpi_bytes_acked` and `tcpi_bytes_received` stand."""


class Traffic:
    """`received` and `sent` since the start. `connections` tells the open ones, by kind and transport."""

    def __init__(self, connections: Callable[[], Iterable[tuple[Kind, Any]]]) -> None:
        self.received: dict[Kind, int] = {}
        self.sent: dict[Kind, int] = {}
        self._connections = connections
        self._seen: dict[Any, tuple[int, int]] = {}
        self._left: list[tuple[Kind, Any]] = []
        self._share = AT_ONCE
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, in the running loop."""
        if OPTION is not None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Look at the next open connections, at all of them when they are few."""
        if not self._left:
            self._left = list(self._connections())
            self._share = max(AT_ONCE, len(self._left) // 30)
        for _ in range(min(self._share, len(self._left))):
            kind, transport = self._left.pop()
            if not transport.is_closing():
                self._take(kind, transport)

    def ender(self, kind: Kind) -> Callable[[Any], None]:
        """What is to be called with each transport of a kind at its end."""
        return partial(self._ended, kind)

    def _ended(self, kind: Kind, transport: Any) -> None:
        self._take(kind, transport)
        self._seen.pop(transport, None)

    def _take(self, kind: Kind, transport: Any) -> None:
        sock = transport.get_extra_info("socket")
        if sock is None or OPTION is None:
            return
        try:
            sent, received = FIELDS.unpack_from(sock.getsockopt(socket.IPPROTO_TCP, OPTION, 256), OFFSET)
        except (OSError, ValueError, struct.error):  # closed already, no TCP, or an old kernel
            return
        before = self._seen.get(transport, (0, 0))
        self._seen[transport] = sent, received
        self.sent[kind] = self.sent.get(kind, 0) + max(sent - before[0], 0)
        self.received[kind] = self.received.get(kind, 0) + max(received - before[1], 0)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)
        self.look()
