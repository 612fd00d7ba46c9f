"""Clients that begin and never get on: each listener cuts them off in time, and others do not notice."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import StartDaemon
from tests.harness.certificates import self_signed
from tests.harness.daemon import Daemon
from tests.harness.raw import request, unverified
from tests.harness.waiting import measured

EACH = 40
"""Slow clients of each kind."""
PATIENCE = 10.0
"""Seconds that a client has for the head of its first request, a TLS handshake, or a request of the monitor."""

UPGRADE = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgr"
HELLO = bytes.fromhex("16030100c8010000c40303")
"""The first bytes of a TLS handshake."""


class Slow:
    """One client: what it says at first, and what it adds twice a second."""

    def __init__(self, kind: str, port: int, first: bytes, drip: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.kind = kind
        self.drip = drip
        self.begun = time.monotonic()
        self.ended = 0.0
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        if first:
            self.socket.sendall(first)
        self.socket.setblocking(False)

    def heard(self) -> None:
        """It can read: either an answer, which is left alone, or the end."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            try:
                over = not self.socket.recv(65536)
            except (ssl.SSLError, OSError) as error:
                if isinstance(error, BlockingIOError | ssl.SSLWantReadError):
                    raise
                over = True
            if over:
                self.ended = time.monotonic()

    def add(self) -> None:
        if self.drip:
            with contextlib.suppress(OSError):
                self.socket.send(self.drip)


def slow_clients(plain: Daemon, secure: Daemon, monitor: int) -> list[Slow]:
    tls = unverified()
    kinds: list[Callable[[], Slow]] = [
        lambda: Slow("http, nothing", plain.port, b"", b""),
        lambda: Slow("http, a head that never ends", plain.port, b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n"),
        lambda: Slow("websocket, an upgrade that never ends", plain.port, UPGRADE, b"a"),
        lambda: Slow("https, no handshake", secure.port, b"", b""),
        lambda: Slow("https, half a handshake", secure.port, HELLO, b""),
        lambda: Slow("https, a head that never ends", secure.port, b"GET / HTTP/1.1\r\n", b"X-A: b\r\n", tls),
        lambda: Slow("tls over tcp, no handshake", secure.tcp_port, b"", b""),
        lambda: Slow("monitor, a head that never ends", monitor, b"GET /livez HTTP/1.1\r\n", b"X-A: b\r\n"),
    ]
    return [make() for make in kinds for _ in range(EACH)]


def test_each_listener_cuts_them_off(start_daemon: StartDaemon, tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    tls = {"secure": True, "keyFile": str(files.key_file), "certFile": str(files.cert_file)}
    plain = start_daemon({"monitor": {"enable": True}})
    secure = start_daemon({"httpServer": tls, "tcpServer": {"enable": True, **tls}})
    before = plain.rss() + secure.rss()
    monitor = int(plain.monitor_url.rpartition(":")[2])
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        clients = slow_clients(plain, secure, monitor)
        for client in clients:
            stack.callback(client.socket.close)
            selector.register(client.socket, selectors.EVENT_READ, client)
        memory = (plain.rss() + secure.rss() - before) / len(clients)
        slowest = 0.0
        spent = plain.processor_time() + secure.processor_time()
        with measured() as seconds:
            due = 0.0
            while not all(client.ended for client in clients) and seconds() < PATIENCE + 6:
                for key, _ in selector.select(0.2):
                    key.data.heard()
                    if key.data.ended:
                        selector.unregister(key.fileobj)
                if seconds() >= due:
                    due += 0.5
                    for client in clients:
                        if not client.ended:
                            client.add()
                    for url in (plain.url, secure.url):
                        with measured() as taken:
                            assert request(url + "/api/randomNumber").status == 200
                        slowest = max(slowest, taken())
            busy = (plain.processor_time() + secure.processor_time() - spent) / seconds()
    for kind in dict.fromkeys(client.kind for client in clients):
        times = [client.ended - client.begun if client.ended else float("inf") for client in clients
                 if client.kind == kind]  # fmt: skip
        print(f"{kind}: cut off after {min(times):.1f} to {max(times):.1f} s")
        assert max(times) < PATIENCE + 4, kind
    print(f"{len(clients)} slow clients: {memory / 1024:.1f} KiB each, {busy:.0%} of a processor, "
          f"others answered within {slowest * 1000:.0f} ms")  # fmt: skip
    assert memory < 200 * 1024
    assert slowest < 1.5


def test_lines_that_never_end_cost_no_more_than_their_bound(start_daemon: StartDaemon) -> None:
    """A TCP client may be silent for as long as it likes; what it makes the server keep is bounded."""
    daemon = start_daemon({"tcpServer": {"enable": True, "maxLineLength": 4096}, "log": {"logRequests": False}})
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(100):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.tcp_port), timeout=10))
            stack.enter_context(client.makefile("rb")).readline()
            clients.append(client)
        before = daemon.rss()
        for _ in range(100):
            for client in clients:
                client.sendall(b"x" * 1000)
        assert request(daemon.url + "/api/status").json()["stats"]["connections"]["socket"] == 100
        kept = (daemon.rss() - before) / len(clients)
        print(f"100 KB of an endless line: {kept / 1024:.1f} KiB kept")
        assert kept < 40_000
        clients[0].sendall(b"\r\ndetailsView\r\n")
        heard = b""
        while b'"details"' not in heard:
            heard += clients[0].recv(65536)
