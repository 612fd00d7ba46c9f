"""What a proof is: the daemon is run with a configuration, and with the same one in which only one key differs.

What is observed of the two must differ, and be what is expected of each.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import yaml

from tests.conftest import StartDaemon, daemons
from tests.harness.daemon import Daemon, merged
from tests.harness.raw import Answer, Polling, WebSocket, request, unverified
from tests.harness.redis import RedisServer
from tests.harness.waiting import DEADLINE, accepts, eventually, free_port

ACTIONS = str(Path(__file__).parent / "actions")
SERVERS = {"httpServer": "web", "tcpServer": "socket"}
DEFAULT_ON: Mapping[str, bool] = {"httpServer": True, "tcpServer": False}


@dataclass(frozen=True)
class Proof:
    """The proof of one key.

    `path` leads to the key; `value` is what it is changed to, `base` the configuration beside it (without it or with
    another value). `observe` looks at a running daemon; `usual` and `changed` are what it must see. Values in `base`,
    `value`, `usual` and `changed` may be functions of the test's `Room`.
    """

    path: tuple[str, ...]
    value: Any
    observe: Callable[[Node], Any]
    usual: Any
    changed: Any
    base: Any = field(default_factory=dict)
    fresh: bool = False
    """Observing ends or spends the daemon: it is shared with no other proof."""
    raises: bool = False
    """An action raises on purpose, which the log shows with its traceback."""
    quiet: bool = False
    """The log does not tell that the daemon listens: it has a port of its own."""
    refused: bool = False
    """With this change the daemon may end at once."""
    package: bool = False
    """The daemon runs a copy of the package with a browser client of the test's own."""
    note: str = ""

    def __str__(self) -> str:
        return ".".join(self.path) + (f"-{self.note}" if self.note else "")


class Node:
    """A daemon, and what the proofs do with it."""

    def __init__(self, daemon: Daemon, room: Room, url: str, package: Path | None) -> None:
        self.daemon = daemon
        self.room = room
        self.url = url
        self.package = package

    def get(self, path: str, **options: Any) -> Answer:
        return request(self.url + path, **options)

    def websocket(self, **options: Any) -> WebSocket:
        """A connected client; its welcome has been read."""
        socket = WebSocket(self.url, **options)
        socket.connect()
        socket.until('42["welcome"')
        return socket

    def websocket_unread(self) -> WebSocket:
        """A connected client with its welcome still to be read."""
        socket = WebSocket(self.url)
        socket.connect()
        return socket

    def polling(self, **options: Any) -> Polling:
        return Polling(self.url, **options)

    def lines(self) -> Lines:
        return Lines(self.daemon.tcp_port)

    def end(self) -> tuple[int, float]:
        """Stop it; the exit code, and seconds from the start of its drain to its end by its own log."""
        code = self.daemon.stop()
        moments = [self.daemon.events(event)[-1]["time"] for event in ("draining", "ended")]
        start, end = (_seconds(moment) for moment in moments)
        return code, (end - start) % 86400


def _seconds(moment: str) -> float:
    hours, minutes, seconds = moment.rstrip("Z").partition("T")[2].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def ask(socket: WebSocket, verb: str, data: Any = None, number: int = 1) -> dict[str, Any]:
    """The reply to a verb, asked for with an acknowledgement."""
    socket.send(f"42{number}" + json.dumps([verb, data]))
    packet = socket.until(f"43{number}[")
    reply: dict[str, Any] = json.loads(packet[packet.index("[") :])[0]
    return reply


def call(socket: WebSocket, name: str, **params: Any) -> dict[str, Any]:
    """The reply to an action."""
    return ask(socket, "action", {"action": name, **params})


class Lines:
    """A client of lines; its welcome has been read."""

    def __init__(self, port: int, host: str = "127.0.0.1", secure: bool = False) -> None:
        plain = socket.create_connection((host, port), timeout=DEADLINE)
        self.socket = unverified().wrap_socket(plain) if secure else plain
        self._file = self.socket.makefile("rb")
        self.welcome = self.read()

    def read(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._file.readline())
        return line

    def ask(self, line: str) -> dict[str, Any]:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.read()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serial(port: int) -> str | None:
    """The certificate that a server shows; None when it does not speak TLS."""
    try:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=DEADLINE)
    except OSError:
        return None


