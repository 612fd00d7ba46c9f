"""A TCP server in the test's own loop, over the real verbs, rooms and memory store, and a client of lines."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from ahd import codec
from ahd.core.connection import Answer, Connection
from ahd.core.interfaces import Pending
from ahd.core.message import JsonObject, failed
from ahd.core.rooms import RoomLimits, Rooms
from ahd.core.verbs import Verbs, Words
from ahd.servers.tcp.server import TcpServer, TcpSettings
from ahd.store.memory import MemoryStore
from tests.harness.waiting import DEADLINE

PARAMS = {"limit": 100, "offset": 0}
SETTINGS = TcpSettings(max_line_length=1000, keep_alive=60, send_buffer=65536, drop_oldest=False, params=PARAMS)


class Actions:
    """`echo` answers with what it got, `later` when the test says so, `big` with many bytes, `bad` with no JSON."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.default_params: Mapping[str, Any] = {}

    def run(
        self, connection: Connection, name: Any, params: Mapping[str, Any], text: bool = False
    ) -> JsonObject | Pending:
        if name == "echo":
            return {"context": "response", "got": params, "text": text}
        if name == "big":
            return {"context": "response", "big": "x" * int(params["size"])}
        if name == "later":
            return Later(self.waiting, {"context": "response", "late": params.get("n")})
        if name == "bad":
            return {"context": "response", "bad": object()}
        return failed(f"Error: {name} is not a known action.")


class Later:
    """An action that ends when the test says so."""

    def __init__(self, waiting: list[Callable[[], None]], reply: JsonObject) -> None:
        self._waiting = waiting
        self._reply = reply

    def then(self, answer: Answer) -> None:
        self._waiting.append(lambda: answer(self._reply))


class Client:
    """Lines in and out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *lines: str | bytes) -> None:
        for line in lines:
            self.writer.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    async def read(self) -> Any:
        """The next line's value; None at the end."""
        line = await asyncio.wait_for(self.reader.readline(), DEADLINE)
        if not line:
            return None
        assert line.endswith(b"\r\n"), line
        return json.loads(line)

    async def ask(self, line: str | bytes) -> Any:
        """Send a line; the next `response` (says that come before it are skipped)."""
        self.send(line)
        return await self.expect("response")

    async def expect(self, context: str) -> Any:
        """The next line of this context."""
        while True:
            value = await self.read()
            assert value is not None, "the server has closed the connection"
            if value.get("context") == context:
                return value

    async def rest(self) -> list[Any]:
        """All lines until the end."""
        values = []
        while (value := await self.read()) is not None:
            values.append(value)
        return values


class Subject:
    """A running server, and clients of it."""

    def __init__(self) -> None:
        self.store = MemoryStore(codec.encode, codec.decode, 1000, 1_000_000)
        self.rooms = Rooms(self.store, codec.encode, RoomLimits(True, 200, 100_000, 100))
        self.actions = Actions()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.immediate = True
        self.settings = SETTINGS
        self.tls: ssl.SSLContext | None = None
        self.writers: list[asyncio.StreamWriter] = []
        self.server: TcpServer
        self.port = 0

    def spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def start(self, passed: Sequence[socket.socket] = ()) -> None:
        words = Words("Hello!", "defaultRoom", "The server experienced an internal error", 100)
        await self.store.open(self.rooms.deliver)
        self.verbs = Verbs(self.rooms, self.actions, words, self.immediate, self.spawn)
        self.server = TcpServer(self.verbs, "127.0.0.1", 0, self.settings, codec.encode, codec.decode, self.tls)
        self.server.passed = list(passed)
        await self.server.start()
        self.port = urlsplit(self.server.addresses[0]).port or 0

    async def raw(self, limit: int = 1 << 24, **options: Any) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit, **options)
        self.writers.append(writer)
        return Client(reader, writer)

    async def client(self, **options: Any) -> Client:
        """A client that has been welcomed."""
        client = await self.raw(**options)
        assert await client.read() == {"welcome": "Hello!", "room": "defaultRoom", "context": "api"}
        return client

    async def stop(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        if self.port:
            await self.server.close()
            assert not self.server.links
            assert self.rooms.here() == {}
            assert not self.tasks


def on_each_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on asyncio's own loop and on uvloop. It gets a `running` Subject, or a `subject` to change and
    start."""
    wanted = [name for name in inspect.signature(test).parameters if name not in ("running", "subject")]

    async def main(values: dict[str, Any]) -> None:
        subject = Subject()
        try:
            if "running" in inspect.signature(test).parameters:
                await subject.start()
                values["running"] = subject
            else:
                values["subject"] = subject
            await test(**values)
        finally:
            await subject.stop()

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **values: Any) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main(values))

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("new_loop", *wanted)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(run)
