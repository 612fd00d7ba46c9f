"""Rooms, cache and figures over nodes."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import StartNode
from tests.conftest import Connect
from tests.harness.node import NodeSocket
from tests.harness.raw import WebSocket
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

LEFT, ENTERED = "I have left the room", "I have entered the room"


def members(client: NodeSocket) -> list[str]:
    """The members of the client's room, as it is told."""
    found: list[str] = client.call("roomView", {})["roomStatus"]["members"]
    return found


def said(client: NodeSocket) -> list[tuple[str, Any]]:
    """Who said what, as the client heard it."""
    return [(say["from"], say["message"]) for say in client.events("say")]


def _heard(client: NodeSocket, count: int) -> bool:
    return len(said(client)) >= count


def _sees(client: NodeSocket, ids: set[str]) -> bool:
    return ids <= set(members(client))


def test_a_room_spans_nodes(start_node: StartNode, connect: Connect) -> None:
    first, second = start_node(), start_node()
    ann = connect(first.url, transports=["websocket"])
    ann.expect("welcome")
    ben = connect(second.url, transports=["websocket"])
    ben.expect("welcome")
    assert ann.expect("say", lambda say: say["message"] == ENTERED)["from"] == ben.id
    assert members(ann) == members(ben) == [ann.id, ben.id]

    text = {"text": "é\u2028<b>", "list": [1, 2.5, None]}
    assert ann.call("say", {"message": text})["status"] == "OK"
    heard = ben.expect("say")
    assert (heard["message"], heard["from"], heard["room"], heard["context"]) == (text, ann.id, "defaultRoom", "user")
    assert ann.events("say") == []

    assert ben.call("roomChange", {"room": "other"})["room"] == "other"
    assert ann.expect("say")["message"] == LEFT
    assert members(ann) == [ann.id]
    assert ann.call("listenToRoom", {"room": "other"})["status"] == "OK"
    assert members(ben) == [ben.id]
    ben.call("say", {"message": "hear me"})
    assert ann.expect("say")["room"] == "other"
    ann.call("silenceRoom", {"room": "other"})
    ben.call("say", {"message": "and now not"})
    ben.call("roomChange", {"room": "defaultRoom"})
    assert ann.expect("say")["message"] == ENTERED
    ben.close()
    assert ann.expect("say")["message"] == LEFT
    assert members(ann) == [ann.id]


def test_polling_clients_take_part(start_node: StartNode, connect: Connect) -> None:
    first, second = start_node(), start_node()
    ann = connect(first.url, transports=["polling"])
    ann.expect("welcome")
    ben = connect(second.url, transports=["polling"])
    ann.expect("say")
    for number in range(20):
        ben.call("say", {"message": number})
    eventually(lambda: [message for _, message in said(ann)] == list(range(20)))


def test_the_says_of_one_speaker_are_in_order_everywhere(start_node: StartNode, connect: Connect) -> None:
    nodes = [start_node(), start_node()]
    clients = [connect(nodes[number % 2].url, transports=["websocket"]) for number in range(4)]
    eventually(lambda: len(members(clients[0])) == 4)
    for client in clients:
        client.forget()
    for number in range(100):
        for client in clients[:2]:
            client.emit("say", {"message": number})
    for listener in clients[2:]:
        eventually(functools.partial(_heard, listener, 200))
        for speaker in clients[:2]:
            assert [message for who, message in said(listener) if who == speaker.id] == list(range(100))
    # Every node delivers in one order.
    assert said(clients[2]) == said(clients[3])


