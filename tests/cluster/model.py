"""A system under random use, beside a simple model of it: after all, both must agree.

Clients say, move, listen, come and go on three nodes, one thing after the other; now and then a node or two are killed
or told to end, in the midst of says that are on their way, and others take their places; or Redis is killed and comes
back with nothing. One watcher hears every room
from the first to the last moment. The seed says what clients do, one thing after the other, and what becomes of nodes;
how much is done in the time depends on the machine.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.cluster.conftest import StartNode
from tests.conftest import Connect
from tests.harness.daemon import Daemon
from tests.harness.node import NodeSocket
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

AWAY = "the store is unavailable"
LEFT, ENTERED = "I have left the room", "I have entered the room"
ROOMS = ("red", "green", "blue")
HOME = "defaultRoom"


class Client:
    """A client and where the model has it."""

    def __init__(self, socket: NodeSocket, node: Daemon) -> None:
        self.socket = socket
        self.node = node
        self.since = 0
        """The last say before it came."""
        self.room = HOME
        self.listening: set[str] = set()
        self.expected: Counter[Any] = Counter()
        self.possible: set[Any] = set()
        """What was said and never acknowledged, as its speaker's node ended: it may be heard, once."""

    def hears(self, room: str) -> bool:
        return room == self.room or room in self.listening


