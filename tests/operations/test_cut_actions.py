"""Actions that still run when `shutdown.timeout` is near are cut short: all are answered, and the exit code is 0."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conftest import Connect, StartDaemon
from tests.harness.raw import request
from tests.harness.waiting import eventually, measured
from tests.keys.proving import Lines

ACTIONS = """
import time
from ahd import action

@action(description="holds its thread")
def holds() -> dict:
    time.sleep(5)
    return {}
"""
SENTENCE = "the server is shutting down"


def test_everybody_is_answered_before_the_end(start_daemon: StartDaemon, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "acts").mkdir()
    (tmp_path / "acts" / "holding.py").write_text(ACTIONS)
    daemon = start_daemon(
        {
            "shutdown": {"drain": 0.2, "timeout": 2},
            "tcpServer": {"enable": True},
            "chat": {"announce": False},  # nothing ends the poll of the one that is idle
            "actions": {"modules": [str(tmp_path / "acts")]},
        }
    )
    client, idle = (connect(daemon.url, transports=[transport]) for transport in ("websocket", "polling"))
    client.emit("action", {"action": "holds"})
    # As browsers do: on one connection, which is kept as there are no others any more.
    browser = Kept(daemon.port)
    browser.post('42["action",{"action":"sleepTest","sleepDuration":60000}]')
    lines = Lines(daemon.tcp_port)
    lines.socket.sendall(b"sleepTest sleepDuration=60000\r\n")
    with ThreadPoolExecutor() as threads:
        polled = threads.submit(browser.until_closing)
        asked = threads.submit(request, daemon.url + "/api/sleepTest?sleepDuration=60000")
        eventually(pending(daemon.url, 5))  # the one that asks is one
        with measured() as seconds:
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            print(f"ended in {seconds():.2f} s of 2")
            assert seconds() < 2.5
        answer, packets = asked.result(), polled.result()
    assert (answer.status, answer.json()["error"]) == (503, SENTENCE)
    reply = client.expect("response")
    assert (reply["error"], reply["messageCount"]) == (SENTENCE, 1)
    for one in (client, idle):
        assert one.expect("say", lambda say: "bye" in say)["reason"] == "server shutdown"
        assert one.expect("closing")["code"] == "shutdown"
    events = [json.loads(packet[2:]) for packet in packets]
    assert events[0][1]["error"] == SENTENCE
    assert [name for name, _ in events[1:]] == ["say", "closing"]
    heard: list[Any] = []
    while not heard or heard[-1].get("code") != "shutdown":
        heard.append(lines.read())
    assert [one["messageCount"] for one in heard if one.get("error") == SENTENCE] == [1]
    lines.close()
    assert [line["message"] for line in daemon.events("actionsCut")] == ["actions cut short: holds, sleepTest"]
    assert [line["message"] for line in daemon.events("actionsLeft")] == ["actions that do not end: holds"]


class Kept:
    """A session on polling over one connection; its welcome has been read."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.path = "/socket.io/?EIO=4&transport=polling"
        self.path += "&sid=" + json.loads(self.ask("GET")[1:])["sid"]
        self.post("40")
        while "welcome" not in self.ask("GET"):
            pass

    def ask(self, method: str, body: str | None = None) -> str:
        self.connection.request(method, self.path, body)
        return self.connection.getresponse().read().decode()

    def post(self, packet: str) -> None:
        assert self.ask("POST", packet) == "ok"

    def until_closing(self) -> list[str]:
        """The events until it is told why it is closed."""
        packets: list[str] = []
        while not any('"closing"' in packet for packet in packets):
            packets += self.ask("GET").split("\x1e")
        self.connection.close()
        return [packet for packet in packets if packet.startswith("42")]


def pending(url: str, count: int) -> Callable[[], bool]:
    return lambda: json.loads(request(url + "/api/status").body)["stats"]["pendingActions"] >= count


def test_actions_that_end_in_time_are_not_cut(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"shutdown": {"drain": 0, "timeout": 8}})
    client = connect(daemon.url)
    client.emit("action", {"action": "sleepTest", "sleepDuration": 400})
    eventually(pending(daemon.url, 2))
    assert daemon.stop() == 0
    assert client.expect("response")["sleepDuration"] == 400
    assert not daemon.events("actionsCut")
