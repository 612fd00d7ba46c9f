"""A network between processes that can be cut, and a balancer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque

from tests.harness.waiting import free_port


class Proxy:
    """Passes TCP connections on to a port of the loopback; of several to each in turn, but to none that refuses.

    While it is cut, nothing arrives and nobody is told: what is sent is swallowed, new connections are accepted by the
    kernel and not served, as behind a firewall that drops packets.
    """

    def __init__(self, *targets: int) -> None:
        self.port = free_port()
        self._targets = deque(targets)
        self._passing = threading.Event()
        self._passing.set()
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._passing.clear()

    def heal(self) -> None:
        """Connections that were cut are gone for good; new ones pass."""
        self._close_all()
        self._passing.set()

    def close(self) -> None:
        self._over.set()
        self._listener.close()
        self.heal()

    def _close_all(self) -> None:
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._passing.wait()
        far = None if self._over.is_set() else self._connect()
        if far is None:
            near.close()
            return
        far.settimeout(None)
        self._sockets.append(far)
        if self._over.is_set():
            self._close_all()
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        self._targets.rotate()
        for target in list(self._targets):
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", target), timeout=5)
        return None

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._passing.is_set():
                    target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