class System:
    """Nodes, clients and the model."""

    def __init__(self, start_node: StartNode, connect: Connect, redis: RedisServer, seed: int) -> None:
        self.random = random.Random(seed)
        self.fate = random.Random(f"fate {seed}")
        self._start_node = start_node
        self._connect = connect
        self.redis = redis
        self.away = False
        self.outages = 0
        self.healed = 0.0
        self.nodes = [self._node() for _ in range(3)]
        self.says = 0
        self.speakers: dict[int, str] = {}
        self.outcomes: dict[int, str] = {}
        """What became of the says that were on their way when something was ended."""
        self.kills = 0
        self.stops = 0
        self.slowest = 0.0
        self.announced: Counter[tuple[str, str, str]] = Counter()
        """What the watcher must hear of coming and going: (who, where, what)."""
        self.clients: list[Client] = []
        self.watcher = self.add(self.nodes[0])
        for room in ROOMS:
            assert self.watcher.socket.call("listenToRoom", {"room": room})["status"] == "OK"
        self.watcher.listening = set(ROOMS)
        self.announced.clear()

    def _node(self) -> Daemon:
        return self._start_node(shutdown={"delay": 0, "drain": 1, "timeout": 5})

    def add(self, node: Daemon) -> Client:
        client = Client(self._connect(node.url, transports=["websocket"]), node)
        client.socket.expect("welcome")
        client.since = self.says
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
            number, finish = self.say(client)
            assert finish()["status"] == "OK"
            for other in self.hearers(client):
                other.expected[number] += 1
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

    def say(self, client: Client) -> tuple[int, Callable[[], Any]]:
        self.says += 1
        self.speakers[self.says] = client.socket.id
        return self.says, client.socket.begin("say", {"message": self.says})

    def hearers(self, speaker: Client) -> list[Client]:
        return [client for client in self.clients if client is not speaker and client.hears(speaker.room)]

    def burst(self, says: int, midway: Callable[[], list[Daemon]]) -> None:
        """Many says at once, and something that kills nodes in their midst."""
        begun = []
        killed: list[Daemon] = []
        for number in range(says):
            client = self.random.choice([client for client in self.clients if client.node not in killed])
            begun.append((client, *self.say(client)))
            if number == says // 2:
                killed = midway()
        for client, message, finish in begun:
            try:
                reply = finish()
                acknowledged = reply.get("status") == "OK"
                assert acknowledged or client.node in killed or (self.away and reply["error"] == AWAY), reply
            except AssertionError:
                if client.node not in killed:
                    raise
                acknowledged = False
            self.outcomes[message] = "acknowledged" if acknowledged else "refused"
            for other in self.hearers(client):
                if acknowledged:
                    other.expected[message] += 1
                else:
                    other.possible.add(message)

    def outage(self) -> None:
        """Kill Redis, let some clients go meanwhile, and start it anew."""
        self.away = True

        def midway() -> list[Daemon]:
            time.sleep(self.fate.random() * 0.01)
            self.redis.stop()
            return []

        self.burst(40, midway)
        for client in self.fate.sample(self.clients[1:], 3):
            client.socket.close()
            self.forget(client)
        time.sleep(self.fate.random())
        self.redis.start()
        start = time.monotonic()
        for node in self.nodes:
            client = next((client for client in self.clients if client.node is node), None) or self.watcher
            eventually(lambda client=client: "status" in client.socket.call("roomView", {}))  # type: ignore[misc]
        self.healed = max(self.healed, time.monotonic() - start)
        self.away = False
        self.outages += 1

    def forget(self, client: Client) -> None:
        self.clients.remove(client)
        self.announced[client.socket.id, client.room, LEFT] += 1

    def kill(self) -> None:
        """End a node, or all but the watcher's, and start others."""
        politely = self.fate.random() < 0.3
        dying = [self.fate.randrange(1, 3)] if self.fate.random() < 0.75 else [1, 2]
        nodes = [self.nodes[index] for index in dying]

        def midway() -> list[Daemon]:
            time.sleep(self.fate.random() * 0.01)
            for node in nodes:
                node.signal(signal.SIGTERM if politely else signal.SIGKILL)
            return nodes

        self.burst(40, midway)
        killed = time.monotonic()
        if politely:
            self.stops += len(nodes)
        else:
            self.kills += len(nodes)
        lost = [client for client in self.clients if client.node in nodes]
        for client in lost:
            self.forget(client)
        for node in nodes:
            assert node.wait() == (0 if politely else -signal.SIGKILL)
            self.nodes.remove(node)
            self.nodes.append(self._node())
        ids = {client.socket.id for client in lost}

        def gone() -> bool:
            heard = {say["from"] for say in self.watcher.socket.events("say") if say["message"] == LEFT}
            return ids <= heard

        while not gone():  # life goes on meanwhile
            assert time.monotonic() - killed < 20, "the members of the ended nodes have not left"
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
            more, less = says - client.expected, client.expected - says
            about: Any = (client.socket.name, client.room, client.listening, more, less)
            outcomes = {n: (says[n], client.expected[n], self.outcomes.get(n), client.since) for n in more | less}
            about += (outcomes,)
            assert not less, about
            assert set(more) <= client.possible, about
            assert set(more.values()) <= {1}, about
            for speaker, numbers in self._by_speaker(client).items():
                assert numbers == sorted(numbers), (about, speaker)
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

    def _by_speaker(self, client: Client) -> dict[str, list[int]]:
        """What a client has heard, in order, by who said it."""
        found: dict[str, list[int]] = {}
        for say in client.socket.events("say"):
            if say["message"] not in (LEFT, ENTERED):
                assert say["from"] == self.speakers[say["message"]]
                found.setdefault(say["from"], []).append(say["message"])
        return found

    def _heard_all(self, client: Client) -> bool:
        heard = {say["message"] for say in client.socket.events("say")}
        return set(client.expected) <= heard

    @staticmethod
    def _view(client: Client) -> set[str]:
        return set(client.socket.call("roomView", {})["roomStatus"]["members"])


def run(
    start_node: StartNode, connect: Connect, redis: RedisServer, seed: int,
    *, clients: int, seconds: float, kills: int, outages: int,
) -> System:  # fmt: skip
    """Use a system for so many seconds, with nodes ended and Redis killed so often on the way, and check it."""
    system = System(start_node, connect, redis, seed)
    system.fill(clients)
    start = time.monotonic()
    events = [system.kill] * kills + [system.outage] * outages
    system.fate.shuffle(events)
    for number, happen in enumerate(events):
        end = start + seconds * (number + system.fate.random()) / (len(events) + 1)
        while time.monotonic() < end:
            system.step()
        happen()
        system.fill(clients)
    while time.monotonic() < start + seconds:
        system.step()
    system.check()
    print(
        f"seed {seed}: {system.says} says by {clients} clients, {system.kills} nodes killed and "
        f"{system.stops} ended, members gone after {system.slowest:.1f} s at the most; "
        f"Redis killed {system.outages} times, healed after {system.healed:.1f} s at the most"
    )
    assert system.slowest < 10
    assert system.healed < 3
    return system
