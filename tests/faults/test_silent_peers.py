"""Peers that are there no more, or stand still, without a word: the heartbeat finds out in time."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import NodeClients
from tests.harness.proxy import Proxy
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.waiting import eventually, measured

INTERVAL, TIMEOUT = 1.0, 1.0
IN_TIME = INTERVAL + TIMEOUT + 0.5


@pytest.fixture
def beating(start_daemon: StartDaemon) -> Daemon:
    return start_daemon({"webSockets": {"options": {"ping_interval": INTERVAL, "ping_timeout": TIMEOUT}}})


@pytest.fixture
def proxy(beating: Daemon) -> Iterator[Proxy]:
    between = Proxy(beating.port)
    yield between
    between.close()


def connected(daemon: Daemon) -> int:
    count: int = request(daemon.url + "/api/status").json()["stats"]["connections"].get("webSocket", 0)
    return count


def gone_in(daemon: Daemon) -> float:
    with measured() as seconds:
        eventually(lambda: connected(daemon) == 0, IN_TIME + 3)
        return seconds()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_network_that_swallows_everything(beating: Daemon, proxy: Proxy, connect: Connect, transport: str) -> None:
    """Half-open: neither side is told. Both find out, and the client is back when the network is."""
    client = connect(
        f"http://127.0.0.1:{proxy.port}", transports=[transport], reconnection=True, reconnectionDelay=100,
        reconnectionDelayMax=200,
    )  # fmt: skip
    client.expect("welcome")
    proxy.cut()
    seconds = gone_in(beating)
    print(f"{transport}: closed after {seconds:.2f} s of {INTERVAL + TIMEOUT:g}")
    assert seconds < IN_TIME
    client.expect("disconnect")
    proxy.heal()
    with measured() as back:
        client.expect("welcome")
        print(f"{transport}: back after {back():.2f} s")
        assert back() < 5


def test_a_client_that_stands_still(beating: Daemon) -> None:
    """Its kernel still acknowledges everything."""
    process = NodeClients()
    try:
        for _ in range(3):
            process.connect(beating.url, transports=["websocket"]).expect("welcome")
        process.signal(signal.SIGSTOP)
        seconds = gone_in(beating)
        print(f"3 frozen clients: closed after {seconds:.2f} s of {INTERVAL + TIMEOUT:g}")
        assert seconds < IN_TIME
    finally:
        process.signal(signal.SIGCONT)
        process.kill()


def test_clients_that_never_answer_a_ping(beating: Daemon) -> None:
    with WebSocket(beating.url) as websocket:
        websocket.connect()
        polling = Polling(beating.url)
        polling.connect()
        seconds = gone_in(beating)
    print(f"never a pong: closed after {seconds:.2f} s of {INTERVAL + TIMEOUT:g}")
    assert seconds < IN_TIME
