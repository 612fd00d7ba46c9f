"""A client of each kind in one room: a browser, Node, Python on polling, curl and a session over HTTP, nc over TCP.

Each sees the others come, talk and go, exactly once each, and each one's roomView has all of them: on one node, and
over two that share a Redis.
"""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.process import Process
from tests.harness.redis import RedisServer
from tests.harness.waiting import DEADLINE, eventually

Says = list[dict[str, Any]]

ROOM = "where all meet"
ENTERED, LEFT = "I have entered the room", "I have left the room"
PAGE = """<!DOCTYPE html><title>one of all</title><link rel="icon" href="data:,">
<script src="/socket.io/socket.io.js"></script><script src="/socket.io/ahsocket.js"></script>
<script>
  var says = [], client = new AHsocket();
  client.on("say", function (say) { says.push(say); });
</script>"""


class Client(ABC):
    """One of a kind. `id` is its public id, `ask` says a verb and returns its reply, `says` all that it has heard."""

    id: str

    @abstractmethod
    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]: ...
    @abstractmethod
    def says(self) -> Says: ...
    @abstractmethod
    def go(self) -> None: ...

    def who(self) -> str:
        """Its public id, as it is told itself."""
        own: str = self.ask("detailsView")["details"]["public"]["id"]
        return own


class Browser(Client):
    """AHsocket in a window of Chromium."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.wait_for_function("() => client.state === 'connected'")
        self.id = self.who()

    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]:
        given = [value] if key else []
        reply: dict[str, Any] = self.page.evaluate("([verb, given]) => client[verb](...given)", [verb, given])
        return reply

    def says(self) -> Says:
        heard: Says = self.page.evaluate("() => says")
        return heard

    def go(self) -> None:
        self.page.close()


class Node(Client):
    """socket.io-client in Node, over a WebSocket."""

    def __init__(self, connect: Connect, url: str) -> None:
        self.socket = connect(url, transports=["websocket"])
        self.id = self.who()

    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]:
        reply: dict[str, Any] = self.socket.call(verb, {key: value} if key else {})
        return reply

    def says(self) -> Says:
        return self.socket.events("say")

    def go(self) -> None:
        self.socket.close()


class Python(Client):
    """python-socketio's client, on polling alone."""

    def __init__(self, url: str) -> None:
        self.client = socketio.Client(reconnection=False)
        self.heard: Says = []
        self.client.on("say", self.heard.append)
        self.client.connect(url, transports=["polling"])
        self.id = self.who()

    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]:
        reply: dict[str, Any] = self.client.call(verb, {key: value} if key else {}, timeout=DEADLINE)
        return reply

    def says(self) -> Says:
        return self.heard

    def go(self) -> None:
        self.client.disconnect()


class OverHttp(Client):
    """The action chat; `call` makes the request with its parameters."""

    def __init__(self, call: Callable[[dict[str, str]], Any]) -> None:
        self.call = call
        self.heard: Says = []
        self.id = self.who()

    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]:
        reply: dict[str, Any] = self.call({"method": verb, **({key: value} if key else {})})
        return reply

    def says(self) -> Says:
        self.heard += self.ask("messages")["messages"]
        return self.heard

    def go(self) -> None:
        assert self.ask("quit")["left"] is True


def curl(url: str, directory: Path) -> OverHttp:
    """The program, with a jar for the cookie."""
    jar = str(directory / "jar")

    def call(params: dict[str, str]) -> Any:
        given = [word for name, value in params.items() for word in ("--data-urlencode", f"{name}={value}")]
        command = ["curl", "-sS", "--fail", "-c", jar, "-b", jar, "--get", *given, f"{url}/api/chat"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE).stdout)

    return OverHttp(call)


