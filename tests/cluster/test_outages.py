"""Redis goes away, in every way we know, and comes back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.cluster.conftest import StartNode
from tests.cluster.test_rooms import ENTERED, LEFT, members, said
from tests.conftest import Connect
from tests.harness.node import NodeSocket
from tests.harness.proxy import Proxy
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

AWAY = "the store is unavailable"
Outage = Callable[[RedisServer, Proxy], "contextlib.AbstractContextManager[None]"]


@contextlib.contextmanager
def killed(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextlib.contextmanager
def frozen(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    server.pause()
    yield
    server.resume()


@contextlib.contextmanager
def cut_off(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    proxy.cut()
    yield
    proxy.heal()


@contextlib.contextmanager
def read_only(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextlib.contextmanager
def out_of_memory(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    with server.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextlib.contextmanager
def password_changed(server: RedisServer, proxy: Proxy) -> Iterator[None]:
    with server.client() as client:
        client.config_set("requirepass", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    with redis.Redis(port=server.port, password="another") as client:
        yield
        client.config_set("requirepass", "")


OUTAGES = [killed, frozen, cut_off, read_only, out_of_memory, password_changed]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(redis_server.port)
    yield proxy
    proxy.close()


def timed(client: NodeSocket, verb: str, data: Any) -> tuple[float, Any]:
    start = time.monotonic()
    reply = client.call(verb, data)
    return time.monotonic() - start, reply


@pytest.mark.parametrize("outage", OUTAGES)
def test_clients_stay_are_answered_and_go_on(
    outage: Outage, start_node: StartNode, connect: Connect, redis_server: RedisServer, proxy: Proxy
) -> None:
    nodes = [start_node(redis={"port": proxy.port}) for _ in range(2)]
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id])
    for client in (ann, ben):
        client.forget()

    longest = 0.0
    with outage(redis_server, proxy):
        begun = time.monotonic()
        end = time.monotonic() + 2.5
        refused = 0
        while time.monotonic() < end:
            for client in (ann, ben):
                for verb, data in (("say", {"message": "lost"}), ("roomChange", {"room": "x"}), ("roomView", {})):
                    seconds, reply = timed(client, verb, data)
                    longest = max(longest, seconds)
                    refused += reply.get("error") == AWAY
                    if verb == "roomChange" and "error" not in reply:
                        client.call("roomChange", {"room": "defaultRoom"})
                assert "status" in client.call("detailsView", {})
            time.sleep(0.05)
        # Nothing goes on once it is noticed.
        assert {timed(client, "say", {"message": "lost"})[1].get("error") for client in (ann, ben)} == {AWAY}
        assert refused > 10
    start = time.monotonic()

    def healed() -> bool:
        both = [client.call("say", {"message": "back"}).get("status") == "OK" for client in (ann, ben)]
        return all(both) and set(members(ann)) == set(members(ben)) == {ann.id, ben.id}

    eventually(healed, deadline=10)
    seconds = time.monotonic() - start
    print(f"{outage.__name__}: longest answer {longest:.2f} s, healed after {seconds:.2f} s")
    assert longest < 1
    assert seconds < 3
    for speaker, listener in ((ann, ben), (ben, ann)):
        speaker.call("say", {"message": "heard"})
        listener.expect("say", lambda say, speaker=speaker: (say["message"], say["from"]) == ("heard", speaker.id))
        assert listener.events("disconnect") == []
    for node in nodes:
        assert len(node.events("storeBack")) == 1
        assert len(node.events("storeAway")) <= 4
    with redis_server.client() as client:
        connections = int(client.info("stats")["total_connections_received"])
    # Four a second of each node, and those of the test.
    print(f"{connections} connections in {time.monotonic() - begun:.1f} s")
    assert connections <= 2 * 6 * (time.monotonic() - begun) + 6


def test_nobody_seems_to_leave_when_redis_was_frozen_for_longer_than_a_lease(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    nodes = [start_node(), start_node()]
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id])
    for client in (ann, ben):
        client.forget()
    redis_server.pause()
    time.sleep(6.5)
    redis_server.resume()
    eventually(lambda: ann.call("say", {"message": 1}).get("status") == "OK", deadline=5)
    time.sleep(2)
    eventually(lambda: set(members(ann)) == {ann.id, ben.id})
    assert [message for _, message in said(ann) + said(ben) if message in (LEFT, ENTERED)] == []
    assert [node.events("nodeDead") for node in nodes] == [[], []]


def test_a_node_that_stood_still_puts_its_members_back(start_node: StartNode, connect: Connect) -> None:
    import signal

    first, second = start_node(), start_node()
    ann, ben = (connect(node.url, transports=["websocket"]) for node in (first, second))
    eventually(lambda: members(ann) == [ann.id, ben.id])
    ann.forget()
    second.signal(signal.SIGSTOP)
    ann.expect("say", lambda say: (say["message"], say["from"]) == (LEFT, ben.id), deadline=10)
    assert members(ann) == [ann.id]
    second.signal(signal.SIGCONT)
    ann.expect("say", lambda say: (say["message"], say["from"]) == (ENTERED, ben.id), deadline=5)
    eventually(lambda: set(members(ann)) == set(members(ben)) == {ann.id, ben.id})
    ann.call("say", {"message": "again"})
    ben.expect("say", lambda say: say["message"] == "again")
    assert said(ann) == []
    assert ben.events("disconnect") == []


def test_a_node_that_was_cut_off_for_longer_than_a_lease_puts_its_members_back(
    start_node: StartNode, connect: Connect, proxy: Proxy
) -> None:
    first, second = start_node(), start_node(redis={"port": proxy.port})
    ann, ben, eve = (connect(node.url, transports=["websocket"]) for node in (first, second, second))
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id, eve.id])
    for client in (ann, ben):
        client.forget()
    proxy.cut()
    for gone in (ben, eve):
        ann.expect("say", lambda say, gone=gone: (say["message"], say["from"]) == (LEFT, gone.id), deadline=10)
    assert members(ann) == [ann.id]
    assert ben.call("say", {"message": 1})["error"] == AWAY
    eve.close()
    proxy.heal()
    ann.expect("say", lambda say: (say["message"], say["from"]) == (ENTERED, ben.id), deadline=5)
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id])
    ann.call("say", {"message": "again"})
    ben.expect("say", lambda say: say["message"] == "again")
    time.sleep(1.5)  # eve's leave would be made up for by now
    assert said(ann) == []
    assert said(ben) == []
    assert ben.events("disconnect") == []


@pytest.mark.parametrize("outage", [killed, frozen, cut_off])
def test_a_leave_during_an_outage_is_announced_once_afterwards(
    outage: Outage, start_node: StartNode, connect: Connect, redis_server: RedisServer, proxy: Proxy
) -> None:
    first, second = start_node(), start_node(redis={"port": proxy.port})
    ann, ben, eve = (connect(node.url, transports=["websocket"]) for node in (first, second, second))
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id, eve.id])
    ann.forget()
    with outage(redis_server, proxy):
        ben.close()  # not noticed yet
        eventually(lambda: eve.call("say", {"message": 1}).get("error") == AWAY)
        eve.close()  # noticed
        time.sleep(0.3)
    for gone in (ben.id, eve.id):
        ann.expect("say", lambda say, gone=gone: (say["message"], say["from"]) == (LEFT, gone), deadline=6)
    eventually(lambda: members(ann) == [ann.id])
    time.sleep(1)
    assert [one for one in said(ann) if one[1] in (LEFT, ENTERED)] == []


def test_no_acknowledged_say_is_missed_by_a_node_that_comes_back_later(
    start_node: StartNode, connect: Connect, redis_server: RedisServer, proxy: Proxy
) -> None:
    first, second = start_node(), start_node(redis={"port": proxy.port})
    ann, ben = (connect(node.url, transports=["websocket"]) for node in (first, second))
    eventually(lambda: members(ann) == members(ben) == [ann.id, ben.id])
    time.sleep(1.1)  # the nodes tell each other once a second who is there
    redis_server.stop()
    proxy.cut()
    for node in (first, second):
        node.wait_for_event("storeAway")
    ben.forget()
    redis_server.start()
    healing = threading.Timer(0.6, proxy.heal)
    healing.start()
    acknowledged = []
    start = time.monotonic()
    while time.monotonic() - start < 3:
        if ann.call("say", {"message": (number := time.monotonic())}).get("status") == "OK":
            acknowledged.append(number)
            if len(acknowledged) == 1:
                print(f"the first say was acknowledged {number - start:.2f} s after Redis's return")
        time.sleep(0.02)
    healing.join()
    assert acknowledged
    eventually(lambda: [message for who, message in said(ben) if who == ann.id] == acknowledged)
    assert first.events("nodesAbsent") == []


def test_a_node_that_is_gone_is_not_waited_for_long(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    first, second = start_node(), start_node()
    ann = connect(first.url, transports=["websocket"])
    ann.expect("welcome")
    time.sleep(1.1)
    redis_server.stop()
    second.kill()
    first.wait_for_event("storeAway")
    redis_server.start()
    start = time.monotonic()
    eventually(lambda: ann.call("say", {"message": 1}).get("status") == "OK", deadline=5)
    seconds = time.monotonic() - start
    print(f"healed after {seconds:.2f} s without the other node")
    assert seconds < 3
    assert len(first.wait_for_event("nodesAbsent")["nodes"].split()) == 1


def test_it_starts_without_redis_and_serves_as_soon_as_it_is_there(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    redis_server.stop()
    start = time.monotonic()
    node = start_node()
    print(f"listening after {time.monotonic() - start:.2f} s without Redis")
    assert len(node.events("storeAway")) == 1
    early = connect(node.url, transports=["websocket"])
    early.expect("disconnect")
    assert early.events("welcome") == []
    redis_server.start()
    start = time.monotonic()

    def welcomed() -> bool:
        client = connect(node.url, transports=["websocket"])
        eventually(lambda: bool(client.events("welcome") or client.events("disconnect")))
        return bool(client.events("welcome"))

    eventually(welcomed, deadline=5)
    assert time.monotonic() - start < 3


def test_local_goes_on_within_the_node(start_node: StartNode, connect: Connect, redis_server: RedisServer) -> None:
    nodes = [start_node(redis={"outage": "local"}) for _ in range(2)]
    ann, bob, far = (connect(nodes[index].url, transports=["websocket"]) for index in (0, 0, 1))
    for client in (ann, bob):
        client.expect("say", lambda say: (say["message"], say["from"]) == (ENTERED, far.id))
    redis_server.stop()
    nodes[0].wait_for_event("storeAway")
    for client in (ann, bob, far):
        client.forget()
    assert timed(ann, "say", {"message": "near"})[1]["status"] == "OK"
    assert bob.expect("say")["message"] == "near"
    assert set(members(ann)) == {ann.id, bob.id}
    assert ann.call("roomChange", {"room": "island"})["status"] == "OK"
    assert bob.expect("say")["message"] == LEFT
    late = connect(nodes[0].url, transports=["websocket"])
    late.expect("welcome")
    assert bob.expect("say")["message"] == ENTERED
    assert set(members(bob)) == {bob.id, late.id}
    reply = ann.call("action", {"action": "cacheTest", "key": "k", "value": "v"})
    assert reply["cacheTestResults"]["saveResp"] is True
    assert far.events("say") == []

    redis_server.start()
    eventually(lambda: set(members(far)) == {bob.id, late.id, far.id}, deadline=5)
    assert members(ann) == [ann.id]
    far.call("say", {"message": "whole again"})
    assert bob.expect("say", lambda say: say["message"] == "whole again")
    assert said(bob) == []


def test_exit_ends_the_process(start_node: StartNode, redis_server: RedisServer) -> None:
    node = start_node(redis={"outage": "exit"})
    redis_server.stop()
    time.sleep(0.5)
    redis_server.start()  # soon enough
    node.wait_for_event("storeBack")
    redis_server.stop()
    assert node.wait(15) == 1
    assert node.events("storeLost")
