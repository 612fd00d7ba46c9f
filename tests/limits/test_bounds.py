"""What other bounds tell, log and count; that they hold at all is proved key by key in tests/keys."""

from __future__ import annotations

import socket
from typing import Any

from tests.conftest import StartDaemon
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.waiting import eventually
from tests.keys.proving import ACTIONS, Lines, ask


def test_each_is_logged_and_counted_by_its_name(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(
        {
            "limits": {
                "listeningRooms": 0, "headSize": 1024, "headTimeout": 0.3, "bodyTimeout": 0.3, "namespaceTimeout": 0.3,
                "upgradeTimeout": 0.3,
            },
            "chat": {"maxMessageSize": 10},
            "general": {"simultaneousActions": 1},
            "actions": {"modules": [ACTIONS], "threads": 1, "waitingCalls": 0},
            "commonWeb": {"maxBodySize": 10},
            "tcpServer": {"enable": True, "maxLineLength": 64},
            "webSockets": {"options": {"max_http_buffer_size": 2000}},
            "monitor": {"enable": True},
        }
    )  # fmt: skip

    def sent(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as client:
            client.sendall(data)
            return client.recv(1000)

    idle, upgrading = WebSocket(daemon.url), Polling(daemon.url)
    upgrading.connect()
    with WebSocket(daemon.url, sid=upgrading.sid), WebSocket(daemon.url) as client:
        client.connect()
        ask(client, "listenToRoom", {"room": "other"})
        ask(client, "say", {"message": "x" * 20})
        for number in range(2):
            client.send(f'42{number}["action",{{"action":"nap"}}]')
        # The one thread is taken, by another connection's action.
        assert request(daemon.url + "/api/nap").status == 429
        assert sent(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000).startswith(b"HTTP/1.1 431")
        assert sent(b"GET /").startswith(b"HTTP/1.1 408")
        assert sent(b"POST /api/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").startswith(b"HTTP/1.1 408")
        assert request(daemon.url + "/api/status", "POST", b"x" * 20).status == 413
        with Lines(daemon.tcp_port) as lines:
            lines.ask("x" * 100)
        client.send("x" * 3000)
        assert client.wait_closed() == 1009
        idle.wait_closed()
    idle.close()
    names = {
        "listeningRooms", "maxMessageSize", "simultaneousActions", "waitingCalls", "headSize", "headTimeout",
        "bodyTimeout", "maxBodySize", "maxLineLength", "max_http_buffer_size", "namespaceTimeout", "upgradeTimeout",
    }  # fmt: skip
    eventually(lambda: {line["limit"] for line in daemon.events("limited")} == names)

    def counted() -> Any:
        lines = request(daemon.monitor_url + "/metrics").text.splitlines()
        found = [line for line in lines if line.startswith("ahd_limits_reached_total{")]
        return {line.split('"')[1] for line in found if not line.endswith(" 0.0")}

    assert counted() == names
