"""The contracts between the core and what surrounds it. The guarantees stand here in prose; implementations have none.

A `Store` comes in two kinds (memory, Redis) under one contract suite, a `Link` and a `Group` in one kind a server.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ahd.core.connection import Answer, Connection
from ahd.core.errors import Disconnect
from ahd.core.message import JsonObject, Say


class Group(Protocol):
    """The links of one server that hear one room on this node. Made by `Link.new_group`, kept by `Rooms`."""

    def add(self, link: Any) -> None:
        """Let a link hear from now on; again is no error."""

    def discard(self, link: Any) -> None:
        """Let a link hear no more; not there is no error."""

    def deliver(self, say: Say, skip: Any) -> int:
        """Hand a say to every link of the group but `skip`; how many that were.

        Never waits, never raises, and never calls back into the rooms: a link that must be closed for it is closed
        later in the loop. What a link is given here and by `Link.send` reaches its client in the order of the
        calls.
        """

    def __len__(self) -> int: ...


class Link(Protocol):
    """The way out to one client. Owned by a server, held by a Connection."""

    def new_group(self) -> Group:
        """An empty group for links of this kind."""

    def send(self, event: str, data: JsonObject) -> None:
        """Send an event. Never waits; bounded: full leads to the limits' named outcome. Nothing after close."""

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        """Tell the client why (the event `closing`) and close once what was sent has left. Idempotent.

        `retry_after`: milliseconds after which it should come back, if it should.
        """


@dataclass(frozen=True, slots=True)
class Cached:
    """A value of the cache. Times are epoch milliseconds; `expire_timestamp` None: it stays.

    `read_at` is the time of the load before this one (None: never read).
    """

    value: Any
    expire_timestamp: int | None
    created_at: int
    read_at: int | None


class Cache(Protocol):
    """Values under string keys, each with an optional time to live. Values are JSON."""

    async def save(self, key: str, value: Any, expire_time_ms: int | None = None) -> bool:
        """Save a JSON value, replacing what was there. ValueError: the value is not JSON or too large."""

    async def load(self, key: str) -> Cached | None:
        """The value, or None when there is none or it has expired; marks it as read now."""

    async def destroy(self, key: str) -> bool:
        """Take a value away; whether there was one."""

    async def size(self) -> int:
        """How many unexpired values there are."""


class Presence(Protocol):
    """Who is in which room, on all nodes. A member is in exactly one room from `enter` until `leave`.

    Each change takes the says that announce it (None: not announced) and publishes them with it: both happen, or
    neither does.
    """

    async def enter(self, room: str, member: str, entered: Say | None) -> None:
        """Put a new member in its first room."""

    async def move(self, member: str, origin: str, target: str, left: Say | None, entered: Say | None) -> None:
        """Take a member from one room to another, atomically for every reader."""

    async def leave(self, room: str, member: str, left: Say | None) -> None:
        """Take a member out for good. Never raises StoreUnavailable: a leave while away is made up for later."""

    async def members(self, room: str) -> list[str]:
        """The public ids of everybody in the room; [] for no such room."""


class Bus(Protocol):
    """Carries says. A say published once reaches every node on which somebody hears its room, at most once each,
    the says of one publisher in order. `deliver` (handed to `Store.open`) is called on each of them, on the
    publishing node too, and by it in the order in which its says were published.
    """

    async def publish(self, say: Say) -> None:
        """Publish; returns when the say is on its way. StoreUnavailable: nobody has heard it."""

    async def subscribe(self, room: str) -> None:
        """One more hearer of the room on this node; returns when the node hears the room. Calls are counted."""

    async def unsubscribe(self, room: str) -> None:
        """One hearer less; the node stops hearing with the last. Never raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Node:
    """What one ahd process tells of itself.

    `started_at` and `seen_at` (when it last told) are epoch milliseconds; `configuration` is the fingerprint of its
    effective configuration, `figures` are numbers by name that can be added up over nodes.
    """

    id: str
    started_at: int
    seen_at: int
    configuration: str
    figures: dict[str, int]


class Nodes(Protocol):
    """The ahd processes that are one system."""

    @property
    def id(self) -> str:
        """This node's own; new at each start."""

    def introduce(self, configuration: str, figures: Callable[[], dict[str, int]]) -> None:
        """Say what this node tells of itself: its fingerprint, and a function that is asked for figures now and then.

        Called before the store is opened, and again when a reload has changed the configuration.
        """

    async def all(self) -> list[Node]:
        """All living nodes by start, this one included, with its figures of now; the others' are a second old."""


class Channel(Protocol):
    """A way from each node of the system to all of them, for what is not a say."""

    @property
    def name(self) -> str:
        """What others call it."""

    async def publish(self, message: bytes) -> None:
        """Tell all nodes, this one too. StoreUnavailable: none has heard it."""

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Have `heard`, which never raises, called with each message. Called once."""


class Store(Protocol):
    """What is behind the rooms and the cache.

    Every method raises StoreUnavailable, within one second, while the store is away. `immediate` says that no method
    ever suspends: the caller may then drive them without a task.
    """

    @property
    def immediate(self) -> bool: ...
    @property
    def cache(self) -> Cache: ...
    @property
    def presence(self) -> Presence: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def nodes(self) -> Nodes: ...

    async def open(self, deliver: Callable[[Say], None], lost: Callable[[str], None] | None = None) -> None:
        """Connect and begin to hear. Returns within a second when the store is away and keeps trying.

        `lost` is called, with the reason, when the configuration wants the process to end because the store is away.
        """

    async def close(self) -> None:
        """Let go of everything; members of this node are gone afterwards. Idempotent."""

    def away(self) -> str | None:
        """Why the store is unavailable now, or None."""

    def channel(self, name: str) -> Channel | None:
        """A channel to all nodes; None where this is the only one."""


class Pending(Protocol):
    """An action that is under way."""

    def then(self, answer: Answer) -> None:
        """Have `answer` called with the reply, exactly once, unless the connection has gone by then.

        Called once, before the loop's next turn.
        """


class Actions(Protocol):
    """What an application offers; implemented by `ahd.actions.runner`."""

    @property
    def default_params(self) -> Mapping[str, Any]:
        """The parameters that every call has, whether they are given or not. Shared: never changed."""
        ...

    def run(
        self, connection: Connection, name: Any, params: Mapping[str, Any], text: bool = False
    ) -> JsonObject | Pending:
        """Run an action: its reply, now or later; never raises. `name` is what the client gave for one.

        `text`: strings among the parameters came as text and are converted to what the action declares.

        The reply is an object of the caller's own, who adds the count: the action's with `context`, or one with an
        `error`.
        """


Spawn = Callable[[Coroutine[Any, Any, Any]], None]
"""Run a coroutine to its end in a task of its own that is kept track of. Handed to the core by the application."""