class Room:
    """What the proofs of a module share: running baselines, a directory, and things made when first asked for."""

    def __init__(self, start: StartDaemon, directory: Path) -> None:
        self.start = start
        self.directory = directory
        self.baselines: dict[str, Node] = {}
        self._things: dict[Any, Any] = {}
        self._number = 0
        self._redis: RedisServer | None = None

    def redis(self) -> RedisServer:
        """A Redis that is started when it is first asked for."""
        if self._redis is None:
            self._redis = RedisServer(self.directory / "redis")
            self._redis.start()
        return self._redis

    def close(self) -> None:
        """Let go of what was started, but for the daemons."""
        if self._redis is not None:
            self._redis.stop()

    def thing(self, make: Callable[[Room], Any]) -> Any:
        """What `make` returns, made once."""
        if make not in self._things:
            self._things[make] = make(self)
        return self._things[make]

    def resolved(self, value: Any) -> Any:
        """`value` with functions in it replaced by what they return."""
        if callable(value):
            return self.resolved(self.thing(value))
        if isinstance(value, Mapping):
            return {key: self.resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        return value

    def node(self, proof: Proof, config: dict[str, Any]) -> Node:
        """A running daemon with this configuration, listening unless it was refused."""
        config = merged({"log": {"format": "json"}, "shutdown": {"drain": 0}}, config)
        enabled = [name for name, default in DEFAULT_ON.items() if config.get(name, {}).get("enable", default)]
        for name in enabled:
            section = config.setdefault(name, {})
            if not section.get("unixSocket"):
                section.setdefault("port", free_port() if proof.quiet else 0)
        package = self.copy() if proof.package else None
        self._number += 1
        daemon = self.start(
            yaml.safe_dump(config, sort_keys=False),
            wait=False,
            name=f"node{self._number}",
            allow_traceback=proof.raises,
            env={"PYTHONPATH": str(package)} if package else None,
        )
        url = ""
        if proof.quiet:
            port = config["httpServer"]["port"]
            eventually(lambda: accepts(port), 20, what=f"the daemon accepts at {port}")
            url = f"http://127.0.0.1:{port}"
        else:
            for name in enabled:
                try:
                    address = daemon.wait_for_event("listening", 20, server=SERVERS[name])["address"]
                except AssertionError:
                    if proof.refused and not daemon.running:
                        break
                    raise
                url = address if name == "httpServer" else url
        return Node(daemon, self, url, package)

    def copy(self) -> Path:
        """A copy of the package, in which the browser client's build is a text of the test's own."""
        root = Path(__file__).resolve().parents[2]
        self._number += 1
        target = self.directory / f"package{self._number}"
        for name in ("ahd", "schema"):
            shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in (("socket.io.js", "// the plain build\n"), ("socket.io.min.js", "// the minified build\n")):
            (target / "ahd" / "client" / name).write_text(text + "// " + "x" * 2000 + "\n")
        return target


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    """The room of a module of proofs."""
    with tempfile.TemporaryDirectory(prefix="ahd") as name, daemons(Path(name)) as start:
        room = Room(start, Path(name))
        yield room
        room.close()


def put(config: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The configuration with another value at a path."""
    result = dict(config)
    if len(path) == 1:
        result[path[0]] = value
    else:
        below = result.get(path[0])
        result[path[0]] = put(below if isinstance(below, Mapping) else {}, path[1:], value)
    return result


def prove(proof: Proof, room: Room) -> None:
    """Run the proof. AssertionError: the key does not do what it says."""
    base = room.resolved(proof.base)
    value = room.resolved(proof.value)
    changed = put(base, proof.path, value)
    assert changed != base, "the proof changes nothing"
    name = json.dumps([base, proof.raises, proof.quiet, proof.package], sort_keys=True)
    shareable = not (proof.fresh or proof.refused)
    node = room.baselines.get(name) if shareable else None
    if node is None:
        node = room.node(proof, base)
        if shareable:
            room.baselines[name] = node
    usual = proof.observe(node)
    if not shareable:
        _let_go(node)
    other = room.node(proof, changed)
    seen = proof.observe(other)
    _let_go(other)
    assert usual == room.resolved(proof.usual), f"{proof}: {usual!r} without the change"
    assert seen == room.resolved(proof.changed), f"{proof}: {seen!r} with {value!r}"
    assert seen != usual


def _let_go(node: Node) -> None:
    """Ask a daemon to end; the fixture waits for it."""
    if node.daemon.running:
        node.daemon.popen.terminate()


def host_of(url: str) -> str | None:
    return urlsplit(url).hostname
