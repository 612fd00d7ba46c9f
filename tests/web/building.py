"""The web server's services with a real runner, rooms and store in memory, from a configuration as a file says it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ahd import codec
from ahd.actions.action import Action
from ahd.actions.context import ActionRooms, Services
from ahd.actions.registry import Registry, load
from ahd.actions.runner import Runner, Settings
from ahd.actions.signature import describe
from ahd.actions.threads import Threads
from ahd.config import loads
from ahd.core.rooms import RoomLimits, Rooms
from ahd.core.verbs import Verbs, Words
from ahd.servers.web.server import Web
from ahd.servers.web.site import Site
from ahd.store.memory import MemoryStore


def described(function: Callable[..., Any]) -> Action:
    """The action that a decorated function makes."""
    action, reasons = describe(function.__ahd_action__)  # type: ignore[attr-defined]
    assert action is not None, reasons
    return action


class Built:
    """`web` and what is behind it; `await close()` at the end."""

    def __init__(self, text: str, page: Path, *functions: Callable[..., Any], describe: Any = None) -> None:
        config = self.config = loads(text, {})
        general = config.general
        self.store = MemoryStore(codec.encode, codec.decode, 1000, 1_000_000)
        self.rooms = Rooms(self.store, codec.encode, RoomLimits(True, 200, 100_000, 100))
        builtin = load([], config.actions.builtin, page).by_name
        self.registry = Registry({**builtin, **{a.name: a for a in map(described, functions)}})
        self.threads = Threads(4, 100)
        services = Services(
            cache=self.store.cache,
            rooms=ActionRooms(self.rooms),
            app=self,
            nodes=self.store.nodes,
            stats=dict,
            started_at=time.monotonic(),
            registry=self.registry,
        )
        settings = Settings(
            general.default_limit,
            general.default_offset,
            general.simultaneous_actions,
            general.action_timeout,
            general.server_error_message,
        )
        self.runner = Runner(self.registry.by_name, services, settings, self.threads)
        words = Words(general.welcome_message, general.default_chat_room, general.server_error_message, 100)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.verbs = Verbs(self.rooms, self.runner, words, True, self.spawn)
        self.web = Web(config.common_web, general, self.verbs, self.runner, page, codec.encode, codec.decode, describe)
        self.site: Site = self.web.site(general)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open(self) -> None:
        await self.store.open(self.rooms.deliver)

    async def close(self) -> None:
        await self.runner.stop()
        self.web.close()
        await self.store.close()
        self.threads.close()
