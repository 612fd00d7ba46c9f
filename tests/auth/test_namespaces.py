"""Tokens in other namespaces, with plugins, the Admin UI, keys from elsewhere, and with Redis behind the rooms."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.auth.minting import ANN, SECRET, TOKENS, Key, KeyServer, hs, jwks
from tests.auth.test_transports import DENIED, Lines, get, hung_up, refused
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import request
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

__all__ = ["hung_up"]

WHO = {"username": "operator", "password": "a long password"}
CONFIG: dict[str, Any] = {
    "auth": {"required": True, "tokens": TOKENS, "jwt": {"secret": SECRET}},
    "general": {"plugins": ["tests.auth.plugin:plug"]},
    "monitor": {"enable": True, "adminUI": {"enable": True, **WHO}},
}


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG)


def test_every_namespace_asks_for_a_token(daemon: Daemon, connect: Connect) -> None:
    client = connect(daemon.url + "/own", wait=False)
    assert client.expect("connect_error")["data"]["code"] == "authenticationRequired"
    own = connect(daemon.url + "/own", auth={"token": ANN})
    assert own.call("who")["sub"] == "ann"


def test_a_plugin_sees_the_claims_of_who_connects(daemon: Daemon, connect: Connect) -> None:
    connect(daemon.url, auth={"token": hs()}).expect("welcome")
    banned = connect(daemon.url, wait=False, auth={"token": hs(banned=True)})
    assert banned.expect("connect_error")["message"] != "the token is not valid"


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_session_of_another_namespace_ends_with_its_token(daemon: Daemon, connect: Connect, transport: str) -> None:
    expiry = int(time.time()) + 2
    own = connect(daemon.url + "/own", auth={"token": hs(exp=expiry)}, transports=[transport])
    assert own.expect("closing", deadline=10)["code"] == "tokenExpired"
    own.expect("disconnect")
    assert time.time() >= expiry


def test_the_admin_ui_asks_for_its_password_instead(daemon: Daemon, connect: Connect) -> None:
    admin = connect(daemon.url + "/admin", auth=WHO)
    admin.expect("config")
    wrong = connect(daemon.url + "/admin", wait=False, auth={"token": ANN})
    assert wrong.expect("connect_error")["message"] == "invalid credentials"


def test_who_is_not_let_in_is_counted(daemon: Daemon, connect: Connect) -> None:
    def count(server: str, code: str) -> float:
        text = request(daemon.monitor_url + "/metrics").text
        wanted = f'ahd_auth_refused_total{{code="{code}",server="{server}"}} '
        return sum(float(line.removeprefix(wanted)) for line in text.splitlines() if line.startswith(wanted))

    def counts() -> tuple[float, float]:
        return count("webSocket", "invalidToken"), count("web", "authenticationRequired")

    first, second = counts()
    refused(connect, daemon, auth={"token": "nonsense"})
    get(daemon, "/api/status")
    assert counts() == (first + 1, second + 1)


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    server = KeyServer(jwks(FIRST))
    yield server
    server.close()


FIRST, SECOND = Key("EC", "first"), Key("OKP", "second")


def test_keys_from_elsewhere_over_every_transport(start_daemon: StartDaemon, connect: Connect, keys: KeyServer) -> None:
    # Slow keys: who comes first waits for them, and the others' verbs do not.
    keys.delay = 0.5
    daemon = start_daemon({"auth": {"jwt": {"jwksUrl": keys.url}}, "tcpServer": {"enable": True}})
    lines = Lines(daemon)
    lines.read()
    lines.send(f"authenticate {FIRST.sign()}\r\nroomView\r\nsay behind it")
    talking = connect(daemon.url, auth={"token": FIRST.sign()})
    talking.expect("welcome")
    assert get(daemon, "/api/status", FIRST.sign()).status == 200
    assert [lines.read("response")["messageCount"] for _ in range(3)] == [1, 2, 3]
    assert keys.asked == 1
    assert get(daemon, "/api/status", SECOND.sign()).status == 401
    assert get(daemon, "/api/status", FIRST.sign(kid="first", algorithm="ES256")).status == 200


def test_keys_that_are_away_over_every_transport(start_daemon: StartDaemon, connect: Connect, keys: KeyServer) -> None:
    keys.status = 503
    daemon = start_daemon({"auth": {"jwt": {"jwksUrl": keys.url}}, "tcpServer": {"enable": True}})
    assert refused(connect, daemon, auth={"token": FIRST.sign()})["data"] == {
        "code": "keysUnavailable",
        "reconnect": True,
    }
    answer = get(daemon, "/api/status", FIRST.sign())
    assert (answer.status, answer.json()["error"]) == (503, "tokens cannot be checked now")
    assert answer.headers["Retry-After"]
    lines = Lines(daemon)
    lines.read()
    lines.send(f"authenticate {FIRST.sign()}")
    assert lines.read("response")["code"] == "keysUnavailable"
    assert lines.rest()[-1]["reconnect"] is True
    # Who needs no key is served.
    assert get(daemon, "/api/status").status == 200
    connect(daemon.url).expect("welcome")
    assert "answered with 503" in daemon.wait_for_event("keysUnavailable")["reason"]


def test_rules_and_tokens_with_redis(start_daemon: StartDaemon, connect: Connect, redis_server: RedisServer) -> None:
    rules = [{"deny": ["enter", "listen"], "rooms": ["staff"], "who": "anonymous"}, {"deny": ["say"], "rooms": ["x"]}]
    daemon = start_daemon(
        {
            "redis": {"enable": True, "port": redis_server.port},
            "auth": {"tokens": TOKENS, "rules": rules},
            "tcpServer": {"enable": True},
        }
    )
    lines = Lines(daemon)
    lines.send("roomChange staff")
    assert lines.read("response")["error"] == DENIED
    lines.send(f"roomChange staff\r\nauthenticate {ANN}")
    replies = sorted((lines.read("response") for _ in range(2)), key=lambda reply: int(reply["messageCount"]))
    assert replies[1]["status"] == "OK"
    lines.send("roomChange staff\r\nsay hello\r\nroomChange x\r\nsay hello")
    found = {reply["messageCount"]: reply for reply in (lines.read("response") for _ in range(4))}
    assert [found[count].get("error") for count in (4, 5, 6, 7)] == [None, None, None, DENIED]
    client = connect(daemon.url, auth={"token": ANN})
    assert client.call("roomChange", {"room": "staff"})["status"] == "OK"
    eventually(lambda: client.call("roomView")["roomStatus"]["membersCount"] == 1)


def test_a_file_of_keys_is_read_anew_at_a_reload(start_daemon: StartDaemon, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(jwks(FIRST))
    daemon = start_daemon({"auth": {"jwt": {"jwksFile": str(file)}}, "monitor": {"enable": True}})
    assert get(daemon, "/api/status", FIRST.sign()).status == 200
    file.write_text(jwks(SECOND))
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloaded")
    assert get(daemon, "/api/status", FIRST.sign()).status == 401
    assert get(daemon, "/api/status", SECOND.sign()).status == 200
    file.write_text("half of it")
    daemon.signal(signal.SIGHUP)
    reason = daemon.wait_for_event("reloadRefused")["reason"]
    assert "auth.jwt.jwksFile: " in reason
    assert "it is not JSON" in reason
    assert get(daemon, "/api/status", SECOND.sign()).status == 200


def test_the_monitor_tells_no_token(daemon: Daemon, tmp_path: Path) -> None:
    told = request(daemon.monitor_url + "/config").text
    assert "roles" in told
    assert not [secret for secret in (ANN, SECRET, WHO["password"]) if secret in told]
