"""A runner with a store in memory, connections without a server, and modules written on the spot."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ahd.actions.action import Action, action
from ahd.actions.context import ActionRooms, Services
from ahd.actions.registry import Registry, load
from ahd.actions.runner import Runner, Settings
from ahd.actions.signature import describe
from ahd.actions.threads import Threads
from ahd.core.connection import Connection
from ahd.core.errors import Disconnect
from ahd.core.interfaces import Group
from ahd.core.message import JsonObject
from ahd.core.rooms import RoomLimits, Rooms
from ahd.core.verbs import Verbs, Words
from ahd.store.memory import MemoryStore

DEADLINE = 10.0
SETTINGS = Settings(limit=100, offset=0, simultaneous=5, timeout=DEADLINE, server_error_message="broken")


def encode(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def described(function: Any, **options: Any) -> Action:
    """The action that a function makes; it must be one."""
    declared = action(**options)(function)
    made, reasons = describe(declared.__ahd_action__)
    assert made is not None, reasons
    return made


def _spawn(work: Any) -> None:
    raise NotImplementedError


class Caller:
    """A connection and the replies it was given, encoded as a server does."""

    def __init__(self, runner: Runner, kind: str = "webSocket") -> None:
        self.runner = runner
        store = MemoryStore(encode, json.loads, 100, 10_000)
        rooms = Rooms(store, encode, RoomLimits(True, 200, 1000, 10))
        self.verbs = Verbs(rooms, runner, Words("", "", "broken", 10), True, _spawn)
        self.connection = Connection("c1", kind, "127.0.0.9", self, runner.default_params)
        self.replies: list[JsonObject] = []
        self.arrived = asyncio.Event()

    def new_group(self) -> Group:
        raise NotImplementedError

    def send(self, event: str, data: JsonObject) -> None:
        raise NotImplementedError

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        raise NotImplementedError

    def answer(self, reply: JsonObject) -> None:
        encode(reply)
        self.replies.append(reply)
        self.arrived.set()

    def start(self, name: Any = None, **params: Any) -> None:
        params = params if name is None else {"action": name, **params}
        self.runner.call(self.connection, params.get("action"), params, self.answer)

    async def wait(self, count: int = 1) -> list[JsonObject]:
        async with asyncio.timeout(DEADLINE):
            while len(self.replies) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.replies

    async def ask(self, name: Any = None, **params: Any) -> JsonObject:
        before = len(self.replies)
        self.start(name, **params)
        return (await self.wait(before + 1))[before]


MakeRunner = Callable[..., Runner]


@pytest.fixture
async def make_runner() -> AsyncIterator[MakeRunner]:
    """Make runners: `make_runner(function, …, settings=…, builtin=[…])`; each must end with nothing left over."""
    made: list[Runner] = []
    loop = asyncio.get_running_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, problem: complaints.append(problem))

    def make(
        *functions: Any,
        settings: Settings = SETTINGS,
        builtin: tuple[str, ...] = (),
        threads: Threads | None = None,
        app: Any = None,
    ) -> Runner:
        known = dict(load([], builtin, Path("ahd.yaml")))
        for function in functions:
            action = function if isinstance(function, Action) else described(function)
            known[action.name] = action
        registry = Registry(known)
        store = MemoryStore(encode, json.loads, 100, 10_000)
        rooms = Rooms(store, encode, RoomLimits(True, 200, 1000, 10))
        services = Services(store.cache, ActionRooms(rooms), app, store.nodes, lambda: {"answers": 42}, 1_000, registry)
        runner = Runner(registry.by_name, services, settings, threads or Threads(4, 4))
        made.append(runner)
        return runner

    yield make
    for runner in made:
        await runner.stop()
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left
    assert not complaints


WriteModule = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteModule:
    """Write a Python file: `write("actions/a.py", text)`."""

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    return write_file
