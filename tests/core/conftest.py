"""A node without servers: verbs over a real memory store, links that only remember."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from ahd.codec import decode, encode
from ahd.core.connection import Connection
from ahd.core.errors import Disconnect
from ahd.core.message import JsonObject, Say
from ahd.core.rooms import RoomLimits, Rooms
from ahd.core.verbs import Verbs, Words
from ahd.store.memory import MemoryStore


class ListGroup:
    """Links that hear a room."""

    def __init__(self) -> None:
        self.links: list[ListLink] = []

    def add(self, link: ListLink) -> None:
        if link not in self.links:
            self.links.append(link)

    def discard(self, link: ListLink) -> None:
        if link in self.links:
            self.links.remove(link)

    def deliver(self, say: Say, skip: Any) -> int:
        heard = [link for link in self.links if link is not skip]
        for link in heard:
            link.events.append(("say", decode(say.json)))
        return len(heard)

    def __len__(self) -> int:
        return len(self.links)


class ListLink:
    """Remembers what it was sent."""

    def __init__(self) -> None:
        self.events: list[tuple[str, JsonObject]] = []
        self.closed: Disconnect | None = None

    def new_group(self) -> ListGroup:
        return ListGroup()

    def send(self, event: str, data: JsonObject) -> None:
        self.events.append((event, data))

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        self.closed = reason

    def said(self) -> list[tuple[str, str, Any]]:
        """Room, speaker and message of each say."""
        return [(d["room"], d["from"], d["message"]) for event, d in self.events if event == "say"]


class NoActions:
    """Answers every action with its parameters."""

    default_params: Mapping[str, Any] = {}

    def run(self, connection: Connection, name: Any, params: Mapping[str, Any], text: bool = False) -> JsonObject:
        return {"context": "response", **params}


class World:
    """One node and its clients."""

    def __init__(self, store: Any, *, announce: bool = True, backlog: int = 3) -> None:
        self.store = store
        self.rooms = Rooms(store, encode, RoomLimits(announce, 20, 50, 2))
        self.tasks: list[asyncio.Task[Any]] = []
        words = Words("Hello!", "lobby", "it broke", backlog)
        self.verbs = Verbs(self.rooms, NoActions(), words, store.immediate, self._spawn)

    def _spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def client(self, id: str) -> tuple[Connection, ListLink]:
        link = ListLink()
        connection = Connection(id, "test", "127.0.0.1", link, {})
        self.verbs.open(connection)
        return connection, link

    def ask(self, connection: Connection, verb: str, data: Any = None) -> list[JsonObject]:
        """The answers there are by now."""
        answers: list[JsonObject] = []
        self.verbs.receive(connection, verb, data, answers.append)
        return answers


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(encode, decode, 100, 10_000)


@pytest.fixture
def world(store: MemoryStore) -> World:
    made = World(store)
    store.presence.deliver = store.bus.deliver = made.rooms.deliver
    return made
