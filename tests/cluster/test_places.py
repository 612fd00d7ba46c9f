"""Nodes meet wherever Redis is: behind TLS, a Unix socket or a password, found by Sentinels, or a Cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.cluster.test_rooms import members
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import NodeSocket
from tests.harness.places import PLACES, Cluster, Password, Place, SecureCluster, SecureSentinels, Sentinels, Tls
from tests.harness.raw import request
from tests.harness.waiting import eventually

StartPlace = Callable[[type[Place]], Place]


@pytest.fixture
def start_place(tmp_path: Path) -> Iterator[StartPlace]:
    started: list[Place] = []

    def start(kind: type[Place]) -> Place:
        if reason := kind.lacking():
            pytest.skip(reason)
        started.append(kind(tmp_path / f"place{len(started)}"))
        started[-1].start()
        return started[-1]

    yield start
    for place in started:
        place.stop()


def start_nodes(start_daemon: StartDaemon, place: Place, count: int = 2, **options: Any) -> list[Daemon]:
    section = {**place.section, "options": {**place.section.get("options", {}), **options}}
    return [start_daemon({"redis": section, "monitor": {"enable": True}}) for _ in range(count)]


def meet(place: Place, ann: NodeSocket, ben: NodeSocket, word: str) -> None:
    """Says, rooms, the cache and Socket.IO's client manager work between two clients on two nodes."""
    eventually(lambda: set(members(ann)) == set(members(ben)) == {ann.id, ben.id})
    for speaker, listener in ((ann, ben), (ben, ann)):
        assert speaker.call("say", {"message": word})["status"] == "OK"
        listener.expect("say", lambda say, speaker=speaker: (say["message"], say["from"]) == (word, speaker.id))
    for verb in ("listenToRoom", "silenceRoom"):
        assert ben.call(verb, {"room": f"side {word}"})["status"] == "OK"
    assert ben.call("roomChange", {"room": word})["status"] == "OK"
    ann.expect("say", lambda say: say["from"] == ben.id and "left" in say["message"])
    assert members(ann) == [ann.id]
    assert members(ben) == [ben.id]
    assert ben.call("roomChange", {"room": "defaultRoom"})["status"] == "OK"
    reply = ann.call("action", {"action": "cacheTest", "key": "k", "value": word})
    assert reply["cacheTestResults"]["loadResp"]["value"] == word
    options = {key: value for key, value in place.master().access.items() if key.startswith("ssl_")}
    outside = socketio.RedisManager(place.url(), channel=place.channel, write_only=True, redis_options=options)
    outside.emit("news", word)
    for client in (ann, ben):
        assert client.expect("news") == word
    outside.redis.close()


EVERYWHERE = {**PLACES, "sentinels by TLS": SecureSentinels, "cluster by TLS": SecureCluster}


@pytest.mark.parametrize("kind", EVERYWHERE.values(), ids=EVERYWHERE)
def test_nodes_meet(kind: type[Place], start_place: StartPlace, start_daemon: StartDaemon, connect: Connect) -> None:
    place = start_place(kind)
    nodes = start_nodes(start_daemon, place)
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    meet(place, ann, ben, "hello")
    for node in nodes:
        assert node.events("storeAway") == []


def until_back(*clients: NodeSocket) -> None:
    """Until their nodes have Redis again."""
    eventually(lambda: all(client.call("say", {"message": "back"}).get("status") == "OK" for client in clients))


