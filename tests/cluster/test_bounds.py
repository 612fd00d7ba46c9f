"""What waits for a Redis that does not answer is bounded, and so is the memory of a node."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from ahd.core.errors import StoreUnavailable
from ahd.core.message import Say
from ahd.store.redis import stream
from tests.cluster.conftest import StartNode
from tests.conftest import Connect
from tests.harness.raw import WebSocket
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually, eventually_async
from tests.store.stores import redis_store

MIB = 1 << 20


@pytest.mark.parametrize(("size", "most"), [(100, stream.MAX_WAITING), (1 << 20, stream.MAX_BYTES >> 20)])
async def test_so_much_may_wait_and_no_more(
    size: int, most: int, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PATIENCE", 5.0)
    store = redis_store({"enable": True, "port": redis_server.port})
    await store.open(lambda say: None)
    await store.bus.subscribe("room")
    redis_server.pause()
    text = b'"' + b"x" * size + b'"'
    says = [asyncio.ensure_future(store.bus.publish(Say("room", "one", None, text))) for _ in range(most + 1000)]
    await eventually_async(lambda: sum(say.done() for say in says) >= 1000)
    refused = [say.exception() for say in says if say.done()]
    assert {str(error) for error in refused} == {"too much waits for Redis"}
    assert all(isinstance(error, StoreUnavailable) for error in refused)
    # One batch is on its way; the says' names take up a little, too.
    print(f"{len(says) - len(refused)} says of {size} bytes wait, {len(refused)} were refused")
    assert most * 0.9 <= len(says) - len(refused) <= most + 500
    redis_server.resume()
    results = await asyncio.gather(*says, return_exceptions=True)
    assert sum(result is None for result in results) == len(says) - len(refused)
    await store.close()


class Talker(threading.Thread):
    """Says long things one after the other, and notes how long each answer took."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.socket = WebSocket(url)
        self.socket.connect()
        self.socket.until('42["welcome"')
        self.longest = 0.0
        self.refused = 0
        self.said = 0
        self.going = True

    def run(self) -> None:
        packet = "420" + json.dumps(["say", {"message": "x" * 50_000}])
        while self.going:
            start = time.monotonic()
            for _ in range(8):
                self.socket.send(packet)
            for _ in range(8):
                answer = self.socket.until("430[")
                self.said += 1
                self.refused += "the store is unavailable" in answer
            self.longest = max(self.longest, time.monotonic() - start)
            time.sleep(0.01)


def test_memory_is_flat_while_redis_is_away(start_node: StartNode, connect: Connect, redis_server: RedisServer) -> None:
    """Eight clients say all the while; Redis is frozen, thaws, and is killed."""
    node = start_node()
    listener = connect(node.url, transports=["websocket"])
    assert listener.call("roomChange", {"room": "quiet"})["status"] == "OK"
    talkers = [Talker(node.url) for _ in range(8)]
    for talker in talkers:
        talker.start()
    eventually(lambda: all(talker.said > 40 for talker in talkers))
    before = node.rss()
    most = 0

    def watch(seconds: float) -> None:
        nonlocal most
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            most = max(most, node.rss())
            time.sleep(0.05)

    healed = []
    for away, back in ((redis_server.pause, redis_server.resume), (redis_server.stop, redis_server.start)):
        away()
        watch(3)
        back()
        start = time.monotonic()
        eventually(lambda: listener.call("say", {"message": "back"}).get("status") == "OK")
        healed.append(time.monotonic() - start)
    for talker in talkers:
        talker.going = False
        talker.join()
        talker.socket.close()
    refused, longest = sum(talker.refused for talker in talkers), max(talker.longest for talker in talkers)
    print(
        f"memory {before / MIB:.0f} MiB before, {most / MIB:.0f} MiB at most while Redis was away; {refused} says "
        f"refused, longest answer {longest:.2f} s, healed after {healed[0]:.2f} s and {healed[1]:.2f} s"
    )
    assert refused > 1000
    assert most - before < 40 * MIB
    assert longest < 1
    assert max(healed) < 3
