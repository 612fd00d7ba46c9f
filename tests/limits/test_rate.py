"""Who sends too fast is answered that, and closed when it does not stop: over every transport."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import ROOT
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.waiting import eventually
from tests.keys.proving import Lines
from tests.limits.test_closing import told

SENTENCE = "you are sending too many messages"
SLOWLY: dict[str, Any] = {"messageRate": 0.001, "messageBurst": 5}
"""Nothing comes back while a test runs."""


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_every_message_is_answered_once_and_in_count(
    start_daemon: StartDaemon, connect: Connect, transport: str
) -> None:
    daemon = start_daemon({"limits": SLOWLY, "monitor": {"enable": True}})
    client = connect(daemon.url, transports=[transport])
    client.expect("welcome")
    for _ in range(6):
        client.emit("detailsView")
    client.emit("action", {"action": "randomNumber"})
    replies = [client.expect("response") for _ in range(7)]
    assert [reply["messageCount"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]
    assert [reply.get("error") for reply in replies] == [None] * 5 + [SENTENCE] * 2
    # An acknowledgement gets it too, and what is refused was not done.
    assert client.call("roomChange", {"room": "other"}) == {
        "context": "response", "error": SENTENCE, "messageCount": 8,
    }  # fmt: skip
    line = daemon.wait_for_event("limited")
    assert (line["limit"], line["connection"], line["times"]) == ("messageRate", client.id, 1)
    assert len(daemon.events("limited")) == 1
    assert 'ahd_limits_reached_total{limit="messageRate"} 3.0' in request(daemon.monitor_url + "/metrics").text
    assert 'ahd_verbs_total{outcome="too_many",server="webSocket",verb="detailsView"} 1.0' in (
        request(daemon.monitor_url + "/metrics").text
    )
    # Who else is there is not concerned.
    assert connect(daemon.url).ask("roomView")["roomStatus"]["room"] == "defaultRoom"
    # A farewell is heard in any case.
    client.emit("quit")
    assert client.expect("disconnect") == "io server disconnect"


def test_lines_are_answered_in_count_too(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": SLOWLY, "tcpServer": {"enable": True}})
    with Lines(daemon.tcp_port) as lines:
        replies = [lines.ask("nonsense {" if number == 1 else "detailsView") for number in range(7)]
        assert [reply["messageCount"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]
        assert [reply.get("error") for reply in replies[2:]] == [None] * 3 + [SENTENCE] * 2
        assert lines.ask("quit") == {"status": "Bye!", "context": "response"}


def test_the_rate_lets_through_what_it_says(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"limits": {"messageRate": 20, "messageBurst": 2}})
    client = connect(daemon.url, transports=["websocket"])
    client.expect("welcome")
    taken = 0
    for _ in range(40):
        reply = client.ask("detailsView")
        taken += "error" not in reply
        if "error" in reply:
            break
    assert 2 <= taken < 40
    # A twentieth of a second later one more passes.
    assert eventually(lambda: "error" not in client.ask("detailsView"), interval=0.06)


def test_who_does_not_stop_is_told_and_closed(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"limits": {**SLOWLY, "refusedMessages": 10}, "tcpServer": {"enable": True}})
    client = connect(daemon.url, transports=["websocket"])
    client.expect("welcome")
    for _ in range(100):
        client.emit("detailsView")
    closing = client.expect("closing")
    assert closing == {
        "code": "tooManyMessages", "reason": SENTENCE, "reconnect": True, "retryAfter": 60_000, "context": "api",
    }  # fmt: skip
    assert client.expect("disconnect") == "transport close"
    # What was counted before was answered, each once.
    assert [reply["messageCount"] for reply in client.events("response")] == list(range(1, 17))
    daemon.wait_for_event("limited", limit="refusedMessages")
    with Lines(daemon.tcp_port) as lines:
        lines.socket.sendall(b"detailsView\r\n" * 100)
        replies = [lines.read() for _ in range(17)]
    assert [reply.get("messageCount") for reply in replies] == [*range(1, 17), None]
    assert replies[-1]["code"] == "tooManyMessages"


def test_on_polling_the_last_poll_tells(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": {**SLOWLY, "refusedMessages": 1}})
    polling = Polling(daemon.url)
    polling.connect()
    polling.until('42["welcome"')
    assert polling.request("POST", "\x1e".join(['42["detailsView"]'] * 10)).status == 200
    packets = polling.poll()
    assert told(packets[-1])["code"] == "tooManyMessages"
    assert len(packets) == 8  # five answers, two refusals, and why
    assert polling.poll() == ["1"]


PLUGIN = """
def plug(app):
    @app.sio.on("count")
    async def count(sid, *_):
        count.calls += 1
        return count.calls
    count.calls = 0

    @app.sio.on("connect", namespace="/other")
    async def connect(sid, environ):
        pass
"""


def test_other_packets_count_as_well(start_daemon: StartDaemon, tmp_path: Any) -> None:
    """A plugin's events, unknown ones, namespaces: beyond the pace they are dropped, and too many end it."""
    (tmp_path / "rate_plugin.py").write_text(PLUGIN)
    daemon = start_daemon(
        {"limits": {**SLOWLY, "refusedMessages": 20}, "general": {"plugins": ["rate_plugin:plug"]}},
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        for number in range(1, 6):
            client.send(f'42{number}["count"]')
        assert client.until("435[") == "435[5]"
        client.send('426["count"]')
        client.send("40/other,")
        assert json.loads(client.until("44/other,")[9:]) == {"message": SENTENCE}
        client.send('42["nobody knows this"]')
        client.send('451-["count",{"_placeholder":true,"num":0}]')
        client.send(b"\0" * 10)
        client.send('42["detailsView"]')
        assert json.loads(client.until('42["response"')[2:])[1] == {
            "context": "response", "error": SENTENCE, "messageCount": 1,
        }  # fmt: skip
        for _ in range(30):
            client.send('42["nobody knows this"]')
        assert told(client.until('42["closing"'))["code"] == "tooManyMessages"
    # Coming and going within one session has its price too.
    with WebSocket(daemon.url) as client:
        client.open()
        for _ in range(7):
            client.send("40")
            client.send("41")
        assert json.loads(client.until("44")[2:]) == {"message": SENTENCE}


def test_a_reload_bounds_and_frees_those_who_are_there(start_daemon: StartDaemon, connect: Connect) -> None:
    config: dict[str, Any] = {"tcpServer": {"enable": True}}
    daemon = start_daemon(config)
    client = connect(daemon.url)
    client.expect("welcome")
    lines = Lines(daemon.tcp_port)

    def outcomes() -> list[bool]:
        verbs = ["detailsView"] * 7
        return [
            any("error" in client.ask(verb) for verb in verbs),
            any("error" in lines.ask(verb) for verb in verbs),
        ]

    assert outcomes() == [False, False]
    for number, (limits, expected) in enumerate([(SLOWLY, True), ({}, False)], 1):
        daemon.write_config({**config, "limits": limits})
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_event("reloaded", count=number)
        assert outcomes() == [expected, expected]
    lines.close()
