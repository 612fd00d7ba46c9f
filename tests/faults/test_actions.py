"""Actions that fail in unusual ways, return nonsense, or never end: one answer each, and the server lives on."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.faults.acts import FAILURES, RESULTS
from tests.harness.daemon import Daemon
from tests.harness.raw import WebSocket, request
from tests.harness.waiting import eventually, measured

SERVER_ERROR = "Error: The server experienced an internal error"
TOO_LONG = "Error: the action took too long"


@pytest.fixture(scope="module")
def failing(start_shared_daemon: StartDaemon) -> Daemon:
    from tests.faults.conftest import ACTS

    config = {"actions": {"modules": [str(ACTS)]}, "tcpServer": {"enable": True}}
    return start_shared_daemon(config, allow_traceback=True)


def ask(client: WebSocket, **data: Any) -> dict[str, Any]:
    client.send("42" + json.dumps(["action", data]))
    answer: dict[str, Any] = json.loads(client.until('42["response"')[2:])[1]
    return answer


@pytest.mark.parametrize("action", ["fails_at_once", "fails_later", "fails_in_thread"])
def test_whatever_is_raised_is_the_server_error(failing: Daemon, action: str) -> None:
    with WebSocket(failing.url) as client:
        client.connect()
        for number, how in enumerate(FAILURES, 1):
            answer = ask(client, action=action, params={"how": how}, how=how)
            assert (answer["error"], answer["messageCount"]) == (SERVER_ERROR, number), how
    assert request(f"{failing.url}/api/{action}?how=SystemExit").status == 500


@pytest.mark.parametrize("action", ["returns_at_once", "returns_later", "returns_in_thread"])
def test_whatever_has_no_json_is_the_server_error(failing: Daemon, action: str) -> None:
    with WebSocket(failing.url) as client, socket.create_connection(("127.0.0.1", failing.tcp_port), 10) as tcp:
        client.connect()
        lines = tcp.makefile("rb")
        lines.readline()
        for what in RESULTS:
            answer = ask(client, action=action, what=what)
            assert answer.get("error") == SERVER_ERROR, (what, answer)
            tcp.sendall(json.dumps({"action": action, "params": {"what": what}}).encode() + b"\r\n")
            while "messageCount" not in (heard := json.loads(lines.readline())):
                pass
            assert heard.get("error") == SERVER_ERROR, (what, heard)
            body = request(f"{failing.url}/api/{action}?what={what}")
            assert (body.status, body.json()["error"]) == (500, SERVER_ERROR), what
        lines.close()


def test_a_huge_answer_reaches_who_asked_and_hinders_nobody(failing: Daemon) -> None:
    size = 50_000_000
    slowest, stopped = 0.0, threading.Event()

    def others() -> None:
        nonlocal slowest
        with WebSocket(failing.url) as other:
            other.connect()
            while not stopped.wait(0.01):
                with measured() as seconds:
                    other.send('42["roomView"]')
                    other.until('42["response"')
                slowest = max(slowest, seconds())

    thread = threading.Thread(target=others)
    thread.start()
    try:
        assert len(request(f"{failing.url}/api/huge?size={size}", timeout=20).body) > size
        with WebSocket(failing.url) as client:
            client.connect()
            assert len(ask(client, action="huge", size=size)["text"]) == size
    finally:
        stopped.set()
        thread.join()
    print(f"two answers of {size // 1_000_000} MB: others answered within {slowest * 1000:.0f} ms")
    assert slowest < 2
    memory = failing.rss()
    assert eventually(lambda: failing.rss() < memory + 20_000_000)


def test_actions_that_never_end(start_acting: StartDaemon) -> None:
    """All are answered in time. A place among the pending is free again as soon as the action can be stopped."""
    timeout, each = 0.5, 5
    daemon = start_acting({
        "general": {"actionTimeout": timeout, "simultaneousActions": each},
        "shutdown": {"drain": 0.2, "timeout": 4},
    })  # fmt: skip
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WebSocket(daemon.url)) for _ in range(3)]
        for client, name in zip(clients, ("waits", "stands", "clings"), strict=True):
            client.connect()
            with measured() as seconds:
                for _ in range(each):
                    client.send(f'42["action",{{"action":"{name}"}}]')
                answers = [json.loads(client.until('42["response"')[2:])[1] for _ in range(each)]
                print(f"{each} times {name}: answered after {seconds():.2f} s of {timeout}")
                assert seconds() < timeout + 1
            assert [answer["error"] for answer in answers] == [TOO_LONG] * each
            assert sorted(answer["messageCount"] for answer in answers) == list(range(1, each + 1))
        # Who was stopped makes room; who cannot be stopped keeps its own connection's room, and nobody else's.
        assert "error" not in ask(clients[0], action="randomNumber")
        for client in clients[1:]:
            assert ask(client, action="randomNumber")["error"] == "you have too many pending requests"
        assert request(daemon.url + "/api/status").json()["stats"]["pendingActions"] == 2 * each + 1
        with measured() as seconds:
            assert daemon.stop() == 0
            print(f"a drain with {2 * each} actions that never end: {seconds():.2f} s of 4")
            assert seconds() < 4
