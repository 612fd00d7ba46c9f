"""No more connections than the file says: in all, and from one address, behind proxies too."""

from __future__ import annotations

import json
import signal
import socket
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import Connect, StartDaemon
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.waiting import eventually
from tests.keys.proving import Lines

SILENT = {"chat": {"announce": False}}
FULL = {"code": 3, "message": "too many connections from your address"}


def test_one_address_has_so_many_websockets(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"limits": {"connectionsPerAddress": 3}, "monitor": {"enable": True}})
    clients = [connect(daemon.url, transports=["websocket"]) for _ in range(3)]
    late = connect(daemon.url, transports=["websocket"], wait=False, reconnection=True, reconnectionDelay=100)
    late.expect("connect_error")
    with pytest.raises(InvalidStatus) as refused, WebSocket(daemon.url):
        pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "5"
    assert refused.value.response.body == b"too many connections from your address\n"
    assert daemon.wait_for_event("limited")["limit"] == "connectionsPerAddress"
    # The monitor is asked on a socket of its own, which counts for nobody.
    reached = next(
        float(line.split()[1])
        for line in request(daemon.monitor_url + "/metrics").text.splitlines()
        if line.startswith('ahd_limits_reached_total{limit="connectionsPerAddress"}')
    )
    assert reached >= 2
    # Who goes makes room, and who waited for it comes in by itself.
    clients[0].close()
    late.wait_connected(refused=True)
    assert late.ask("roomView")["roomStatus"]["membersCount"] == 3


def test_sessions_on_polling_count_though_their_sockets_are_closed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": {"connectionsPerAddress": 2}})
    sessions = [Polling(daemon.url) for _ in range(3)]
    for session in sessions[:2]:
        session.connect()
    answer = sessions[2].request()
    assert (answer.status, json.loads(answer.body), answer.headers["Retry-After"]) == (429, FULL, "5")
    # Those who are there go on.
    sessions[0].post('42["quit"]')
    assert eventually(lambda: sessions[2].request().status == 200)
    sessions[1].until('42["welcome"')


def test_behind_a_trusted_proxy_the_clients_are_counted(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": {"connectionsPerAddress": 1}, "httpServer": {"trustedProxies": ["127.0.0.1"]}})

    def via(address: str) -> dict[str, str]:
        return {"X-Forwarded-For": address}

    with WebSocket(daemon.url, headers=via("192.0.2.1")), WebSocket(daemon.url, headers=via("192.0.2.2")):
        with pytest.raises(InvalidStatus) as refused, WebSocket(daemon.url, headers=via("192.0.2.1")):
            pass
        assert refused.value.response.status_code == 429
        assert json.loads(refused.value.response.body) == FULL
        # A network of IPv6 is one address, and what a client invents is not looked at.
        with WebSocket(daemon.url, headers=via("192.0.2.1, 2001:db8::1")):
            assert Polling(daemon.url, headers=via("2001:db8::2")).request().status == 429
            assert Polling(daemon.url, headers=via("2001:db8:0:1::2")).request().status == 200
    assert eventually(lambda: Polling(daemon.url, headers=via("192.0.2.1")).request().status == 200)


def test_lines_are_turned_away_with_a_line(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": {"connectionsPerAddress": 2}, "tcpServer": {"enable": True}, **SILENT})
    first, second = Lines(daemon.tcp_port), Lines(daemon.tcp_port)
    with socket.create_connection(("127.0.0.1", daemon.tcp_port), timeout=10) as third:
        assert json.loads(third.makefile().read()) == {
            "code": "tooManyConnections", "reason": "too many connections from your address", "reconnect": True,
            "retryAfter": 5000, "context": "api",
        }  # fmt: skip
    # One who was never let in is no member, and HTTP counts with it.
    assert first.ask("roomView")["roomStatus"]["membersCount"] == 2
    assert request(daemon.url + "/api/status").status == 429
    second.close()
    assert eventually(lambda: request(daemon.url + "/api/status").status == 200)
    first.close()


def test_in_all(start_daemon: StartDaemon) -> None:
    """Also sockets that say nothing count; those beyond are told at once."""
    daemon = start_daemon({"limits": {"connections": 5}})
    silent = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(5)]
    answer = request(daemon.url + "/")
    assert (answer.status, answer.text, answer.headers["Retry-After"]) == (503, "too many connections\n", "5")
    assert daemon.wait_for_event("limited")["limit"] == "connections"
    silent.pop().close()
    assert eventually(lambda: request(daemon.url + "/").status == 200)
    for one in silent:
        one.close()


def test_a_flood_of_sockets_leaves_nothing(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"limits": {"connectionsPerAddress": 10}})
    files = daemon.open_files()
    flood = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(500)]
    refused = [one for one in flood if _answer(one)]
    assert len(refused) == 490
    assert len(daemon.events("limited")) == 1
    for one in flood:
        one.close()
    eventually(lambda: daemon.open_files() <= files, what="all sockets are let go")
    assert request(daemon.url + "/").status == 200


def _answer(one: socket.socket) -> bytes:
    """What a socket is told that begins to ask."""
    one.sendall(b"GET")
    one.settimeout(0.05)
    try:
        return one.recv(100)
    except TimeoutError:
        return b""


def test_requests_for_actions_keep_to_a_pace(start_daemon: StartDaemon) -> None:
    config: dict[str, Any] = {"httpServer": {"trustedProxies": ["127.0.0.1"]}}
    daemon = start_daemon({**config, "limits": {"requestRate": 0.25, "requestBurst": 3}})

    def call(address: str, method: str = "GET") -> Any:
        return request(f"{daemon.url}/api/randomNumber", method, headers={"X-Forwarded-For": address})

    assert [call("192.0.2.1", method).status for method in ("GET", "POST", "PUT", "DELETE")] == [200, 200, 200, 429]
    refused = call("192.0.2.1")
    assert refused.json()["error"] == "you are sending too many messages"
    (wait,) = refused.headers.get_all("Retry-After")
    assert 1 <= int(wait) <= 4
    assert call("192.0.2.2").status == 200
    # Files are not counted, and neither is Socket.IO.
    assert request(daemon.url + "/", headers={"X-Forwarded-For": "192.0.2.1"}).status == 200
    assert Polling(daemon.url, headers={"X-Forwarded-For": "192.0.2.1"}).request().status == 200
    assert daemon.wait_for_event("limited")["limit"] == "requestRate"
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloaded")
    assert call("192.0.2.1").status == 200


def test_a_reload_changes_how_many(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"tcpServer": {"enable": True}, **SILENT})
    lines = [Lines(daemon.tcp_port) for _ in range(3)]
    daemon.write_config({"tcpServer": {"enable": True}, "limits": {"connectionsPerAddress": 3}, **SILENT})
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloaded")
    late = Lines(daemon.tcp_port)
    assert late.welcome["code"] == "tooManyConnections"
    assert lines[0].ask("roomView")["roomStatus"]["membersCount"] == 3
    for one in [*lines, late]:
        one.close()
