"""Whatever is sent as a token is answered as documented, and is in no log, however much is logged."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import pytest

from tests.auth.minting import ANN, SECRET, TOKENS, claims, hs, raw
from tests.auth.test_transports import Lines, get, hung_up
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

__all__ = ["hung_up"]

CONFIG: dict[str, Any] = {
    "auth": {"required": True, "tokens": TOKENS, "jwt": {"secret": SECRET}},
    "tcpServer": {"enable": True},
    "commonWeb": {"httpClientTimeout": 1},
    "webSockets": {"logLevel": 3},
    "log": {"level": "debug", "filteredParams": []},
}
STRANGE: list[Any] = [
    "", " ", ".", "..", "...", "a.b.c", "=", "====", "%00", "null", "undefined", "[object Object]", "Bearer x",
    raw({"alg": "none"}, claims()), raw({"alg": "HS256"}, claims()), raw({}, {}), raw([], []), raw("x", "y"),
    raw({"alg": "HS256"}, b"not json", SECRET.encode()), raw({"alg": "HS256"}, [1], SECRET.encode()),
    raw({"alg": "HS256", "kid": "../../../etc/passwd"}, claims(), b"x"),
    raw({"alg": "HS256", "kid": "\' OR 1=1 --"}, claims(), b"x"),
    raw({"alg": "HS256"}, b"[" * 5000, SECRET.encode()), raw(b"{" * 3000, claims(), SECRET.encode()),
    hs()[:-1], hs() + "A", hs().replace(".", ".."), "A" * 8192, "A" * 8193,
]  # fmt: skip


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG)


def test_strange_tokens_have_documented_answers_everywhere(daemon: Daemon, connect: Connect) -> None:
    strange = [*STRANGE, 7, True, [], {}, [ANN], {"token": ANN}]
    clients = [connect(daemon.url, wait=False, transports=["websocket"], auth={"token": one}) for one in strange]
    for client, one in zip(clients, strange, strict=True):
        assert client.expect("connect_error")["data"]["code"] == "invalidToken", one
    for one in STRANGE:
        answer = get(daemon, "/api/status", one)
        assert (answer.status, answer.json()["error"]) == (401, "the token is not valid"), one
    for one in strange:
        lines = Lines(daemon)
        lines.read()
        lines.send(json.dumps({"auth": {"token": one}}))
        assert lines.read("response")["code"] == "invalidToken", one
        lines.close()


def test_no_token_and_no_claim_is_in_the_log(daemon: Daemon, connect: Connect) -> None:
    mark = secrets.token_hex(8)
    good, bad = hs(mark=mark), hs(secret="another-secret-of-more-than-32-bytes", mark=mark)
    for transport in ("websocket", "polling"):
        client = connect(daemon.url, transports=[transport], auth={"token": good})
        client.expect("welcome")
        client.call("roomView")
        with_header = connect(daemon.url, transports=[transport], extraHeaders={"Authorization": f"Bearer {good}"})
        with_header.expect("welcome")
        connect(daemon.url, wait=False, transports=[transport], auth={"token": bad}).expect("connect_error")
        connect(daemon.url, wait=False, transports=[transport], query={"token": good}).expect("connect_error")
    for token in (good, bad):
        get(daemon, "/api/status", token)
        get(daemon, f"/api/status?access_token={token}")
        lines = Lines(daemon)
        lines.read()
        lines.send(f"authenticate {token}")
        lines.read("response")
    get(daemon, "/api/status", ANN)
    log = daemon.log()
    assert "authRefused" in log
    for secret in (good, bad, good.split(".")[1], good.split(".")[2], mark, ANN, SECRET):
        assert secret not in log


def test_an_http_client_leaves_its_room_when_its_token_expires(daemon: Daemon, connect: Connect) -> None:
    watcher = connect(daemon.url, auth={"token": ANN})
    watcher.expect("welcome")
    watcher.call("roomChange", {"room": "den"})
    token = hs(exp=int(time.time()) + 3)
    cookie = get(daemon, "/api/status", token).headers["Set-Cookie"].partition(";")[0]
    id = get(daemon, "/api/chat?method=roomChange&room=den", token, cookie).json()["requestorInformation"]["id"]
    watcher.expect("say", lambda say: say["from"] == id and say["message"] == "I have entered the room")
    # It goes on asking, so that only its token can be why it leaves.
    eventually(lambda: get(daemon, "/api/status", token, cookie).status == 401, 10)
    watcher.expect("say", lambda say: say["from"] == id and say["message"] == "I have left the room", deadline=8)
