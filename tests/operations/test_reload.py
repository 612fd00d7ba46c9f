"""SIGHUP: the whole file is taken up, or none of it; no client is dropped."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import WebSocket, request

BASE: dict[str, Any] = {"commonWeb": {"httpHeaders": {"X-Old": "1"}}}


def welcome(daemon: Daemon) -> str:
    with WebSocket(daemon.url) as client:
        client.connect()
        text: str = json.loads(client.until('42["welcome"')[2:])[1]["welcome"]
        return text


def change(daemon: Daemon, config: dict[str, Any]) -> None:
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)


def test_everything_that_may_change_changes_and_nobody_is_dropped(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(BASE)
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        new = {
            "general": {"welcomeMessage": "changed", "serverErrorMessage": "oops", "defaultLimit": 7},
            "commonWeb": {"httpHeaders": {"X-New": "2"}},
            "chat": {"maxRoomNameLength": 11},
            "log": {"level": "debug", "logRequests": False},
        }
        change(daemon, new)
        daemon.wait_for_event("reloaded")
        client.send('42["roomChange",{"room":"twelve-chars"}]')
        answer = json.loads(client.until('42["response"')[2:])[1]
        assert answer["error"] == "room must be a string of 1 to 11 characters without control characters"
        client.send('42["action",{"action":"status"}]')
        client.until('42["response"')
        client.send('42["detailsView"]')
        assert json.loads(client.until('42["response"')[2:])[1]["details"]["params"]["limit"] == 7
    assert welcome(daemon) == "changed"
    headers = request(daemon.url + "/").headers
    assert (headers["X-New"], headers["X-Old"]) == ("2", None)
    assert "general.welcomeMessage" in daemon.events("reloaded")[0]["changes"]
    assert not daemon.events("request")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"general": {"welcomeMessage": "new"}, "chat": {"nonsense": 1}}, "chat.nonsense: unknown key"),
        (
            {"commonWeb": {"routes": {"get": [{"path": "/a", "action": "statsu"}]}, "httpHeaders": {"X-New": "2"}}},
            "commonWeb.routes.get[0].action: there is no action statsu; did you mean status?",
        ),
        ({"general": {"welcomeMessage": "new"}, "actions": {"builtin": []}}, "actions.builtin cannot change"),
    ],
)
def test_one_refused_key_refuses_the_whole_file(start_daemon: StartDaemon, config: Any, reason: str) -> None:
    daemon = start_daemon(BASE)
    with WebSocket(daemon.url) as client:
        client.connect()
        change(daemon, config)
        assert reason in daemon.wait_for_event("reloadRefused")["reason"]
        client.send('42["roomView"]')
        client.until('42["response"')
    assert welcome(daemon) == "Hello! Welcome to the ahd api"
    assert not daemon.events("reloaded")
