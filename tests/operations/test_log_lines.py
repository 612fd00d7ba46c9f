"""The log of a real daemon: one line an event, as text or JSON; what is not to be read is not in it."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import WebSocket, request
from tests.harness.waiting import accepts, eventually

ACTIONS = """from typing import Any

from ahd import ActionError, action


@action(description="fails")
async def fails(why: str) -> dict[str, Any]:
    raise RuntimeError(why)


@action(description="refuses")
async def refuses() -> dict[str, Any]:
    raise ActionError("not today")
"""
EVIL = 'one\ntwo\r\n{"level": "fake"}\x1b[31mred\x1b]0;title\x07\u2028end\u202e'


@pytest.fixture
def acts(tmp_path: Path) -> str:
    folder = tmp_path / "acts"
    folder.mkdir()
    (folder / "acts.py").write_text(ACTIONS)
    return str(folder)


def use(daemon: Daemon, *calls: dict[str, Any]) -> None:
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        for call in calls:
            client.send(f"420{json.dumps(['action', call])}")
            client.until("430[")


def test_json_is_one_object_a_line(start_daemon: StartDaemon, acts: str) -> None:
    daemon = start_daemon({"actions": {"modules": [acts]}}, allow_traceback=True)
    use(daemon, {"action": "fails", "why": EVIL}, {"action": EVIL})
    daemon.stop()
    lines = [json.loads(line) for line in daemon.lines]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert {"level", "logger", "message", "event"} <= line.keys()
    [failed] = [line for line in lines if line["event"] == "actionFailed"]
    assert failed["level"] == "error"
    assert "RuntimeError: one\ntwo" in failed["traceback"]
    events = [line["event"] for line in lines]
    assert events[0] == "starting"
    assert events[-2:] == ["draining", "ended"]


def test_text_is_one_line_an_event(start_daemon: StartDaemon, acts: str, tmp_path: Path) -> None:
    port = {"port": 0}
    daemon = start_daemon(
        json.dumps({"log": {"format": "text"}, "actions": {"modules": [acts]}, "httpServer": port}),
        wait=False, allow_traceback=True,
    )  # fmt: skip
    url = daemon.wait_for_log(r"web listens on (http://\S+)").group(1)
    with WebSocket(url) as client:
        client.connect()
        for call in ({"action": "fails", "why": EVIL}, {"action": EVIL}):
            client.send(f"420{json.dumps(['action', call])}")
            client.until("430[")
    daemon.stop()
    for line in daemon.lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (info|warn|error|debug) +\S", line), line
        assert line.isprintable(), line
    [failed] = [line for line in daemon.lines if "the action fails failed" in line]
    assert "RuntimeError: one | two" in failed


def test_requests_have_their_duration_and_outcome(start_daemon: StartDaemon, acts: str) -> None:
    daemon = start_daemon({"actions": {"modules": [acts]}})
    use(daemon, {"action": "sleepTest", "sleepDuration": 50}, {"action": "refuses"})
    slow, refused = (daemon.wait_for_event("request", count=number) for number in (1, 2))
    assert (slow["verb"], slow["outcome"], slow["server"], slow["count"]) == ("action", "OK", "webSocket", 1)
    assert 50 <= slow["duration"] < 5000
    assert slow["address"] == "127.0.0.1"
    assert refused["outcome"] == "not today"
    assert request(daemon.url + "/api/refuses?x=1").status == 422
    over_http = daemon.wait_for_event("request", server="web")
    assert (over_http["outcome"], over_http["params"]["x"]) == ("not today", "1")
    line = daemon.wait_for_event("webRequest", path="/api/refuses")
    assert (line["method"], line["status"], line["duration"] > 0) == ("GET", 422, True)


def test_filtered_parameters_are_masked_at_any_depth(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"log": {"filteredParams": ["password", "cardNumber"]}})
    hidden = {"password": "hush1", "user": {"Password": "hush2"}, "all": [{"cardnumber": "hush3"}, [{"password": 4}]]}
    use(daemon, {"action": "randomNumber", "shown": "seen", **hidden})
    request(daemon.url + "/api/randomNumber?password=hush5&shown=also")
    daemon.wait_for_event("request", server="web")
    params = daemon.wait_for_event("request", server="webSocket")["params"]
    mask = "[FILTERED]"
    assert params["all"] == [{"cardnumber": mask}, [{"password": mask}]]
    assert (params["shown"], params["password"], params["user"]) == ("seen", mask, {"Password": mask})
    assert not re.findall(r"hush\d", daemon.log())


def test_secrets_are_in_no_line(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush hush secret\n")
    ui = {"enable": True, "username": "hush hush user", "password": {"file": str(tmp_path / "secret")}}
    config = {"monitor": {"enable": True, "adminUI": ui}, "log": {"level": "debug"},
              "redis": {"enable": False, "password": "hush hush redis", "url": None}}  # fmt: skip
    daemon = start_daemon(config)
    with WebSocket(daemon.url) as client:
        client.send('40/admin,{"username":"hush hush user","password":"hush hush wrong"}')
        client.until("44/admin,")
        client.send('40/admin,{"username":"hush hush user","password":"hush hush secret"}')
        client.until("40/admin,")
    changed = {**config, "redis": {"password": "hush hush other"}}
    daemon.write_config(changed)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloadRefused")
    daemon.stop()
    assert "hush" not in daemon.log()


def test_the_level_is_changed_by_a_reload(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"log": {"level": "warning"}}, wait=False)
    assert daemon.config["log"]["level"] == "warning"
    port = daemon.config["httpServer"]["port"]
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: accepts(port), 20)
    request(url + "/api/status")
    assert not daemon.events("request")
    daemon.write_config({"log": {"level": "info"}})
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloaded")
    request(url + "/api/status")
    daemon.wait_for_event("request")
    daemon.write_config({"log": {"level": "error"}})
    daemon.signal(signal.SIGHUP)

    def silent() -> bool:
        before = len(daemon.events("webRequest"))
        request(url + "/api/status")
        request(url + "/api/status")  # by its answer the first one's line would have been written
        return len(daemon.events("webRequest")) == before

    eventually(silent)
