"""TCP on the real daemon: nc, openssl s_client, and clients of every kind in one room."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect, StartDaemon
from tests.console.test_console import COMMAND, ENVIRONMENT
from tests.harness.daemon import Daemon
from tests.harness.waiting import DEADLINE, eventually


def nc(*arguments: str, lines: str) -> list[dict[str, Any]]:
    done = subprocess.run(["nc", "-N", *arguments], input=lines, capture_output=True, text=True, timeout=DEADLINE)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Lines:
    """A client over a plain socket."""

    def __init__(self, daemon: Daemon) -> None:
        self.sock = socket.create_connection(("127.0.0.1", daemon.tcp_port), timeout=DEADLINE)
        self.file = self.sock.makefile("rb")

    def send(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\r\n")

    def read(self, context: str = "") -> dict[str, Any]:
        while True:
            line = self.file.readline()
            assert line, "the server has closed the connection"
            value: dict[str, Any] = json.loads(line)
            if not context or value.get("context") == context:
                return value

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@pytest.fixture
def tcp(start_daemon: StartDaemon) -> Daemon:
    return start_daemon({"tcpServer": {"enable": True}})


@pytest.mark.smoke
def test_nc(tcp: Daemon) -> None:
    values = nc(
        "127.0.0.1", str(tcp.tcp_port), lines="paramAdd sleepDuration=30\nsleepTest\nrandomNumber\nnope\nquit\n"
    )
    assert values[0]["welcome"] == "Hello! Welcome to the ahd api"
    by_count = {value.get("messageCount"): value for value in values[1:]}
    assert by_count[1]["status"] == "OK"
    assert by_count[2]["sleepDuration"] == 30
    assert 0 <= by_count[3]["randomNumber"] < 1
    assert by_count[4]["error"] == "Error: nope is not a known action."
    assert values[-1] == {"status": "Bye!", "context": "response"}


def test_the_end_of_input_is_enough(tcp: Daemon) -> None:
    values = nc("127.0.0.1", str(tcp.tcp_port), lines="sleepTest sleepDuration=200\n")
    assert values[1]["sleepDuration"] == 200


def test_openssl(start_daemon: StartDaemon, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    section = {"enable": True, "secure": True, "keyFile": str(key), "certFile": str(certificate)}
    daemon = start_daemon({"tcpServer": section})
    assert daemon.address("socket").startswith("tls://")
    done = subprocess.run(
        [
            *("openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", str(certificate)),
            *("-connect", f"127.0.0.1:{daemon.tcp_port}"),
        ],
        input="randomNumber\nquit\n",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    values = [json.loads(line) for line in done.stdout.splitlines()]
    assert values[1]["messageCount"] == 1
    assert values[2]["status"] == "Bye!"
    done = subprocess.run(
        [*COMMAND, f"tls://127.0.0.1:{daemon.tcp_port}", "--ca", str(certificate)],
        input="randomNumber\n",
        capture_output=True,
        text=True,
        timeout=30,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr


def test_clients_of_every_kind_in_one_room(tcp: Daemon, connect: Connect) -> None:
    lines = Lines(tcp)
    lines.send("roomChange den")
    assert lines.read("response")["room"] == "den"
    node = connect(tcp.url)
    node.expect("welcome")
    node.emit("roomChange", {"room": "den"})
    assert lines.read("user")["message"] == "I have entered the room"
    consoles = []
    for address in (tcp.address("socket"), tcp.url):
        process = subprocess.Popen(
            [*COMMAND, address, "--json", "--follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdin is not None
        process.stdin.write("roomChange den\nsay here I am\n")
        process.stdin.close()
        consoles.append(process)
        assert lines.read("user")["message"] == "I have entered the room"
        assert lines.read("user")["message"] == "here I am"
    lines.send("roomView")
    assert lines.read("response")["roomStatus"]["membersCount"] == 4
    lines.send("say to all")
    eventually(lambda: node.expect("say")["message"] == "to all")
    for process in consoles:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["data"].get("message") != "to all":
            pass
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        process.stdout.close()
        assert lines.read("user")["message"] == "I have left the room"
    node.close()
    assert lines.read("user")["message"] == "I have left the room"
    lines.send("roomView")
    assert lines.read("response")["roomStatus"]["membersCount"] == 1
    lines.close()


def test_a_stop_says_goodbye(tcp: Daemon) -> None:
    lines = Lines(tcp)
    lines.read()
    lines.send("sleepTest sleepDuration=500")
    lines.send("roomView")
    lines.read("response")
    tcp.popen.terminate()
    assert lines.read("response")["sleepDuration"] == 500
    bye = lines.read("api")
    assert (bye["bye"], bye["reason"]) == ("bye", "server shutdown")
    assert lines.read("api")["code"] == "shutdown"
    assert lines.file.readline() == b""
    assert tcp.wait() == 0
    lines.close()