@pytest.mark.parametrize("kind", [Sentinels, Cluster])
def test_a_replica_takes_over(
    kind: type[Place], start_place: StartPlace, start_daemon: StartDaemon, connect: Connect
) -> None:
    place = start_place(kind)
    nodes = start_nodes(start_daemon, place)
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    meet(place, ann, ben, "before")
    old = place.master()
    old.stop()
    killed = time.monotonic()
    longest = 0.0
    for client in (ann, ben):
        start = time.monotonic()
        assert client.call("say", {"message": "lost"})["error"] == "the store is unavailable"
        longest = max(longest, time.monotonic() - start)

    def promoted() -> bool:
        new = place.master()
        if new is old:
            return False
        with new.client() as client:
            return client.info("replication")["role"] == "master"

    eventually(promoted, deadline=20)
    seen = time.monotonic()
    until_back(ann, ben)
    healed = time.monotonic()
    meet(place, ann, ben, "after")
    print(f"{kind.__name__}: promoted after {seen - killed:.1f} s, says go on {healed - seen:.2f} s later")
    assert longest < 1
    assert healed - seen < 3
    for client, node in ((ann, nodes[0]), (ben, nodes[1])):
        assert client.events("disconnect") == []
        assert len(node.events("storeBack")) == 1
        assert node.events("nodeDead") == []


def test_nobody_follows_a_master_that_comes_back_from_a_freeze(
    start_place: StartPlace, start_daemon: StartDaemon, connect: Connect
) -> None:
    place = start_place(Sentinels)
    nodes = start_nodes(start_daemon, place)
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    meet(place, ann, ben, "before")
    old = place.master()
    old.pause()
    eventually(lambda: place.master() is not old, deadline=20)
    until_back(ann, ben)
    old.resume()
    meet(place, ann, ben, "after")
    for node in nodes:
        assert len(node.events("storeBack")) == 1


def away(node: Daemon) -> str:
    """Why Redis is away: what the log says, and readiness too."""
    reason: str = node.wait_for_event("storeAway")["reason"]
    answer = request(node.monitor_url + "/readyz")
    assert answer.status == 503
    assert reason in answer.text
    return reason


def test_certificates_are_judged(start_place: StartPlace, start_daemon: StartDaemon, connect: Connect) -> None:
    place = start_place(Tls)
    stranger = start_place(Tls)
    assert isinstance(place, Tls)
    assert isinstance(stranger, Tls)
    (node,) = start_nodes(start_daemon, place, 1, tlsCaFile=str(stranger.ca.cert_file))
    assert "certificate verify failed" in away(node)
    (node,) = start_nodes(start_daemon, place, 1, tlsCertFile=None, tlsKeyFile=None)
    assert away(node)
    mine = {"tlsCertFile": str(stranger.client.cert_file), "tlsKeyFile": str(stranger.client.key_file)}
    (node,) = start_nodes(start_daemon, place, 1, **mine)
    assert away(node)
    port = place.section["url"].rpartition(":")[2]
    elsewhere = {**place.section, "url": f"rediss://127.0.0.2:{port}"}
    node = start_daemon({"redis": elsewhere, "monitor": {"enable": True}})
    assert "certificate is not valid for '127.0.0.2'" in away(node)
    nodes = start_nodes(start_daemon, place, 2, tlsCaFile=str(stranger.ca.cert_file), tlsVerify=False)
    elsewhere["options"] = {**elsewhere["options"], "tlsVerify": False}
    nodes = [nodes[0], start_daemon({"redis": elsewhere})]
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    meet(place, ann, ben, "trusting")


@pytest.mark.parametrize("wrong", ["guessed", None])
def test_a_wrong_password_is_told_once_and_can_be_put_right(
    wrong: str | None, start_place: StartPlace, start_daemon: StartDaemon, connect: Connect
) -> None:
    place = start_place(Password)
    place.section["password"] = wrong
    nodes = start_nodes(start_daemon, place)
    for node in nodes:
        reason = away(node)
        assert "password" in reason.lower() or "authenticat" in reason.lower(), reason
    time.sleep(1)  # several attempts
    for node in nodes:
        assert len(node.events("storeAway")) == 1
    with place.master().client() as client:
        client.config_set("requirepass", wrong or "")
    for node in nodes:
        node.wait_for_event("storeBack", 3)
        eventually(lambda node=node: request(node.monitor_url + "/readyz").status == 200)  # type: ignore[misc]
    place.master().access["password"] = wrong
    ann, ben = (connect(node.url, transports=["websocket"]) for node in nodes)
    eventually(lambda: set(members(ann)) == set(members(ben)) == {ann.id, ben.id})
