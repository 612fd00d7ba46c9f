"""The shipped configurations of proxies, started for real in front of two nodes."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.sync.client import connect as websocket

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import ROOT, Daemon
from tests.harness.node import NodeSocket
from tests.harness.process import Process
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually, free_port

DEPLOY = ROOT / "etc" / "deploy"
COMMANDS = {
    "nginx.conf": ["nginx", "-p", "{directory}", "-e", "stderr", "-c", "{file}", "-g", "daemon off; pid nginx.pid;"],
    "haproxy.cfg": ["haproxy", "-db", "-f", "{file}"],
    "Caddyfile": ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
}


@pytest.fixture
def nodes(start_daemon: StartDaemon, redis_server: RedisServer) -> list[Daemon]:
    """Two nodes with the shipped etc/cluster.yaml."""
    shipped = yaml.safe_load((ROOT / "etc" / "cluster.yaml").read_text())
    shipped["httpServer"] = {**shipped["httpServer"], "bindIP": "127.0.0.1"}
    del shipped["httpServer"]["port"]
    shipped["shutdown"] = {"delay": 0, "drain": 1, "timeout": 10}
    return [start_daemon(shipped, env={"REDIS_URL": redis_server.url}) for _ in range(2)]


@pytest.fixture(params=COMMANDS)
def front(request: pytest.FixtureRequest, nodes: list[Daemon], tmp_path: Path) -> Iterator[int]:
    """The port of a proxy in front of the nodes."""
    name = request.param
    program = COMMANDS[name][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    port = free_port()
    text = (DEPLOY / name).read_text()
    ports = {"8080": port, "8081": nodes[0].port, "8082": nodes[1].port}
    assert all(old in text for old in ports)
    text = re.sub(r"\b(8080|8081|8082)\b", lambda found: str(ports[found[0]]), text)
    file = tmp_path / name
    file.write_text(text)
    command = [part.format(directory=tmp_path, file=file) for part in COMMANDS[name]]
    proxy = Process(command, name=program, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/usr/sbin:/bin"}, cwd=tmp_path)
    try:
        eventually(lambda: accepts(port), what=f"{program} listens")
        yield port
    except AssertionError as error:
        raise AssertionError(f"{error}\n{proxy.log()}") from None
    finally:
        proxy.kill()


def poll(port: int, source: str, method: str, sid: str = "", body: str | None = None) -> tuple[int, str]:
    """One request of Engine.IO's polling, each on a connection of its own, from an address of the loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    connection.request(method, "/socket.io/?EIO=4&transport=polling" + (f"&sid={sid}" if sid else ""), body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def node_of(port: int, source: str) -> str:
    """A whole polling session from an address; the id of the node that it lived on."""
    status, opened = poll(port, source, "GET")
    assert status == 200, opened
    sid = json.loads(opened[1:])["sid"]
    assert poll(port, source, "POST", sid, "40") == (200, "ok")
    heard = ""
    while "welcome" not in heard:
        status, text = poll(port, source, "GET", sid)
        assert status == 200, text
        heard += "\x1e" + text
    assert poll(port, source, "POST", sid, '420["action",{"action":"status"}]') == (200, "ok")
    while "430[" not in heard:
        status, text = poll(port, source, "GET", sid)
        assert status == 200, text
        heard += "\x1e" + text
    packet = next(packet for packet in heard.split("\x1e") if packet.startswith("430["))
    assert poll(port, source, "POST", sid, "1") == (200, "ok")
    found: str = json.loads(packet[3:])[0]["id"]
    return found


def test_polling_sessions_stay_on_their_node_and_use_both(front: int) -> None:
    found = {f"127.0.0.{last}": node_of(front, f"127.0.0.{last}") for last in range(2, 22)}
    assert len(set(found.values())) == 2, found


