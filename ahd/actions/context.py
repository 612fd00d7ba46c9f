"""What an action can reach beyond its parameters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ahd.core.connection import Connection
from ahd.core.interfaces import Cache, Nodes
from ahd.core.message import JsonObject
from ahd.core.rooms import Rooms

if TYPE_CHECKING:
    from ahd.actions.registry import Registry

Result = TypeVar("Result")


class ActionRooms:
    """The rooms as an action sees them: it speaks in the server's own name.

    Every method raises `ahd.ActionError`'s base Refused for a name that no room can have.
    """

    __slots__ = ("_rooms",)

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def say(self, room: str, message: Any) -> None:
        """Say a JSON value to everyone who hears a room; ValueError or TypeError when it is not JSON."""
        await self._rooms.announce(room, message)

    async def members(self, room: str) -> list[str]:
        """The public ids of everybody in a room, on all nodes; [] for a room with nobody in it."""
        members: list[str] = (await self._rooms.view(self._rooms.name(room)))["members"]
        return members


@dataclass(frozen=True, slots=True)
class Services:
    """What the application hands to its actions.

    `app` is the App; `nodes` are this process and its like; `stats` gives this process's figures
    that `status` tells, as JSON values.
    """

    cache: Cache
    rooms: ActionRooms
    app: Any
    nodes: Nodes
    stats: Callable[[], JsonObject]
    started_at: float
    """When the server started, in seconds of `time.monotonic()`: nobody sets that clock."""
    registry: Registry


class Context:
    """What a parameter annotated `Context` receives: the caller, and what the server offers to its actions.

    `connection` is the caller; `method` is the HTTP method of the call ("GET", …), "" over other transports.
    """

    __slots__ = ("_loop", "_name", "connection", "method", "services")

    def __init__(
        self,
        connection: Connection,
        services: Services,
        name: str,
        method: str,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.connection = connection
        self.services = services
        self.method = method
        self._name = name
        self._loop = loop

    @property
    def id(self) -> str:
        """The caller's public id."""
        return self.connection.id

    @property
    def kind(self) -> str:
        """The server it is connected to: "webSocket", "socket" (TCP) or "web"."""
        return self.connection.kind

    @property
    def remote_address(self) -> str:
        """The caller's own address, behind trusted proxies too."""
        return self.connection.remote_address

    @property
    def room(self) -> str:
        """The caller's current room; "" for one that is in none."""
        return self.connection.room

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the caller has proved of itself; empty when nothing."""
        return self.connection.claims

    @property
    def cache(self) -> Cache:
        """The store's cache: `save`, `load`, `destroy`, `size`, all awaited."""
        return self.services.cache

    @property
    def rooms(self) -> ActionRooms:
        """The rooms: `say` and `members`, both awaited."""
        return self.services.rooms

    @property
    def app(self) -> Any:
        """The running App."""
        return self.services.app

    @property
    def logger(self) -> logging.Logger:
        """A logger below `ahd.actions`, named after the action."""
        return logging.getLogger(f"ahd.actions.{self._name}")

    def wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the server's loop and wait for its result: how a plain `def` action uses cache and rooms.

        Only from an action's thread; an `async def` action awaits instead (RuntimeError).
        """
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("wait() is for plain def actions; use await")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
