"""ahd as systemd sees it: what it notifies, and the sockets it is passed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import ROOT
from tests.harness.raw import request
from tests.harness.waiting import eventually


@pytest.fixture
def notifications(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(20)
    return listener


def fields(listener: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in listener.recv(4096).decode().splitlines())


def until(listener: socket.socket, name: str) -> dict[str, str]:
    while name not in (found := fields(listener)):
        pass
    return found


def test_what_it_notifies(start_daemon: StartDaemon, notifications: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": notifications.getsockname(), "WATCHDOG_USEC": "400000"}
    daemon = start_daemon(env=environment)
    ready = until(notifications, "READY")
    assert daemon.url in ready["STATUS"]
    for _ in range(3):
        assert until(notifications, "WATCHDOG")["WATCHDOG"] == "1"
    daemon.signal(signal.SIGHUP)
    assert re.fullmatch(r"\d+", until(notifications, "RELOADING")["MONOTONIC_USEC"])
    until(notifications, "READY")
    # A process that stands still feeds no watchdog.
    daemon.signal(signal.SIGTERM)
    stopping = until(notifications, "STOPPING")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 25_000_000
    assert daemon.wait() == 0
    notifications.close()


def test_it_takes_the_socket_that_systemd_has_opened(tmp_path: Path) -> None:
    """The socket goes on listening while the service restarts: nobody is refused in between."""
    config = tmp_path / "ahd.yaml"
    config.write_text("{}")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        command = (
            f'exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web "{sys.executable}" -m ahd --config "{config}"'
        )
        for _ in range(2):
            process = subprocess.Popen(
                ["bash", "-c", f"exec 3<&{listening.fileno()}; {command}"],
                pass_fds=[listening.fileno()], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                # Connected before anybody accepts: the answer comes once the service is up.
                assert request(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling").status == 200
            finally:
                process.terminate()
                assert process.wait(20) == 0


def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze is not None, "systemd-analyze is not installed (Debian: systemd)"
    unit = tmp_path / "ahd.service"
    unit.write_text((ROOT / "systemd" / "ahd.service").read_text().replace("/usr/local/bin/ahd", "/bin/true"))
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--no-pager", str(unit)]
    text = subprocess.run(security, capture_output=True, text=True, timeout=30).stdout
    level = re.search(r"exposure level for ahd\.service: ([\d.]+)", text)
    assert level is not None, text
    print(f"exposure level {level.group(1)}")
    assert float(level.group(1)) <= 1.3


def test_the_listener_is_there_when_ready_is_said(start_daemon: StartDaemon, notifications: socket.socket) -> None:
    daemon = start_daemon(env={"NOTIFY_SOCKET": notifications.getsockname()}, wait=False)
    until(notifications, "READY")
    eventually(lambda: daemon.events("listening"))
    assert request(daemon.url + "/").status in (200, 404)
    notifications.close()
