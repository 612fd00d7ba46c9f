"""systemd's notification and socket-passing protocols (sd_notify(3), sd_listen_fds(3)); nothing without systemd."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping

FIRST_FD = 3


class Notifier:
    """Tells systemd how the service is. Every method does nothing when NOTIFY_SOCKET is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        # An abstract name begins with @ in the environment and with a zero byte on the socket.
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog = int(environ.get("WATCHDOG_USEC", "0") or 0) / 1_000_000 if mine else 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        if self._address:
            # Kept open: the watchdog must be fed when no file descriptor is left too.
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def send(self, **fields: str) -> None:
        """Send `NAME=value` lines. What cannot be sent is lost: systemd has gone, and the service goes on."""
        if self._socket is None:
            return
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            pass

    def ready(self, status: str) -> None:
        """The service is up (after a start or a reload)."""
        self.send(READY="1", STATUS=status)

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self.send(RELOADING="1", MONOTONIC_USEC=str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))

    def stopping(self, status: str, seconds: float) -> None:
        """The service ends, and may take this long for it."""
        self.send(STOPPING="1", STATUS=status, EXTEND_TIMEOUT_USEC=str(int(seconds * 1_000_000)))

    def watch(self) -> None:
        """Feed the watchdog from the loop itself, twice as often as systemd asks: a loop that stands is seen."""
        if self._watchdog:
            self.send(WATCHDOG="1")
            self._timer = asyncio.get_running_loop().call_later(self._watchdog / 2, self.watch)

    def close(self) -> None:
        """Say nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def passed_sockets(environ: Mapping[str, str]) -> dict[str, list[socket.socket]]:
    """The sockets that systemd has opened for this process, by their FileDescriptorName (`unknown` without one)."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environ.get("LISTEN_FDS", "0") or 0)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for index in range(count):
        name = names[index] if index < len(names) and names[index] else "unknown"
        sock = socket.socket(fileno=FIRST_FD + index)
        sock.set_inheritable(False)
        found.setdefault(name, []).append(sock)
    return found
