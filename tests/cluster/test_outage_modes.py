"""Each mode of redis.outage with each way in which Redis can be away, at the start and later."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.test_outages import AWAY, OUTAGES, Outage, cut_off, password_changed, timed
from tests.cluster.test_rooms import members
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.proxy import Proxy
from tests.harness.raw import request
from tests.harness.redis import RedisServer, client
from tests.harness.waiting import eventually


@dataclass
class System:
    """A Redis of its own behind a network that can be cut, and the nodes that use it."""

    outage: Outage
    server: RedisServer
    proxy: Proxy
    nodes: list[Daemon]

    @property
    def name(self) -> str:
        return getattr(self.outage, "__name__", "")

    @property
    def port(self) -> int:
        """Where the nodes find Redis: behind the network, if that is cut."""
        return self.proxy.port if self.outage is cut_off else self.server.port

    def away(self) -> contextlib.AbstractContextManager[None]:
        return self.outage(self.server, self.proxy)


@pytest.fixture
def systems(tmp_path: Path) -> Iterator[list[System]]:
    """One for each way of being away, still without nodes: what is waited for is waited for once."""
    with contextlib.ExitStack() as stack:
        made = []
        for number, outage in enumerate(OUTAGES):
            server = RedisServer(tmp_path / f"redis{number}")
            server.start()
            stack.callback(server.stop)
            proxy = Proxy(server.port)
            stack.callback(proxy.close)
            made.append(System(outage, server, proxy, []))
        yield made


def start(start_daemon: StartDaemon, systems: list[System], mode: str, count: int = 1) -> None:
    section: dict[str, Any] = {"enable": True, "outage": mode}
    for system in systems:
        for _ in range(count):
            config = {
                "redis": {**section, "port": system.port},
                "monitor": {"enable": True},
                "log": {"logRequests": False},
            }
            system.nodes.append(start_daemon(config, wait=False))
    for system in systems:
        for node in system.nodes:
            node.wait_until_listening(30)


def ready(node: Daemon) -> bool:
    return request(node.monitor_url + "/readyz").status == 200


def connections(system: System) -> int:
    """How often something has connected to Redis."""
    password = "another" if system.outage is password_changed else None
    with client(system.server.port, password=password) as asked:
        return int(asked.info("stats")["total_connections_received"])


def test_local_goes_on_whatever_the_reason(systems: list[System], start_daemon: StartDaemon, connect: Connect) -> None:
    start(start_daemon, systems, "local", 2)
    clients = {}
    for system in systems:
        ann, bob, far = (connect(system.nodes[index].url, transports=["websocket"]) for index in (0, 0, 1))
        clients[system.name] = ann, bob, far
    for ann, bob, far in clients.values():
        eventually(lambda all=(ann, bob, far): {one.id for one in all} == set(members(all[2])))  # type: ignore[misc]
    longest = {}
    with contextlib.ExitStack() as outages:
        for system in systems:
            outages.enter_context(system.away())
        for system in systems:
            ann, bob, far = clients[system.name]
            said = []
            longest[system.name] = 0.0
            for number in range(20):
                seconds, reply = timed(ann, "say", {"message": number})
                longest[system.name] = max(longest[system.name], seconds)
                assert reply.get("status") == "OK", (system.name, reply)
                said.append(number)
            heard = lambda bob=bob: [say["message"] for say in bob.events("say") if isinstance(say["message"], int)]  # noqa: E731
            eventually(lambda heard=heard, said=said: heard() == said)  # type: ignore[misc]
            late = connect(system.nodes[0].url, transports=["websocket"])
            late.expect("welcome")
            seconds, reply = timed(ann, "roomView", {})
            longest[system.name] = max(longest[system.name], seconds)
            assert {ann.id, bob.id, late.id} <= set(reply["roomStatus"]["members"])
            late.close()
            assert not ready(system.nodes[0])
    back = time.monotonic()
    healed = {}
    for system in systems:
        ann, bob, far = clients[system.name]
        eventually(lambda all=(ann, bob, far): {one.id for one in all} == set(members(all[2])))  # type: ignore[misc]
        # Until her own node is back too, what she says stays within it: that is what the mode is for.
        eventually(lambda system=system: all(ready(node) for node in system.nodes))  # type: ignore[misc]
        healed[system.name] = time.monotonic() - back
        assert ann.call("say", {"message": "whole again"})["status"] == "OK"
        for listener in (bob, far):
            listener.expect("say", lambda say: say["message"] == "whole again")
        for one in (ann, bob, far):
            assert one.events("disconnect") == []
    print(f"longest answers {longest}, healed after {healed}")
    assert max(longest.values()) < 1
    assert max(healed.values()) < 3


def test_exit_ends_the_process_whatever_the_reason(systems: list[System], start_daemon: StartDaemon) -> None:
    start(start_daemon, systems, "exit")
    with contextlib.ExitStack() as outages:
        for system in systems:
            outages.enter_context(system.away())
        for system in systems:
            assert system.nodes[0].wait(15) == 1, system.name
            (line,) = system.nodes[0].events("storeLost")
            print(f"{system.name}: {line['reason']}")


@pytest.mark.parametrize("mode", ["refuse", "local", "exit"])
def test_it_starts_whatever_hinders_redis(
    mode: str, systems: list[System], start_daemon: StartDaemon, connect: Connect
) -> None:
    """It listens, says once why, is not ready; serves as soon as Redis is there. With `exit` it ends."""
    with contextlib.ExitStack() as outages:
        for system in systems:
            outages.enter_context(system.away())
        if mode == "exit":
            for system in systems:
                config = {"redis": {"enable": True, "outage": mode, "port": system.port}}
                system.nodes.append(start_daemon(config, wait=False))
            for system in systems:
                assert system.nodes[0].wait(20) == 1, system.name
                assert len(system.nodes[0].events("storeLost")) == 1
            return
        start(start_daemon, systems, mode)
        for system in systems:
            (node,) = system.nodes
            eventually(lambda node=node: node.events("storeAway"))  # type: ignore[misc]
            assert not ready(node), system.name
            reply = request(node.url + "/api/cacheTest?key=k&value=v")
            assert reply.status == (200 if mode == "local" else 503), (system.name, reply.body)
            if mode == "refuse":
                assert AWAY in reply.body.decode()
        away = time.monotonic()
        before = {system.name: 0 for system in systems}
        for system in systems:
            if system.name not in ("killed", "frozen", "cut_off"):
                before[system.name] = connections(system)
        time.sleep(1.5)
        seconds = time.monotonic() - away
        for system in systems:
            (line,) = system.nodes[0].events("storeAway")
            assert ("redis.password" in line["reason"]) == (system.outage is password_changed)
            if before[system.name]:
                attempts = connections(system) - before[system.name] - 1
                print(f"{system.name}: {attempts / seconds:.1f} attempts to connect a second")
                assert 0 < attempts / seconds <= 6
    back = time.monotonic()
    for system in systems:
        eventually(lambda system=system: ready(system.nodes[0]), deadline=5)  # type: ignore[misc]
    seconds = time.monotonic() - back
    print(f"ready {seconds:.2f} s after Redis's return")
    assert seconds < 3
    for system in systems:
        socket = connect(system.nodes[0].url, transports=["websocket"])
        socket.expect("welcome")
        assert socket.call("say", {"message": 1})["status"] == "OK"