def test_a_node_hears_only_the_rooms_of_its_clients(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    first, second = start_node(), start_node()
    ann, ben = (connect(node.url, transports=["websocket"]) for node in (first, second))
    with redis_server.client() as redis:

        def hearers(room: str) -> int:
            return dict(redis.pubsub_numsub(f"ahd:0:say:{room}"))[f"ahd:0:say:{room}"]

        eventually(lambda: hearers("defaultRoom") == 2)
        ann.call("roomChange", {"room": "alone"})
        eventually(lambda: (hearers("defaultRoom"), hearers("alone")) == (1, 1))
        ben.call("listenToRoom", {"room": "alone"})
        assert hearers("alone") == 2
        ben.close()
        eventually(lambda: (hearers("defaultRoom"), hearers("alone")) == (0, 1))
        assert {key for key in redis.keys("*") if not key.startswith("ahd:0:")} == set()


def test_prefix_and_db_keep_systems_apart(start_node: StartNode, connect: Connect, redis_server: RedisServer) -> None:
    nodes = [start_node(), start_node(redis={"prefix": "other:"}), start_node(redis={"DB": 3})]
    clients = [connect(node.url, transports=["websocket"]) for node in nodes]
    for client in clients:
        client.expect("welcome")
        assert members(client) == [client.id]
    clients[0].call("say", {"message": "only for mine"})
    with redis_server.client() as redis:
        assert {key.rpartition(":")[0] for key in redis.keys("*:nodes")} == {"ahd:0", "other:0"}
    for client in clients:
        assert client.events("say") == []


CACHE = """
from ahd import Context, action


@action(description="Keeps a value")
async def keep(context: Context, key: str, value: str) -> dict:
    return {"kept": await context.cache.save(key, value, 60000)}


@action(description="Tells a value")
async def tell(context: Context, key: str) -> dict:
    found = await context.cache.load(key)
    return {"value": found and found.value, "size": await context.cache.size()}
"""


def test_the_cache_is_shared(start_node: StartNode, connect: Connect, tmp_path: Path) -> None:
    module = tmp_path / "actions" / "shelf.py"
    module.parent.mkdir()
    module.write_text(CACHE)
    nodes = [start_node(actions={"modules": [str(module.parent)]}) for _ in range(2)]
    ann, ben = (connect(node.url) for node in nodes)
    assert ann.call("action", {"action": "keep", "key": "k", "value": "ann's"})["kept"] is True
    reply = ben.call("action", {"action": "tell", "key": "k"})
    assert (reply["value"], reply["size"]) == ("ann's", 1)


def test_a_say_is_passed_on_as_it_was_encoded(start_node: StartNode, redis_server: RedisServer) -> None:
    """A node that hears it does not take it apart: spaces stay, and numbers that no decoder would keep."""
    with WebSocket(start_node().url) as client:
        client.connect()
        client.until('42["welcome"')
        json = '{ "message":  1.50000000000000000000000001, "room" : "defaultRoom" }'
        with redis_server.client() as redis:
            redis.publish("ahd:0:say:defaultRoom", f'["another",1,"who",0]\n{json}')
        assert client.until('42["say"') == f'42["say",{json}]'


def test_nobody_is_ever_seen_in_two_rooms_or_in_none(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    node = start_node()
    movers = [connect(node.url, transports=["websocket"]) for _ in range(4)]
    for mover in movers:
        mover.expect("welcome")
    both = "return {redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('ZRANGE', KEYS[2], 0, -1)}"
    seen = set()
    with redis_server.client() as redis:
        for number in range(100):
            room = ("left", "right")[number % 2]
            moves = [mover.begin("roomChange", {"room": room}) for mover in movers]
            if number:
                for _ in range(5):
                    left, right = redis.eval(both, 2, "ahd:0:room:left", "ahd:0:room:right")
                    assert sorted([*left, *right]) == sorted(mover.id for mover in movers)
                    seen.add((len(left), len(right)))
            for move in moves:
                assert move()["room"] == room
    assert {(4, 0), (0, 4)} <= seen


def test_status_tells_of_all_nodes(start_node: StartNode, connect: Connect) -> None:
    first = start_node()
    second = start_node(general={"welcomeMessage": "another"})
    ann = connect(first.url)
    for _ in range(2):
        connect(second.url)

    def seen() -> bool:
        status = ann.call("action", {"action": "status"})
        return bool(status["total"].get("connections") == 3)

    eventually(seen)
    status = ann.call("action", {"action": "status"})
    assert len(status["nodes"]) == 2
    assert status["id"] in {node["id"] for node in status["nodes"]}
    assert sorted(node["stats"]["connections"] for node in status["nodes"]) == [1, 2]
    assert all(0 <= node["age"] < 5000 <= 60_000 for node in status["nodes"])
    assert len({node["configuration"] for node in status["nodes"]}) == 2
    for node in (first, second):
        node.wait_for_event("nodesDiffer")


def test_nodes_of_one_configuration_are_not_warned_about(start_node: StartNode, connect: Connect) -> None:
    first, second = start_node(), start_node()  # other ports
    client = connect(first.url)
    status = client.call("action", {"action": "status"})
    eventually(lambda: len(client.call("action", {"action": "status"})["nodes"]) == 2)
    status = client.call("action", {"action": "status"})
    assert len({node["configuration"] for node in status["nodes"]}) == 1
    assert first.events("nodesDiffer") == second.events("nodesDiffer") == []


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_the_members_of_a_dead_node_leave_once(start_node: StartNode, connect: Connect, how: str) -> None:
    survivors = [start_node(), start_node()]
    dying = start_node()
    watchers = [connect(node.url, transports=["websocket"]) for node in survivors]
    lost = [connect(dying.url, transports=["websocket"]) for _ in range(5)]
    ids = {client.id for client in lost}
    for watcher in watchers:
        eventually(functools.partial(_sees, watcher, ids))
        watcher.forget()

    start = time.monotonic()
    if how == "killed":
        dying.kill()
    else:
        dying.stop()
    eventually(lambda: set(members(watchers[0])) == {watcher.id for watcher in watchers}, deadline=15)
    seconds = time.monotonic() - start
    print(f"members of a {how} node were gone after {seconds:.1f} s")
    assert seconds < 10
    for watcher in watchers:
        eventually(functools.partial(_heard, watcher, 5))
    time.sleep(1.5)  # longer than another survivor's turn: nobody announces them again
    for watcher in watchers:
        assert sorted(said(watcher)) == sorted((id, LEFT) for id in ids)
        assert members(watcher) == [other.id for other in watchers]
    finders = [node for node in survivors if node.events("nodeDead")]
    assert len(finders) == (1 if how == "killed" else 0)