def test_clients_of_every_kind_meet_and_outlive_a_node(front: int, nodes: list[Daemon], connect: Connect) -> None:
    url = f"http://127.0.0.1:{front}"
    options = {"reconnection": True, "reconnectionDelay": 100, "reconnectionDelayMax": 500}
    clients = [
        connect(url, transports=["polling"], **options),
        connect(url, transports=["websocket"], **options),
        connect(url, **options),
        *(connect(node.url, transports=["websocket"], **options) for node in nodes),
    ]
    eventually(lambda: clients[0].call("roomView", {})["roomStatus"]["membersCount"] == 5)
    assert clients[2].expect("upgrade") == "websocket"
    for speaker in clients:
        speaker.call("say", {"message": "hello"})
        for listener in clients:
            if listener is not speaker:
                listener.expect(
                    "say", lambda say, id=speaker.id: (say.get("message"), say.get("from")) == ("hello", id)
                )

    # The node that has the clients of the proxy goes.
    home = clients[0].call("action", {"action": "status"})["id"]
    going = next(node for node, client in zip(nodes, clients[3:], strict=True) if home == _status(client)["id"])
    staying = clients[3 + 1 - nodes.index(going)]
    ids = [client.id for client in clients[:3]]
    assert going.stop() == 0
    for client in clients[:3]:
        # A node that drains refuses new sessions; the client tries again by itself.
        client.wait_connected(deadline=20, refused=True)
        client.expect("welcome")
    assert not set(ids) & {client.id for client in clients[:3]}
    eventually(lambda: staying.call("roomView", {})["roomStatus"]["membersCount"] == 4)
    staying.call("say", {"message": "still there?"})
    for client in clients[:3]:
        client.expect("say", lambda say: say.get("message") == "still there?")


def connections_to(nodes: list[Daemon]) -> set[str]:
    """The other ends of all connections to the nodes, those that have just been closed included."""
    ports = {f"{node.port:04X}" for node in nodes}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {local for _, local, remote, *_ in lines if remote.rpartition(":")[2] in ports}


def test_connections_to_a_node_are_used_again_also_for_a_websocket(front: int, nodes: list[Daemon]) -> None:
    before = connections_to(nodes)
    for number in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", front, timeout=10)
        connection.request("GET", f"/api/status?{number}")
        assert connection.getresponse().read()
        connection.close()
    used = connections_to(nodes) - before
    assert 1 <= len(used) <= 4, used
    with ExitStack() as stack:
        for number in range(3):
            address = f"ws://127.0.0.1:{front}/socket.io/?EIO=4&transport=websocket"
            socket = stack.enter_context(websocket(address, proxy=None))
            assert json.loads(str(socket.recv(timeout=5))[1:])["sid"]
            connection = http.client.HTTPConnection("127.0.0.1", front, timeout=10)
            body = json.dumps({"n": number})
            connection.request("POST", "/api/randomNumber", body, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()
        grown = connections_to(nodes) - before - used
        print(f"30 requests: {len(used)} connections to the nodes; 3 WebSockets and 3 requests: {len(grown)} more")
        assert len(grown) <= 4, "more than one for each WebSocket and one for what is asked beside them"


def test_the_client_s_own_address_arrives(front: int, nodes: list[Daemon]) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6"}
    socket = websocket(
        f"ws://127.0.0.1:{front}/socket.io/?EIO=4&transport=websocket",
        additional_headers=headers, source_address=("127.0.0.9", 0), compression=None, proxy=None,
    )  # fmt: skip
    with socket:
        socket.recv(timeout=5)
        socket.send("40")
        socket.send('42["detailsView"]')

        def logged() -> list[Any]:
            return [line["address"] for node in nodes for line in node.events("request")]

        eventually(lambda: "127.0.0.9" in logged())
        assert "6.6.6.6" not in logged()


def _status(client: NodeSocket) -> dict[str, Any]:
    status: dict[str, Any] = client.call("action", {"action": "status"})
    return status
