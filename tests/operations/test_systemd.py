"""ahd as systemd sees it: what it notifies, and the sockets it is passed."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import ROOT
from tests.harness.raw import request
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually


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


UNITS = ("ahd.service", "ahd@.service")


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_valid_and_hardened(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze is not None, "systemd-analyze is not installed (Debian: systemd)"
    (tmp_path / name).write_text(
        (ROOT / "systemd" / name).read_text().replace("/usr/local/bin/ahd", "/bin/true")
    )
    unit = str(tmp_path / name.replace("@", "@8081"))
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, timeout=30)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--no-pager", unit]
    text = subprocess.run(security, capture_output=True, text=True, timeout=30).stdout
    level = re.search(r"exposure level for ahd\S*\.service: ([\d.]+)", text)
    assert level is not None, text
    print(f"exposure level {level.group(1)}")
    assert float(level.group(1)) <= 1.3


def settings(name: str) -> list[str]:
    lines = (ROOT / "systemd" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_units_differ_only_where_instances_do() -> None:
    one, many = (settings(name) for name in UNITS)
    different = {line.partition("=")[0] for line in set(one) ^ set(many)}
    assert different == {"Description", "Environment", "EnvironmentFile", "ExecStart", "RuntimeDirectory"}


def instance_name() -> str:
    """Four digits, such that the ports of the web, the monitor and TCP are free."""
    while True:
        port = random.randrange(4000, 9999)
        if not any(accepts(int(f"{digit}{port}")) for digit in ("", 1, 2)):
            return str(port)


def test_instances_of_the_unit_are_one_system(
    start_daemon: StartDaemon, redis_server: RedisServer, connect: Connect
) -> None:
    """Two processes with the environment that the unit gives them, and one file, on one machine."""
    given = next(line for line in settings("ahd@.service") if line.startswith("Environment="))
    shipped = (ROOT / "etc" / "cluster.yaml").read_text().replace("0.0.0.0", "127.0.0.1")
    shipped += "monitor: {enable: true}\ntcpServer: {enable: true}\nlog: {format: json}\n"
    clients = []
    for _ in range(2):
        instance = instance_name()
        words = given.partition("=")[2].replace("%i", instance).split()
        environment = {"REDIS_URL": redis_server.url, **dict(word.split("=", 1) for word in words)}
        daemon = start_daemon(shipped, env=environment)
        assert daemon.url == f"http://127.0.0.1:{instance}"
        assert daemon.monitor_url == f"http://127.0.0.1:1{instance}"
        assert daemon.tcp_port == int(f"2{instance}")
        clients.append(connect(daemon.url, transports=["websocket"]))
    eventually(lambda: clients[0].call("roomView", {})["roomStatus"]["membersCount"] == 2)


def test_the_listener_is_there_when_ready_is_said(start_daemon: StartDaemon, notifications: socket.socket) -> None:
    daemon = start_daemon(env={"NOTIFY_SOCKET": notifications.getsockname()}, wait=False)
    until(notifications, "READY")
    eventually(lambda: daemon.events("listening"))
    assert request(daemon.url + "/").status in (200, 404)
    notifications.close()
