"""Socket.IO's client manager: plugins and other processes reach clients on any node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import socketio

from tests.cluster.conftest import StartNode
from tests.conftest import Connect
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

PLUGIN = """
def install(app):
    sio = app.sio

    @sio.on("tellAll")
    async def tell_all(sid, data):
        await sio.emit("told", data)

    @sio.on("tellRoom")
    async def tell_room(sid, room, data):
        await sio.emit("told", data, room=room)

    @sio.on("join")
    async def join(sid, other, room):
        await sio.enter_room(other, room)

    @sio.on("throwOut")
    async def throw_out(sid, other):
        await sio.disconnect(other)
"""


def test_a_write_only_process_reaches_clients(
    start_node: StartNode, connect: Connect, redis_server: RedisServer
) -> None:
    nodes = [start_node(), start_node()]
    ann, ben = connect(nodes[0].url, transports=["websocket"]), connect(nodes[1].url, transports=["polling"])
    ben.expect("welcome")
    ben.call("roomChange", {"room": "lobby"})
    outside = socketio.RedisManager(redis_server.url, channel="ahd:0:socketio", write_only=True)
    outside.emit("news", {"n": 1, "bytes": b"\x00\xff"})
    for client in (ann, ben):
        assert client.expect("news") == {"n": 1, "bytes": b"\x00\xff"}
    outside.emit("news", "for one", room=ann.id)
    assert ann.expect("news") == "for one"
    outside.emit("news", "for the room", room="room:lobby")
    assert ben.expect("news") == "for the room"

    async def asynchronous() -> None:
        manager = socketio.AsyncRedisManager(redis_server.url, channel="ahd:0:socketio", write_only=True)
        await manager.emit("news", "async", namespace="/")
        await manager.redis.aclose()

    asyncio.run(asynchronous())
    for client in (ann, ben):
        assert client.expect("news") == "async"
    # Junk harms nobody.
    with redis_server.client() as redis:
        for junk in ("", "{", "[]", '{"method":"emit"}', '{"method":["a"]}', '{"method":"disconnect"}', '"method"'):
            redis.publish("ahd:0:socketio", junk)
            redis.publish("ahd:0:say:defaultRoom", junk)
    outside.emit("news", "still here")
    for client in (ann, ben):
        assert client.expect("news") == "still here"
    # An outage is outlived.
    redis_server.stop()
    nodes[0].wait_for_event("storeAway")
    redis_server.start()
    for node in nodes:
        node.wait_for_event("storeBack")
    outside.emit("news", "after")
    for client in (ann, ben):
        assert client.expect("news") == "after"
    outside.redis.close()


def test_plugins_reach_clients_of_other_nodes(start_node: StartNode, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "reach.py").write_text(PLUGIN)
    plugins = {"general": {"plugins": ["reach:install"]}, "options": {"env": {"PYTHONPATH": _path(tmp_path)}}}
    nodes = [start_node(**plugins), start_node(**plugins)]
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    eventually(lambda: ann.events("welcome") and ben.events("welcome"))
    ann.emit("tellAll", "all")
    assert ann.expect("told") == ben.expect("told") == "all"
    ann.emit("join", ben.id, "private")
    ann.emit("tellRoom", "private", "in private")
    assert ben.expect("told") == "in private"
    ann.emit("tellRoom", "room:defaultRoom", "in the room")
    assert ann.expect("told") == ben.expect("told") == "in the room"
    ann.emit("throwOut", ben.id)
    assert ben.expect("disconnect") == "io server disconnect"
    assert ann.events("told") == []


def _path(directory: Path) -> str:
    from tests.harness.daemon import ROOT

    return f"{directory}:{ROOT}"
