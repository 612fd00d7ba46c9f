"""The Socket.IO Admin UI: what its page is told of a real daemon, and what it may ask for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ahd.app import assemble
from ahd.config import loads
from ahd.servers.socketio.engine import Engine
from ahd.servers.socketio.socket import EngineSocket
from tests.conftest import StartDaemon
from tests.harness.daemon import ROOT, Daemon, merged
from tests.harness.node import NodeClients, NodeSocket
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.waiting import eventually

WHO = {"username": "operator", "password": "a long password"}
ON: dict[str, Any] = {"monitor": {"enable": True, "adminUI": {"enable": True, **WHO}}}


@pytest.fixture
def node() -> Iterator[NodeClients]:
    clients = NodeClients()
    yield clients
    clients.kill()


def admin(node: NodeClients, daemon: Daemon, **auth: Any) -> NodeSocket:
    """Come in as the page does."""
    return node.connect(daemon.url + "/admin", auth=auth or WHO)


def by_id(watcher: NodeSocket) -> dict[str, Any]:
    return {shown["id"]: shown for shown in watcher.expect("all_sockets")}


def test_there_is_none_until_it_is_enabled(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon({"monitor": {"enable": True}})
    refused = node.connect(daemon.url + "/admin", wait=False, auth=WHO)
    assert refused.expect("connect_error")["message"] == "Invalid namespace"


WRONG: tuple[dict[str, Any], ...] = (
    {"username": "operator", "password": "a wrong password"},
    {"username": "Operator", "password": "a long password"},
    {"username": ["operator"], "password": {"$gt": ""}},
    {"sessionId": "an old one"},
    {"password": "a long password"},
)


def test_a_wrong_password_is_refused_and_logged(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    before = time.monotonic()
    all_refused = [node.connect(daemon.url + "/admin", wait=False, auth=auth) for auth in WRONG]
    for refused in all_refused:
        assert refused.expect("connect_error")["message"] == "invalid credentials"
    assert time.monotonic() - before >= 1
    assert [line["address"] for line in daemon.events("adminRefused")] == ["127.0.0.1"] * len(WRONG)
    log = daemon.log()
    assert not [text for text in (*WHO.values(), "a wrong password") if text in log]
    # Who was refused is told nothing, and cannot ask for anything.
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        for refused in all_refused:
            refused.emit("_disconnect", "/", True)
        client.send('420["detailsView"]')
        client.until("430[")
    assert not [refused for refused in all_refused if refused.events("config")]


def test_it_shows_the_clients_and_what_becomes_of_them(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon({**ON, "tcpServer": {"enable": True}})
    first = node.connect(daemon.url, transports=["websocket"], extraHeaders={"Cookie": "k=secret", "X-Mine": "1"},
                         query={"page": "7", "token": "hidden"})  # fmt: skip
    first.expect("welcome")
    first.ask("listenToRoom", {"room": "news"})
    watcher = admin(node, daemon)
    config = watcher.expect("config")["supportedFeatures"]
    assert {"ALL_EVENTS", "AGGREGATED_EVENTS", "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN"} <= set(config)
    shown = by_id(watcher)
    assert set(shown) == {first.id, watcher.id}
    mine = shown[first.id]
    assert (mine["nsp"], mine["transport"], len(mine["clientId"])) == ("/", "websocket", 12)
    assert sorted(mine["rooms"]) == sorted([first.id, "room:defaultRoom", "room:news"])
    handshake = mine["handshake"]
    assert handshake["address"] == "127.0.0.1"
    assert handshake["headers"]["x-mine"] == "1"
    assert "cookie" not in handshake["headers"]
    assert (handshake["query"]["page"], "token" in handshake["query"]) == ("7", False)
    assert abs(handshake["issued"] / 1000 - time.time()) < 30
    assert shown[watcher.id]["nsp"] == "/admin"
    # What comes later, on each transport, and what changes.
    second = node.connect(daemon.url, transports=["polling", "websocket"])
    second.expect("welcome")
    told, moment = watcher.expect("socket_connected", lambda shown, moment: shown["id"] == second.id)
    assert told["rooms"] == sorted([second.id, "room:defaultRoom"])
    assert moment.endswith("+00:00")
    first.ask("roomChange", {"room": "other"})
    assert watcher.expect("room_joined")[:3] == ["/", "room:other", first.id]
    assert watcher.expect("room_left")[:3] == ["/", "room:defaultRoom", first.id]
    second.close()
    assert watcher.expect("socket_disconnected")[:2] == ["/", second.id]
    daemon.assert_clean()


def test_an_upgrade_is_told(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    polling = Polling(daemon.url)
    polling.connect()
    watcher = admin(node, daemon)
    shown = [one for one in by_id(watcher).values() if one["nsp"] == "/"]
    assert [one["transport"] for one in shown] == ["polling"]
    with WebSocket(daemon.url, sid=polling.sid) as upgrade:
        upgrade.send("2probe")
        upgrade.until("3probe")
        upgrade.send("5")
        told = watcher.expect("socket_updated")
        assert told == {"id": shown[0]["id"], "nsp": "/", "transport": "websocket"}


def test_its_figures_are_true(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    watcher = node.connect(daemon.url + "/admin", auth=WHO, transports=["websocket"])
    watcher.expect("config")
    polling = Polling(daemon.url)
    polling.connect()
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        packet = '42["action",{"action":"randomNumber"}]'
        for _ in range(50):
            client.send(packet)
        for _ in range(50):
            client.until('42["response"')
        stats = watcher.expect("server_stats", lambda stats: stats["clientsCount"] == 3)
        assert stats["pollingClientsCount"] == 1
        spaces = {space["name"]: space["socketsCount"] for space in stats["namespaces"]}
        assert spaces == {"/": 2, "/admin": 1}
        assert stats["pid"] == daemon.pid
        assert 0 < stats["uptime"] < 60

        def all_in() -> bool:
            counted: dict[str, int] = {}
            for one in [stats, *watcher.events("server_stats")]:
                for event in one["aggregatedEvents"]:
                    counted[event["type"]] = counted.get(event["type"], 0) + event["count"]
            return (counted.get("packetsIn", 0) >= 52 and counted.get("packetsOut", 0) >= 50
                    and counted.get("bytesIn", 0) >= 50 * len(packet) and counted.get("rawConnection", 0) >= 2
                    and counted.get("packetsIn", 0) < 120)  # fmt: skip

        eventually(all_in)


def test_it_shows_messages(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    watcher = admin(node, daemon)
    watcher.expect("config")
    with WebSocket(daemon.url) as speaker, WebSocket(daemon.url) as hearer:
        for client in (speaker, hearer):
            client.connect()
            client.until('42["welcome"')
        speaker.send('420["say",{"message":"hello"}]')
        speaker.until("430[")
        received = watcher.expect("event_received")
        assert (received[0], received[2]) == ("/", ["say", {"message": "hello"}])
        sent = watcher.expect("event_sent", lambda nsp, sid, data, moment: data[1].get("message") == "hello")
        assert sent[1] != received[1]
        assert sent[2][0] == "say"


def test_its_commands(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    watcher = admin(node, daemon)
    watcher.expect("config")
    one, two = (node.connect(daemon.url) for _ in range(2))
    for client in (one, two):
        client.expect("welcome")
        watcher.expect("socket_connected", lambda shown, _, client=client: shown["id"] == client.id)
    watcher.emit("emit", "/", one.id, "hello", 1, {"a": 2})
    assert one.expect("hello") == [1, {"a": 2}]
    watcher.emit("emit", "/", None, "all")
    one.expect("all")
    two.expect("all")
    assert not two.events("hello")
    # One of ahd's rooms: the client hears it from then on.
    watcher.emit("join", "/", "room:news", one.id)
    watcher.expect("room_joined", lambda nsp, room, sid, moment: (room, sid) == ("room:news", one.id))
    two.ask("roomChange", {"room": "news"})
    two.ask("say", {"message": "read this"})
    assert one.expect("say", lambda say: say.get("message") == "read this")["room"] == "news"
    watcher.emit("leave", "/", "room:news", one.id)
    watcher.expect("room_left", lambda nsp, room, sid, moment: (room, sid) == ("room:news", one.id))
    # One of python-socketio's.
    watcher.emit("join", "/", "vip")
    for _ in range(2):
        watcher.expect("room_joined", lambda nsp, room, sid, moment: room == "vip")
    watcher.emit("leave", "/", "vip", two.id)
    assert watcher.expect("room_left", lambda nsp, room, sid, moment: room == "vip")[2] == two.id
    watcher.emit("_disconnect", "/", False, "vip")
    assert one.expect("disconnect") == "io server disconnect"
    watcher.expect("socket_disconnected", lambda nsp, sid, *_: sid == one.id)
    watcher.emit("_disconnect", "/", True, two.id)
    two.expect("disconnect")
    commands = [line["command"] for line in daemon.events("adminCommand")]
    assert commands == ["emit", "emit", "join", "leave", "join", "leave", "_disconnect", "_disconnect"]
    daemon.assert_clean()


NONSENSE: tuple[tuple[str, list[Any]], ...] = (
    ("emit", []), ("emit", ["/", None]), ("emit", [5, None, "x"]), ("emit", ["/", None, 7]), ("join", ["/"]),
    ("join", ["/", 7]), ("leave", [None, "x"]), ("_disconnect", []), ("join", ["/", "room:\x00", None]),
    ("leave", ["/", "room:defaultRoom", None]), ("join", ["/nowhere", "x", "y"]),
)  # fmt: skip


def test_commands_that_make_no_sense_change_nothing(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    client = node.connect(daemon.url)
    watcher = admin(node, daemon)
    for event, arguments in NONSENSE:
        watcher.emit(event, *arguments)
    watcher.emit("emit", "/", None, "still")
    client.expect("still")
    assert client.state()["connected"]
    assert client.ask("detailsView")["details"]["room"] == "defaultRoom"
    daemon.assert_clean()


@pytest.mark.parametrize("more", [{"readOnly": True}, {"mode": "production"}])
def test_who_may_only_watch_changes_nothing(start_daemon: StartDaemon, node: NodeClients, more: Any) -> None:
    daemon = start_daemon(merged(ON, {"monitor": {"adminUI": more}}))
    watcher = admin(node, daemon)
    features = watcher.expect("config")["supportedFeatures"]
    assert "JOIN" not in features
    assert ("ALL_EVENTS" in features) is ("readOnly" in more)
    client = node.connect(daemon.url)
    client.expect("welcome")
    watcher.emit("_disconnect", "/", True)
    watcher.emit("emit", "/", None, "hello")
    watcher.expect("server_stats", lambda stats: stats["clientsCount"] == 2)
    assert client.state()["connected"]
    assert not client.events("hello")
    if "mode" in more:
        assert not watcher.events("all_sockets")
        assert not watcher.events("event_sent")


def test_the_hosted_page_needs_to_be_allowed(start_daemon: StartDaemon) -> None:
    page = {"Origin": "https://admin.socket.io"}
    path = "/socket.io/?EIO=4&transport=polling"
    daemon = start_daemon(ON)
    assert request(daemon.url + path, headers=page).status == 403
    allowed = start_daemon(
        {**ON, "webSockets": {"options": {"origins": "https://admin.socket.io", "cors_credentials": True}}}, name="two"
    )
    answer = request(allowed.url + path, headers=page)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://admin.socket.io"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_nothing_is_told_once_nobody_watches(start_daemon: StartDaemon, node: NodeClients) -> None:
    daemon = start_daemon(ON)
    for _ in range(2):
        watcher = admin(node, daemon)
        assert watcher.id in by_id(watcher)
        watcher.expect("server_stats")
        watcher.close()
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
    daemon.stop()
    daemon.assert_clean()


def test_plugins_are_told_to_use_it_instead_of_instrument(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def add(app):\n    app.sio.instrument(auth=False)\n")
    daemon = start_daemon({"general": {"plugins": ["mine:add"]}}, wait=False, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert daemon.wait() == 78
    assert "use monitor.adminUI" in daemon.log()


def test_without_it_the_message_path_is_the_usual_one() -> None:
    app = assemble(loads("{}", {}))
    assert app.sio is not None
    assert (type(app.sio.engine), app.sio.engine.socket_class) == (Engine, EngineSocket)