class Netcat(Client):
    """nc, a line for a verb."""

    def __init__(self, port: int) -> None:
        self.process = Process(["nc", "127.0.0.1", str(port)], stdin=True)
        self.count = 0
        self.id = self.who()

    def _lines(self) -> Says:
        return [json.loads(line) for line in self.process.output]

    def ask(self, verb: str, key: str = "", value: str = "") -> dict[str, Any]:
        self.count += 1
        stdin = self.process.popen.stdin
        assert stdin is not None
        stdin.write(f"{verb} {value}\n".encode())
        stdin.flush()

        def replied() -> Says:
            return [line for line in self._lines() if line.get("messageCount") == self.count]

        (reply,) = self.process.wait_for(replied, what=f"the reply to {verb}")
        assert isinstance(reply, dict)
        return reply

    def says(self) -> Says:
        with self.process.arrived:
            return [line for line in self._lines() if line.get("context") == "user"]

    def go(self) -> None:
        stdin = self.process.popen.stdin
        assert stdin is not None
        stdin.write(b"quit\n")
        stdin.flush()
        self.process.wait_for(lambda: '{"status":"Bye!","context":"response"}' in self.process.output, what="Bye!")


@pytest.fixture
def leaving() -> Iterator[ExitStack]:
    """Ends what a test has begun."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["one node", "two nodes"])
def nodes(
    request: pytest.FixtureRequest, start_daemon: StartDaemon, leaving: ExitStack, tmp_path: Path
) -> list[Daemon]:
    """The daemons that the clients spread over; two share a Redis."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text(PAGE)
    config: dict[str, Any] = {"tcpServer": {"enable": True}, "commonWeb": {"flatFileDirectory": str(page)}}
    if request.param == "one node":
        return [start_daemon(config)]
    server = RedisServer(tmp_path / "redis")
    server.start()
    leaving.callback(server.stop)
    return [start_daemon({**config, "redis": {"enable": True, "port": server.port}}) for _ in range(2)]


@pytest.mark.browser
def test_all_meet(
    nodes: list[Daemon], open_page: OpenPage, connect: Connect, leaving: ExitStack, tmp_path: Path
) -> None:
    first, second = nodes[0], nodes[-1]
    session = leaving.enter_context(httpx.Client(base_url=second.url, timeout=DEADLINE))
    netcat = Netcat(first.tcp_port)
    leaving.callback(netcat.process.kill)
    python = Python(second.url)
    leaving.callback(python.client.disconnect)
    everybody: dict[str, Client] = {
        "browser": Browser(open_page(first.url)),
        "node": Node(connect, second.url),
        "curl": curl(first.url, tmp_path),
        "nc": netcat,
        "session": OverHttp(lambda data: session.post("/api/chat", json=data).raise_for_status().json()),
        "python": python,
    }
    expected: dict[str, list[tuple[str, str]]] = {name: [] for name in everybody}
    present: list[str] = []

    def happened(name: str, message: str) -> None:
        """Every other one that is present is to hear this."""
        for other in present:
            if other != name:
                expected[other].append((everybody[name].id, message))

    def all_heard() -> None:
        for name in present:
            eventually(lambda name=name: heard(name) == expected[name], what=f"{name} has heard it")  # type: ignore[misc]

    def heard(name: str) -> list[tuple[str, str]]:
        said = [say for say in everybody[name].says() if say.get("room") == ROOM]
        assert all(say["context"] == "user" and isinstance(say["sentAt"], int) for say in said)
        found = [(say["from"], say["message"]) for say in said]
        assert len(found) <= len(expected[name]), (name, found, expected[name])
        return found

    for name, client in everybody.items():
        assert client.ask("roomChange", "room", ROOM)["room"] == ROOM
        happened(name, ENTERED)
        present.append(name)
        all_heard()
    for name, client in everybody.items():
        assert client.ask("say", "message", f"{name} says <ü> & more")["status"] == "OK"
        happened(name, f"{name} says <ü> & more")
        all_heard()
    ids = sorted(client.id for client in everybody.values())
    for name, client in everybody.items():
        view = client.ask("roomView")["roomStatus"]
        assert (view["room"], sorted(view["members"]), view["membersCount"]) == (ROOM, ids, 6), name
    for name, client in list(everybody.items()):
        present.remove(name)
        client.go()
        happened(name, LEFT)
        all_heard()
    assert session.get("/api/chat?method=roomView").json()["room"] == "defaultRoom"
