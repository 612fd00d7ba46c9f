"""Tokens and rules on the real daemon: socket.io-client, HTTP and lines, one file for all of them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.auth.minting import ANN, BOB, SECRET, TOKENS, hs
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import NodeSocket
from tests.harness.raw import Answer, request
from tests.harness.waiting import DEADLINE, eventually
from tests.tcp import test_daemon

RULES = [
    {"allow": ["enter", "listen", "view", "say"], "rooms": ["team-{team}"]},
    {"deny": ["enter", "listen"], "rooms": ["team-*"]},
    {"deny": ["say"], "who": "anonymous"},
    {"allow": ["say"], "rooms": ["news"], "claims": {"roles": "admin"}},
    {"deny": ["say"], "rooms": ["news"]},
    {"deny": ["view"], "rooms": ["hidden*"]},
    {"allow": ["call"], "actions": ["random*"], "claims": {"sub": ["ann", "zoe"]}},
    {"deny": ["call"], "actions": ["randomNumber", "cache*"]},
]
OPEN = {
    "auth": {"tokens": TOKENS, "jwt": {"secret": SECRET}, "rules": RULES},
    "tcpServer": {"enable": True},
    "actions": {"modules": ["tests.auth.actions"]},
}
CLOSED = {**OPEN, "auth": {**OPEN["auth"], "required": True, "timeout": 1}}  # type: ignore[dict-item]
DENIED = "you are not allowed to do this"


class Lines(test_daemon.Lines):
    """A client of lines that is closed when its test ends."""

    there: ClassVar[list[Lines]] = []

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self.there.append(self)

    def rest(self) -> list[dict[str, Any]]:
        """All lines until the server closes the connection."""
        return [json.loads(line) for line in self.file]


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    yield
    while Lines.there:
        Lines.there.pop().close()


@pytest.fixture(scope="module")
def opened(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(OPEN, name="opened")


@pytest.fixture(scope="module")
def closed(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CLOSED, name="closed")


def get(daemon: Daemon, path: str, token: str | None = None, cookie: str = "") -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return request(daemon.url + path, headers={**headers, **({"Cookie": cookie} if cookie else {})})


# -- one table of what may be done, asked over each transport


def socket_asker(daemon: Daemon, connect: Connect, token: str | None) -> Any:
    client = connect(daemon.url, transports=["websocket"], **({"auth": {"token": token}} if token else {}))
    client.expect("welcome")
    return lambda verb, data: client.call(verb, data)


def line_asker(daemon: Daemon, connect: Connect, token: str | None) -> Any:
    lines = Lines(daemon)
    if token:
        lines.send(f"authenticate {token}")
        assert lines.read("response")["status"] == "OK"

    def ask(verb: str, data: Any) -> Any:
        lines.send(json.dumps(data if verb == "action" else {"verb": verb, "data": data}))
        return lines.read("response")

    return ask


def web_asker(daemon: Daemon, connect: Connect, token: str | None) -> Any:
    headers = get(daemon, "/api/status", token).headers
    cookie = headers["Set-Cookie"].partition(";")[0]

    def ask(verb: str, data: Any) -> Any:
        name = data["action"] if verb == "action" else "chat"
        body = {"method": verb, **data} if name == "chat" else data
        answer = request(
            f"{daemon.url}/api/{name}",
            "POST",
            json.dumps(body),
            {
                "Cookie": cookie,
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {token}"} if token else {}),
            },
        )
        reply = answer.json()
        if reply.get("error") == DENIED:
            assert answer.status == 403
        return reply

    return ask


ASKERS = {"socket.io": socket_asker, "lines": line_asker, "http": web_asker}


@pytest.mark.parametrize("transport", ASKERS)
@pytest.mark.parametrize("token", [None, ANN, BOB], ids=["nobody", "ann", "bob"])
def test_the_same_may_be_done_over_every_transport(
    opened: Daemon, connect: Connect, transport: str, token: str | None
) -> None:
    ask = ASKERS[transport](opened, connect, token)
    ann, bob = token == ANN, token == BOB
    table = [
        ("say", {"message": "hi"}, bool(token)),
        ("roomChange", {"room": "team-red"}, ann),
        ("roomChange", {"room": "team-blue"}, bob),
        ("listenToRoom", {"room": "team-green"}, False),
        ("roomChange", {"room": "hidden-1"}, True),
        ("roomView", {}, False),
        ("roomChange", {"room": "news"}, True),
        ("roomView", {}, True),
        ("say", {"message": "read this"}, ann),
        ("action", {"action": "randomNumber"}, ann),
        ("action", {"action": "cacheTest", "key": "k", "value": "v"}, False),
        ("action", {"action": "status"}, True),
        ("detailsView", {}, True),
    ]
    for verb, data, may in table:
        reply = ask(verb, data)
        assert reply.get("error") == (None if may else DENIED), (verb, data, reply)


@pytest.mark.parametrize("transport", ASKERS)
def test_actions_see_the_claims_and_no_log_does(opened: Daemon, connect: Connect, transport: str) -> None:
    told = ASKERS[transport](opened, connect, ANN)("action", {"action": "whoAmI"})
    assert told["claims"] == {"sub": "ann", "roles": ["admin", "staff"], "team": "red"}
    assert told["authenticated"] is True
    token = hs(sub="zoe", hidden="the-claim-of-zoe")
    told = ASKERS[transport](opened, connect, token)("action", {"action": "whoAmI"})
    assert told["claims"]["hidden"] == "the-claim-of-zoe"
    assert ASKERS[transport](opened, connect, None)("action", {"action": "whoAmI"})["claims"] == {}
    log = opened.log()
    for secret in (ANN, token, token.split(".")[1], "the-claim-of-zoe", SECRET):
        assert secret not in log


# -- who comes in


def refused(connect: Connect, daemon: Daemon, **options: Any) -> Any:
    client = connect(daemon.url, wait=False, **{"transports": ["websocket"], **options})
    return client.expect("connect_error")


REQUIRED = {"message": "authentication is required", "data": {"code": "authenticationRequired", "reconnect": False}}
INVALID = {"message": "the token is not valid", "data": {"code": "invalidToken", "reconnect": False}}
EXPIRED = {"message": "the token has expired", "data": {"code": "tokenExpired", "reconnect": False}}
IN_ADDRESS = {
    "message": "a token must not be sent in the address",
    "data": {"code": "tokenInAddress", "reconnect": False},
}


NOT_LET_IN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, REQUIRED),
    ({"auth": {"other": 1}}, REQUIRED),
    ({"auth": {"token": "nonsense"}}, INVALID),
    ({"auth": {"token": ""}}, INVALID),
    ({"auth": {"token": 7}}, INVALID),
    ({"auth": {"token": {"a": 1}}}, INVALID),
    ({"auth": {"token": ANN + "x"}}, INVALID),
    ({"auth": {"token": "x" * 9000}}, INVALID),
    ({"auth": {"token": hs(exp=1)}}, EXPIRED),
    ({"extraHeaders": {"Authorization": "Bearer nonsense"}}, INVALID),
    ({"extraHeaders": {"Authorization": "Bearer"}}, INVALID),
    ({"extraHeaders": {"Authorization": "Basic YTpi"}}, REQUIRED),
    ({"query": {"token": ANN}}, IN_ADDRESS),
    ({"query": {"access_token": ANN}, "auth": {"token": ANN}}, IN_ADDRESS),
]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_socket_io_is_told_why_it_is_not_let_in(closed: Daemon, connect: Connect, transport: str) -> None:
    clients = [connect(closed.url, wait=False, transports=[transport], **options) for options, _ in NOT_LET_IN]
    for client, (options, error) in zip(clients, NOT_LET_IN, strict=True):
        told = client.expect("connect_error")
        assert {"message": told["message"], "data": told["data"]} == error, options
    assert ANN not in closed.log()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_socket_io_is_let_in_by_its_token(closed: Daemon, connect: Connect, transport: str) -> None:
    for options in (
        {"auth": {"token": ANN}},
        {"auth": {"token": hs()}},
        {"extraHeaders": {"Authorization": f"bearer {ANN}"}},
        {"auth": {"token": ANN}, "extraHeaders": {"Authorization": "Bearer of bad news"}},
    ):
        client = connect(closed.url, transports=[transport], **options)
        client.expect("welcome")
        assert client.call("action", {"action": "whoAmI"})["claims"]["sub"] == "ann"


def test_http_is_asked_for_a_token(closed: Daemon) -> None:
    answer = get(closed, "/api/status")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="ahd"')
    assert answer.json()["error"] == "authentication is required"
    bad = get(closed, "/api/status", "nonsense")
    assert bad.status == 401
    assert bad.headers["WWW-Authenticate"] == (
        'Bearer realm="ahd", error="invalid_token", error_description="the token is not valid"'
    )
    assert get(closed, "/api/status", hs(exp=int(time.time()) - 5)).json()["error"] == "the token has expired"
    assert get(closed, "/api/status", ANN).status == 200
    assert get(closed, "/api/status", hs()).status == 200
    # What the actions are is told to nobody else either; files are there for a page to log in with.
    assert get(closed, "/api/openapi.json").status == 401
    assert get(closed, "/").status == 200
    assert request(closed.url + "/api/status", "OPTIONS").status == 204


@pytest.mark.parametrize("name", ["access_token", "access%5Ftoken"])
def test_a_token_in_an_address_is_refused(closed: Daemon, name: str) -> None:
    answer = get(closed, f"/api/status?{name}={ANN}", ANN if name == "access_token" else None)
    if name == "access_token":
        assert answer.status == 400
        assert answer.json()["error"] == "a token must not be sent in the address"
    else:
        assert answer.status == 401
    assert get(closed, f"/api/status?token={ANN}").status == 401
    assert ANN not in closed.log()


def test_a_bad_token_is_refused_where_none_is_needed(opened: Daemon, connect: Connect) -> None:
    assert get(opened, "/api/status").status == 200
    assert get(opened, "/api/status", "nonsense").status == 401
    assert refused(connect, opened, auth={"token": "nonsense"})["data"]["code"] == "invalidToken"
    basic = request(opened.url + "/api/status", headers={"Authorization": "Basic YTpi"})
    assert basic.status == 200


# -- lines


def test_lines_are_asked_for_a_token_and_then_welcomed(closed: Daemon) -> None:
    lines = Lines(closed)
    assert lines.read() == {"authentication": "required", "context": "api"}
    lines.send("status")
    assert lines.read() == {"context": "response", "error": "authentication is required", "messageCount": 1}
    lines.send(f"authenticate {ANN}")
    lines.send("whoAmI")
    assert lines.read() == {"context": "response", "status": "OK", "messageCount": 2}
    assert lines.read()["welcome"]
    assert lines.read()["claims"]["sub"] == "ann"


@pytest.mark.parametrize(
    "line",
    ['{"auth": {"token": "TOKEN"}}', '{"verb": "authenticate", "data": {"token": "TOKEN"}}', "authenticate TOKEN"],
)
def test_the_first_line_may_be_words_or_json(closed: Daemon, line: str) -> None:
    lines = Lines(closed)
    lines.send(line.replace("TOKEN", hs()) + "\r\nwhoAmI\r\nquit")
    assert lines.read("response")["status"] == "OK"
    assert lines.read("response")["claims"]["sub"] == "ann"
    assert lines.read("response")["status"] == "Bye!"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("authenticate nonsense", "the token is not valid"),
        ("authenticate", "the token is not valid"),
        ('{"auth": {}}', "the token is not valid"),
        ('{"auth": {"token": 1}}', "the token is not valid"),
        ('{"auth": {"token": null}}', "the token is not valid"),
    ],
)
def test_a_bad_token_ends_a_connection_of_lines(closed: Daemon, line: str, error: str) -> None:
    lines = Lines(closed)
    lines.read()
    lines.send(line + "\r\nstatus")
    assert lines.read() == {"context": "response", "error": error, "code": "invalidToken", "messageCount": 1}
    assert lines.rest() == [{"code": "invalidToken", "reason": error, "reconnect": False, "context": "api"}]


def test_auth_that_is_no_object_is_answered_and_forgiven(closed: Daemon) -> None:
    lines = Lines(closed)
    lines.read()
    lines.send('{"auth": 1}')
    assert lines.read() == {"context": "response", "error": "data must be an object", "messageCount": 1}
    lines.send(f"authenticate {ANN}")
    assert lines.read()["status"] == "OK"


def test_who_shows_no_token_in_time_is_closed(closed: Daemon) -> None:
    lines = Lines(closed)
    started = time.monotonic()
    lines.read()
    assert [line["code"] for line in lines.rest()] == ["authenticationTimeout"]
    assert 0.9 < time.monotonic() - started < DEADLINE
    with_token = Lines(closed)
    with_token.send(f"authenticate {ANN}")
    with_token.read("response")
    eventually(lambda: time.monotonic() - started > 2.2, 5)
    with_token.send("roomView")
    assert with_token.read("response")["status"] == "OK"


def test_lines_may_show_a_token_later(opened: Daemon) -> None:
    lines = Lines(opened)
    assert lines.read()["welcome"]
    lines.send("say hello")
    assert lines.read("response")["error"] == DENIED
    lines.send(f"authenticate {BOB}")
    assert lines.read("response")["status"] == "OK"
    lines.send("say hello")
    assert lines.read("response")["status"] == "OK"
    lines.send(f"authenticate {ANN}")
    assert lines.read("response")["status"] == "OK"
    lines.send("whoAmI")
    assert lines.read("response")["claims"]["sub"] == "ann"
    lines.send("authenticate wrong")
    assert lines.read("response")["code"] == "invalidToken"


def test_without_auth_lines_are_told_that_no_token_is_asked_for(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"tcpServer": {"enable": True}})
    lines = Lines(daemon)
    lines.read()
    lines.send(f"authenticate {ANN}")
    assert lines.read("response")["error"] == "this server asks for no tokens"
    lines.send("roomView")
    assert lines.read("response")["status"] == "OK"


# -- the default room


def test_who_may_not_enter_the_default_room_is_not_let_in(start_daemon: StartDaemon, connect: Connect) -> None:
    rules = [{"deny": ["enter"], "rooms": ["defaultRoom"], "who": "anonymous"}]
    daemon = start_daemon({"auth": {"tokens": TOKENS, "rules": rules}, "tcpServer": {"enable": True}})
    told = refused(connect, daemon)
    assert (told["message"], told["data"]) == (DENIED, {"code": "notAllowed", "reconnect": False})
    connect(daemon.url, auth={"token": ANN}).expect("welcome")
    lines = Lines(daemon)
    assert lines.read()["authentication"] == "required"
    lines.send(f"authenticate {ANN}")
    assert lines.read("response")["status"] == "OK"
    assert lines.read()["welcome"]
    # Over HTTP actions are called without being in a room.
    first = get(daemon, "/api/status")
    assert first.status == 200
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    chat = get(daemon, "/api/chat?method=roomView", cookie=cookie)
    assert (chat.status, chat.json()["error"]) == (403, DENIED)


def test_rules_alone_need_no_tokens(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"auth": {"rules": [{"deny": ["say"], "rooms": ["defaultRoom"]}]}})
    client = connect(daemon.url, auth={"token": "of no use here"})
    client.expect("welcome")
    assert client.call("say", {"message": "x"})["error"] == DENIED
    assert client.call("roomChange", {"room": "other"})["status"] == "OK"
    assert client.call("say", {"message": "x"})["status"] == "OK"


# -- chat over HTTP belongs to whom it was begun by


def test_a_cookie_alone_is_not_the_session_of_somebody_with_a_token(opened: Daemon) -> None:
    cookie = get(opened, "/api/status", ANN).headers["Set-Cookie"].partition(";")[0]

    def chat(query: str, token: str | None) -> Any:
        return get(opened, f"/api/chat?{query}", token, cookie).json()

    ann = chat("method=roomChange&room=team-red", ANN)["requestorInformation"]["id"]
    seen = chat("method=roomView", ANN)
    assert seen["room"] == "team-red"
    for token in (None, BOB):
        other = chat("method=roomView", token)
        assert other["requestorInformation"]["id"] != ann
        assert other["room"] == "defaultRoom"
    assert chat("method=roomView", ANN)["roomStatus"]["members"] == [ann]
    # Each new token of one subject is the same client.
    first = chat("method=roomChange&room=mine", hs(sub="zoe"))["requestorInformation"]["id"]
    again = chat("method=roomView", hs(sub="zoe", jti="2"))
    assert (again["room"], again["requestorInformation"]["id"]) == ("mine", first)


# -- expiry and reloading


def left(client: NodeSocket) -> str:
    reason: str = client.expect("disconnect", deadline=10)
    return reason


def test_a_token_that_expires_closes_its_connection(opened: Daemon, connect: Connect) -> None:
    started = time.time()
    expiry = int(started) + 3
    brief = connect(opened.url, transports=["websocket"], auth={"token": hs(exp=expiry)})
    polling = connect(opened.url, transports=["polling"], auth={"token": hs(exp=expiry)})
    longer = connect(opened.url, transports=["websocket"], auth={"token": hs(exp=expiry + 600)})
    lines = Lines(opened)
    lines.send(f"authenticate {hs(exp=expiry)}")
    assert lines.read("response")["status"] == "OK"
    for client in (brief, polling, longer):
        client.expect("welcome")
    closing = brief.expect("closing", deadline=10)
    assert closing["code"] == "tokenExpired"
    assert closing["reason"] == "the token has expired"
    assert closing["reconnect"] is True
    assert left(brief) == "transport close"
    assert polling.expect("closing")["code"] == "tokenExpired"
    left(polling)
    assert lines.rest()[-1]["code"] == "tokenExpired"
    assert expiry <= time.time() < expiry + 3
    assert longer.call("roomView")["status"] == "OK"


def test_a_newer_token_puts_the_end_off(opened: Daemon) -> None:
    expiry = int(time.time()) + 2
    lines = Lines(opened)
    lines.send(f"authenticate {hs(exp=expiry)}")
    lines.send(f"authenticate {hs(exp=expiry + 600)}")
    lines.read("response")
    lines.read("response")
    eventually(lambda: time.time() > expiry + 1, 5)
    lines.send("roomView")
    assert lines.read("response")["status"] == "OK"


def test_a_reload_takes_tokens_and_rules_up(start_daemon: StartDaemon, connect: Connect) -> None:
    config: dict[str, Any] = {"auth": {"tokens": TOKENS}}
    daemon = start_daemon(config)
    ann = connect(daemon.url, auth={"token": ANN})
    bob = connect(daemon.url, auth={"token": BOB})
    anybody = connect(daemon.url)
    assert ann.call("say", {"message": "x"})["status"] == "OK"
    daemon.write_config(
        {"auth": {"required": True, "tokens": TOKENS[:1], "rules": [{"deny": ["say"], "rooms": ["default*"]}]}}
    )
    daemon.signal(signal.SIGHUP)
    changes = daemon.wait_for_event("reloaded")["changes"]
    assert changes == ["auth.required", "auth.tokens", "auth.rules"]
    assert bob.expect("closing")["code"] == "tokenRevoked"
    left(bob)
    assert ann.call("say", {"message": "x"})["error"] == DENIED
    assert anybody.call("say", {"message": "x"})["error"] == DENIED
    assert refused(connect, daemon, auth={"token": BOB})["data"]["code"] == "invalidToken"
    assert refused(connect, daemon)["data"]["code"] == "authenticationRequired"
    assert ANN not in daemon.log()
    assert BOB not in daemon.log()


def test_a_reload_with_a_rule_for_no_action_is_refused(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({})
    client = connect(daemon.url)
    daemon.write_config({"auth": {"rules": [{"deny": ["say"]}, {"deny": ["call"], "actions": ["statsu"]}]}})
    daemon.signal(signal.SIGHUP)
    reason = daemon.wait_for_event("reloadRefused")["reason"]
    assert "auth.rules[1].actions[0]: there is no action statsu; did you mean status?" in reason
    assert client.call("say", {"message": "x"})["status"] == "OK"


def test_refusals_are_logged_without_what_was_shown(closed: Daemon, connect: Connect) -> None:
    token = hs(aud="somebody-else")
    refused(connect, closed, auth={"token": token})
    line = closed.wait_for_event("authRefused", server="webSocket", reason="InvalidAudienceError: Invalid audience")
    assert (line["code"], line["address"]) == ("invalidToken", "127.0.0.1")
    assert token not in closed.log()
