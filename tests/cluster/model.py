"""A system under random use, beside a simple model of it: after all, both must agree.

Clients say, move, listen, come and go on three nodes, one thing after the other; now and then a node is killed and
another takes its place. One watcher hears every room from the first to the last moment.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from tests.cluster.conftest import StartNode
from tests.conftest import Connect
from tests.harness.daemon import Daemon
from tests.harness.node import NodeSocket
from tests.harness.waiting import eventually

LEFT, ENTERED = "I have left the room", "I have entered the room"
ROOMS = ("red", "green", "blue")
HOME = "defaultRoom"


class Client:
    """A client and where the model has it."""

    def __init__(self, socket: NodeSocket, node: Daemon) -> None:
        self.socket = socket
        self.node = node
        self.room = HOME
        self.listening: set[str] = set()
        self.expected: Counter[Any] = Counter()

    def hears(self, room: str) -> bool:
        return room == self.room or room in self.listening


class System:
    """Nodes, clients and the model."""

    def __init__(self, start_node: StartNode, connect: Connect, seed: int) -> None:
        self.random = random.Random(seed)
        self._start_node = start_node
        self._connect = connect
        self.nodes = [start_node() for _ in range(3)]
        self.says = 0
        self.kills = 0
        self.slowest = 0.0
        self.announced: Counter[tuple[str, str, str]] = Counter()
        """What the watcher must hear of coming and going: (who, where, what)."""
        self.clients: list[Client] = []
        self.watcher = self.add(self.nodes[0])
        for room in ROOMS:
            assert self.watcher.socket.call("listenToRoom", {"room": room})["status"] == "OK"
        self.watcher.listening = set(ROOMS)
        self.announced.clear()

    def add(self, node: Daemon) -> Client:
        client = Client(self._connect(node.url, transports=["websocket"]), node)
        client.socket.expect("welcome")
        self.clients.append(client)
        self.announced[client.socket.id, HOME, ENTERED] += 1
        return client

    def fill(self, count: int) -> None:
        while len(self.clients) < count:
            self.add(self.random.choice(self.nodes))

    def step(self) -> None:
        """One thing that one client does."""
        client = self.random.choice(self.clients[1:])
        kind = self.random.random()
        if kind < 0.6:
            self.says += 1
            assert client.socket.call("say", {"message": self.says})["status"] == "OK"
            for other in self.clients:
                if other is not client and other.hears(client.room):
                    other.expected[self.says] += 1
        elif kind < 0.8:
            room = self.random.choice((HOME, *ROOMS))
            assert client.socket.call("roomChange", {"room": room})["room"] == room
            if room != client.room:
                self.announced[client.socket.id, client.room, LEFT] += 1
                self.announced[client.socket.id, room, ENTERED] += 1
                client.room = room
        elif kind < 0.9:
            room = self.random.choice(ROOMS)
            verb = "silenceRoom" if room in client.listening else "listenToRoom"
            assert client.socket.call(verb, {"room": room})["status"] == "OK"
            client.listening ^= {room}
        elif kind < 0.95:
            client.socket.close()
            self.forget(client)
        else:
            self.add(self.random.choice(self.nodes))

    def forget(self, client: Client) -> None:
        self.clients.remove(client)
        self.announced[client.socket.id, client.room, LEFT] += 1

    def kill(self) -> None:
        """Kill a node but the watcher's, and start another."""
        node = self.nodes.pop(self.random.randrange(1, 3))
        node.kill()
        self.kills += 1
        killed = time.monotonic()
        lost = [client for client in self.clients if client.node is node]
        for client in lost:
            self.forget(client)
        self.nodes.append(self._start_node())
        ids = {client.socket.id for client in lost}

        def gone() -> bool:
            heard = {say["from"] for say in self.watcher.socket.events("say") if say["message"] == LEFT}
            return ids <= heard

        while not gone():  # life goes on meanwhile
            assert time.monotonic() - killed < 20, "the members of the dead node have not left"
            self.step()
        self.slowest = max(self.slowest, time.monotonic() - killed)

    def check(self) -> None:
        """The clients have heard what the model says, and the rooms hold whom it says."""
        for client in self.clients:
            eventually(lambda client=client: self._heard_all(client))  # type: ignore[misc]
        rooms = {room: {c.socket.id for c in self.clients if c.room == room} for room in (HOME, *ROOMS)}
        for client in self.clients:
            eventually(lambda client=client: self._view(client) == rooms[client.room])  # type: ignore[misc]
        for client in self.clients:
            says = Counter(say["message"] for say in client.socket.events("say"))
            says -= Counter({LEFT: says[LEFT], ENTERED: says[ENTERED]})
            assert says == client.expected, (
                client.socket.name, client.room, client.listening, says - client.expected, client.expected - says
            )  # fmt: skip
        mine = self.watcher.socket.id

        def told() -> bool:
            heard = Counter(
                (say["from"], say["room"], say["message"])
                for say in self.watcher.socket.events("say")
                if say["message"] in (LEFT, ENTERED)
            )
            expected = Counter({key: count for key, count in self.announced.items() if key[0] != mine and count})
            assert heard == expected, (heard - expected, expected - heard)
            return True

        eventually(told)

    def _heard_all(self, client: Client) -> bool:
        heard = {say["message"] for say in client.socket.events("say")}
        return set(client.expected) <= heard

    @staticmethod
    def _view(client: Client) -> set[str]:
        return set(client.socket.call("roomView", {})["roomStatus"]["members"])


def run(start_node: StartNode, connect: Connect, seed: int, clients: int, seconds: float, kills: int) -> System:
    """Use a system for so many seconds, with so many nodes killed on the way, and check it."""
    system = System(start_node, connect, seed)
    system.fill(clients)
    start = time.monotonic()
    for number in range(kills + 1):
        end = start + seconds * (number + system.random.random()) / (kills + 1)
        while time.monotonic() < end:
            system.step()
        if number < kills:
            system.kill()
            system.fill(clients)
    while time.monotonic() < start + seconds:
        system.step()
    system.check()
    print(
        f"seed {seed}: {system.says} says by {clients} clients, {system.kills} nodes killed, "
        f"members gone after {system.slowest:.1f} s at the most"
    )
    assert system.slowest < 10
    return system
