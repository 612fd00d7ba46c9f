"""No file descriptors left: nobody more is let in, who is connected is served, and the log says it once."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from pathlib import Path

from websockets.exceptions import WebSocketException

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import WebSocket, request
from tests.harness.waiting import eventually, measured

SERVED, ROOM = 12, 8
"""Clients that are connected, and descriptors that are left for more."""


def answers(client: WebSocket) -> bool:
    client.send('42["roomView"]')
    return '"roomStatus"' in client.until('42["response"', 5)


def fed(systemd: socket.socket) -> int:
    """How often the watchdog has been fed since the last call."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            count += b"WATCHDOG=1" in systemd.recv(4096, socket.MSG_DONTWAIT)
    return count


def test_no_descriptors_left(start_daemon: StartDaemon, tmp_path: Path) -> None:
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    env = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "500000"}
    config = {"tcpServer": {"enable": True}, "monitor": {"enable": True}, "log": {"logRequests": False}}
    daemon = start_daemon(config, env=env)
    assert request(daemon.url + "/").status == 200  # what is opened at the first use is open now
    with contextlib.ExitStack() as stack:
        stack.enter_context(systemd)
        served = [stack.enter_context(WebSocket(daemon.url)) for _ in range(SERVED)]
        for client in served:
            client.connect()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.open_files() + ROOM,) * 2)
        knocking = []
        for port in [daemon.port, daemon.tcp_port] * 40:
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            knocking.append(one)
        daemon.wait_for_event("descriptorsGone")
        fed(systemd)
        with measured() as seconds:
            before = daemon.processor_time()
            slowest = 0.0
            while seconds() < 2:
                with measured() as taken:
                    assert all(answers(client) for client in served)
                slowest = max(slowest, taken())
                time.sleep(0.1)
            busy = (daemon.processor_time() - before) / seconds()
        print(f"no descriptors: {busy:.0%} of a processor, {SERVED} clients answered within {slowest * 1000:.0f} ms")
        assert fed(systemd) >= 3, "the watchdog is fed without a descriptor"
        assert busy < 0.3
        assert slowest < 1
        for one in knocking:
            one.close()
        with measured() as seconds:
            eventually(lambda: lets_in(daemon))
            print(f"lets somebody in {seconds():.2f} s after descriptors are free")
            assert seconds() < 3
        daemon.wait_for_event("descriptorsBack")
    assert len(daemon.events("descriptorsGone")) == 1
    assert len(daemon.lines) < 20, daemon.log()


def lets_in(daemon: Daemon) -> bool:
    try:
        with WebSocket(daemon.url) as late:
            late.connect()
            return answers(late)
    except (OSError, EOFError, WebSocketException):
        return False  # closed at once, as the descriptors are not free yet


def test_a_file_that_cannot_be_opened_is_no_failure_inside(start_daemon: StartDaemon) -> None:
    """The last descriptor is the client's own connection: there is none for the page it asks for."""
    daemon = start_daemon()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=5) as client:
        client.sendall(b"GET /api/randomNumber HTTP/1.1\r\nHost: a\r\n\r\n")
        lines = client.makefile("rb")
        while lines.readline() != b"\r\n":
            pass
        lines.read1()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.open_files(),) * 2)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = lines.read()
        lines.close()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in answer
