"""A server that is killed, and nodes that are restarted one after the other, while clients count on them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ahd.client import FOLDER
from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import environment
from tests.harness.process import Process
from tests.harness.proxy import Proxy
from tests.harness.raw import request
from tests.harness.redis import RedisServer
from tests.harness.waiting import measured

LOAD = Path(__file__).parent / "load.cjs"
EACH = 8
"""Clients of socket.io-client, and as many of AHsocket."""


class Load:
    """Clients in a process of Node that call without end."""

    def __init__(self, url: str, **options: Any) -> None:
        node = shutil.which("node")
        assert node is not None
        env = {**environment(), "AHSOCKET": str(FOLDER / "ahsocket.js")}
        command = [node, str(LOAD), url, str(EACH), json.dumps(options)]
        self.process = Process(command, name="load", env=env, stdin=True)

    def acked(self) -> list[int]:
        """How many calls of each client have been answered so far."""
        lines = self.process.output
        found: list[int] = json.loads(lines[-1]) if lines else []
        return found

    def goes_on(self, calls: int = 5, deadline: float = 30.0) -> float:
        """Wait until every client was answered so many times more; the seconds that it took."""
        start = self.acked() or [0] * (2 * EACH)

        def more() -> bool:
            now = self.acked()
            return len(now) == 2 * EACH and all(b >= a + calls for a, b in zip(start, now, strict=True))

        with measured() as seconds:
            self.process.wait_for(more, deadline, "answers to everybody")
            return seconds()

    def end(self) -> list[dict[str, Any]]:
        """Stop, and tell of each client."""
        assert self.process.popen.stdin is not None
        self.process.popen.stdin.close()
        assert self.process.wait() == 0, self.process.log()
        clients: list[dict[str, Any]] = json.loads(self.process.output[-1])
        assert len(clients) == 2 * EACH
        return clients


def test_killed_under_load(start_acting: StartDaemon) -> None:
    quiet = {"log": {"logRequests": False}}
    first = start_acting(quiet)
    load = Load(first.url)  # with the delays that the clients have by themselves
    try:
        load.goes_on()
        first.kill()
        with measured() as seconds:
            again = start_acting({**quiet, "httpServer": {"port": first.port}})
            up = seconds()
            load.goes_on()
            print(f"killed: up again after {up:.2f} s, every client was answered again after {seconds():.2f} s")
            assert seconds() < 20
        clients = load.end()
    finally:
        load.process.kill()
    assert not again.events("badPacket")
    print(f"longest wait of a client {max(client['gap'] for client in clients) / 1000:.2f} s")


def test_a_rolling_restart_loses_nothing_acknowledged(start_acting: StartDaemon, redis_server: RedisServer) -> None:
    config: dict[str, Any] = {
        "redis": {"enable": True, "port": redis_server.port},
        "shutdown": {"drain": 0.5, "timeout": 8},
        "log": {"logRequests": False},
    }

    def node(port: int | None = None) -> Daemon:
        return start_acting({**config, **({"httpServer": {"port": port}} if port else {})})

    nodes = [node(), node()]
    balancer = Proxy(*(one.port for one in nodes))
    load = Load(f"http://127.0.0.1:{balancer.port}", reconnectionDelay=100, reconnectionDelayMax=500)
    try:
        load.goes_on()
        for index, old in enumerate(nodes):
            assert old.stop() == 0
            load.goes_on()
            nodes[index] = node(old.port)
        load.goes_on()
        clients = load.end()
    finally:
        load.process.kill()
        balancer.close()
    acked, failed = (sum(client[name] for client in clients) for name in ("acked", "failed"))
    gap = max(client["gap"] for client in clients) / 1000
    print(f"rolling restart of 2 nodes: {acked} acknowledged, 0 lost; {failed} refused or unanswered; "
          f"longest wait {gap:.2f} s")  # fmt: skip
    for client in clients:
        # Each acknowledged call has counted one up: none that was acknowledged is missing afterwards.
        assert client["ordered"], client
        assert client["last"] >= client["acked"], client
        after = request(f"{nodes[0].url}/api/count?key={client['key']}").json()["total"]
        assert after > client["last"], client
    assert gap < 10
