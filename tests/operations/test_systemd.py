"""ahd as systemd sees it: what it notifies, and the sockets it is passed."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
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


def test_nobody_is_refused_while_it_restarts(tmp_path: Path) -> None:
    """The socket goes on listening while the service restarts, again and again, with clients at every moment."""
    config = tmp_path / "ahd.yaml"
    config.write_text("{log: {level: error}}")
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening, ThreadPoolExecutor(4) as threads:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/randomNumber"
        ended = threading.Event()
        answers: Counter[str] = Counter()
        knocking = [threads.submit(knock, url, ended, answers) for _ in range(4)]
        try:
            for _ in range(3):
                process = activated(config, listening)
                before = answers["200"]
                try:
                    eventually(lambda before=before: answers["200"] >= before + 50, 20)  # type: ignore[misc]
                finally:
                    process.terminate()  # in the middle of them
                    assert process.wait(20) == 0
            process = activated(config, listening)
        finally:
            ended.set()
            for one in knocking:
                one.result()
            process.terminate()
            assert process.wait(20) == 0
    print(f"3 restarts: {dict(answers)}")
    assert set(answers) <= {"200", "503"}, "503 is a drain that says when to come back"


def activated(config: Path, listening: socket.socket) -> subprocess.Popen[bytes]:
    """ahd as systemd starts it for a socket unit."""
    command = f'exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web "{sys.executable}" -m ahd --config "{config}"'
    return subprocess.Popen(
        ["bash", "-c", f"exec 3<&{listening.fileno()}; {command}"],
        pass_fds=[listening.fileno()], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def knock(url: str, ended: threading.Event, answers: Counter[str]) -> None:
    """Connect and ask, again and again; what came of it."""
    while not ended.wait(0.002):
        try:
            outcome = str(request(url, timeout=20).status)
        except (OSError, http.client.HTTPException) as error:
            outcome = repr(error)
        answers[outcome] += 1


UNITS = sorted(path.name for path in (ROOT / "systemd").glob("*.service"))


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_valid_and_hardened(tmp_path: Path, name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze is not None, "systemd-analyze is not installed (Debian: systemd)"
    # A template is looked at as one of its instances.
    unit = tmp_path / name.replace("@.", "@one.")
    unit.write_text(re.sub(r"(?<=ExecStart=)\S+", "/bin/true", (ROOT / "systemd" / name).read_text()))
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=30)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--no-pager", str(unit)]
    text = subprocess.run(security, capture_output=True, text=True, timeout=30).stdout
    level = re.search(r"exposure level for \S+: ([\d.]+)", text)
    assert level is not None, text
    print(f"{name}: exposure level {level.group(1)}")
    assert float(level.group(1)) <= 1.3
    lines = unit.read_text().splitlines()
    assert {"Type=notify", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(lines)
    assert any(line.startswith("WatchdogSec=") for line in lines)
    assert "RestartPreventExitStatus=78" in lines


def test_sockets_are_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze is not None, "systemd-analyze is not installed (Debian: systemd)"
    for path in (ROOT / "systemd").iterdir():
        text = re.sub(r"(?<=ExecStart=)\S+", "/bin/true", path.read_text())
        (tmp_path / path.name.replace("@.", "@one.")).write_text(text)
    for socket_unit in tmp_path.glob("*.socket"):
        verified = subprocess.run([analyze, "verify", str(socket_unit)], capture_output=True, text=True, timeout=30)
        assert (verified.returncode, verified.stderr) == (0, "")


def test_a_secret_of_load_credential(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """systemd puts LoadCredential's files into a directory that it names in the environment."""
    password = "hard to guess"
    server = RedisServer(tmp_path / "redis", "--requirepass", password, password=password)
    server.start()
    try:
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "redis-password").write_text(password + "\n")
        redis = {"enable": True, "port": server.port, "password": {"file": "redis-password"}}
        daemon = start_daemon(
            {"redis": redis, "monitor": {"enable": True}}, env={"CREDENTIALS_DIRECTORY": str(credentials)}
        )
        eventually(lambda: request(daemon.monitor_url + "/readyz").status == 200)
        assert password not in daemon.log()
    finally:
        server.stop()


def test_a_drain_asks_for_its_time_and_feeds_the_watchdog(
    start_daemon: StartDaemon, notifications: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": notifications.getsockname(), "WATCHDOG_USEC": "200000"}
    daemon = start_daemon({"shutdown": {"delay": 0.8, "drain": 0, "timeout": 7}}, env=environment)
    until(notifications, "READY")
    daemon.signal(signal.SIGTERM)
    stopping = until(notifications, "STOPPING")
    assert (stopping["EXTEND_TIMEOUT_USEC"], stopping["STATUS"]) == ("7000000", "draining")
    for _ in range(3):
        until(notifications, "WATCHDOG")
    # A reload that comes now must not look as if it were up again.
    daemon.signal(signal.SIGHUP)
    assert daemon.wait() == 0
    notifications.settimeout(0.05)
    rest = []
    with contextlib.suppress(TimeoutError):
        while True:
            rest.append(fields(notifications))
    assert not [found for found in rest if "READY" in found or "RELOADING" in found]
    notifications.close()


def test_an_abstract_socket_is_notified_too(start_daemon: StartDaemon, tmp_path: Path) -> None:
    name = f"ahd-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(20)
        start_daemon(env={"NOTIFY_SOCKET": "@" + name})
        until(listener, "READY")


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
