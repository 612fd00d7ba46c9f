"""`ahd check --against`: what a reload would change, asked of a running daemon."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ahd.config import loads
from ahd.config.reload import Hidden, differences, hidden, told
from tests.conftest import StartDaemon
from tests.harness.daemon import ROOT, Daemon, merged
from tests.harness.raw import request
from tests.harness.waiting import free_port

UI = {"enable": True, "username": "operator", "password": "a long password"}
BASE: dict[str, Any] = {"monitor": {"enable": True, "adminUI": UI}, "general": {"serverName": "one"}}


def check(file: Path, against: str, env: Mapping[str, str] | None = None) -> tuple[int, list[str], str]:
    command = [sys.executable, "-m", "ahd", "check", "--config", str(file), "--against", against]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    valid = next((index for index, line in enumerate(lines) if line.endswith("is valid")), -1)
    return done.returncode, lines[valid + 1 :], done.stderr


def changed(daemon: Daemon, **changes: Any) -> tuple[int, list[str], str]:
    daemon.write_config(merged(BASE, changes))
    return check(daemon.config_file, daemon.monitor_url)


def test_what_a_reload_would_change(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(BASE)
    assert changed(daemon) == (0, ["a reload would change nothing; it reads the TLS certificates again"], "")
    code, lines, _ = changed(daemon, general={"serverName": "two"}, log={"level": "debug"})
    assert (code, lines) == (
        0,
        [
            "reload  general.serverName: 'one' -> 'two'",
            "reload  log.level: 'info' -> 'debug'",
            "a reload would take up 2 changes",
        ],
    )
    # And so it does.
    daemon.signal(signal.SIGHUP)
    assert daemon.wait_for_event("reloaded")["changes"] == ["general.serverName", "log.level"]
    assert check(daemon.config_file, daemon.monitor_url + "/config")[0] == 0
    # Part of it cannot be taken up; a changed secret is seen, and shown to nobody.
    code, lines, _ = changed(
        daemon, chat={"maxRoomNameLength": 5}, actions={"builtin": []}, general={"defaultChatRoom": "r"},
        monitor={"adminUI": {"password": "another password", "readOnly": True}},
    )  # fmt: skip
    assert code == 1
    assert "restart monitor.adminUI.password: another secret" in lines
    assert "restart monitor.adminUI.readOnly: False -> True" in lines
    assert "reload  chat.maxRoomNameLength: 200 -> 5" in lines
    assert lines[-1] == (
        "a reload would be refused: general.defaultChatRoom, actions.builtin, monitor.adminUI "
        "cannot change while the server runs; restart it"
    )
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloadRefused")


def test_the_secrets_are_not_told(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(BASE)
    answer = request(daemon.monitor_url + "/config")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert "a long password" not in answer.body.decode()
    told_now = json.loads(answer.body)
    assert told_now["file"] == str(daemon.config_file)
    assert set(told_now["settings"]["monitor"]["adminUI"]["password"]) == {"secretDigest"}
    assert request(daemon.url + "/config").status == 404
    # Another process tells other digests of the same.
    other = json.loads(request(start_daemon(BASE, name="two").monitor_url + "/config").body)
    ours, theirs = (one["settings"]["monitor"]["adminUI"]["password"]["secretDigest"] for one in (told_now, other))
    assert ours != theirs


def test_a_secret_that_comes_or_goes() -> None:
    without = loads("redis: {enable: true}", {})
    with_it = loads("redis: {enable: true, password: swordfish}", {})
    salt = "00" * 16
    [change] = differences(hidden(told(without, salt)), hidden(told(with_it, salt)))
    assert (change.path, change.old, type(change.new)) == ("redis.password", None, Hidden)
    assert list(change.parts()) == ["redis.password: None -> '********'"]
    assert differences(hidden(told(with_it, salt)), hidden(told(with_it, salt))) == []


def test_nobody_answers(tmp_path: Path) -> None:
    file = tmp_path / "ahd.yaml"
    file.write_text("{}")
    url = f"http://127.0.0.1:{free_port()}"
    code, lines, error = check(file, url)
    assert (code, lines) == (1, [])
    assert error == f"{url} cannot be asked: Connection refused\n"
    assert "like http://127.0.0.1:9090" in check(file, "ftp://x")[2]


def test_an_invalid_configuration_is_told_first(tmp_path: Path) -> None:
    file = tmp_path / "ahd.yaml"
    file.write_text("general: {serverNam: x}")
    code, _, error = check(file, "http://127.0.0.1:1")
    assert code == 78
    assert "did you mean serverName?" in error


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what the test says."""

    status, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    handler = type("Handler", (Answers,), {"status": status, "body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"nothing"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"version": "1", "salt": "zz", "settings": {}}'),
        (200, b'{"version": "1", "salt": "00", "settings": {"general": 5}}'),
        (200, b"\xff\xfe"),
    ],
)
def test_another_server_answers(tmp_path: Path, status: int, body: bytes) -> None:
    file = tmp_path / "ahd.yaml"
    file.write_text("{}")
    with answering(status, body) as address:
        code, lines, error = check(file, address)
    assert (code, lines) == (1, [])
    assert f"{address} cannot be asked: " in error
    assert "is it the monitor's address (monitor.port)?" in error


def test_a_server_of_another_version(tmp_path: Path) -> None:
    file = tmp_path / "ahd.yaml"
    file.write_text(yaml.safe_dump({"general": {"serverName": "new"}}))
    old = {"version": "0.0.1", "salt": "00", "settings": {"general": {"serverName": "old", "gone": 1}}}
    with answering(200, json.dumps(old).encode()) as address:
        code, lines, _ = check(file, address)
    assert code == 0
    assert lines[0].startswith("it runs ahd 0.0.1, this is ")
    assert lines[1:] == ["reload  general.serverName: 'old' -> 'new'", "a reload would take up 1 change"]
