"""One daemon, clients of every kind that come, talk and go, and a reload now and then, for half an hour: what it holds
at the end is what it held at the beginning. SECONDS in the environment chooses how long."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.client import connect

from tests.conftest import StartDaemon
from tests.faults import clients
from tests.harness.daemon import Daemon
from tests.harness.raw import request

WEBSOCKETS, LINES, POLLING, BROWSING = 40, 15, 5, 3
"""Clients of each kind at once; the last ask for pages and actions over HTTP."""
SAMPLE, RELOAD = 5.0, 15.0
"""Seconds between two looks at the process, and between two reloads."""
IN_TIME = 5.0
"""Seconds in which every reply must be there."""

ACTS = """
import asyncio, gc
from ahd import Context, action

@action(description="what there is in the process")
async def held() -> dict:
    gc.collect()
    return {"objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}

@action(description="saves something for a while")
async def keep(context: Context, key: str) -> dict:
    return {"saved": await context.cache.save(key, "x" * 200, 5000)}

@action(description="in a thread")
def threaded() -> dict:
    return {"sum": sum(range(1000))}
"""
CALLS = (
    ["say", {"message": "hello to all"}], ["roomView"], ["detailsView"], ["action", {"action": "threaded"}],
    ["action", {"action": "randomNumber"}], ["action", {"action": "sleepTest", "sleepDuration": 50}],
    ["action", {"action": "no such"}], ["listenToRoom", {"room": "side"}], ["silenceRoom", {"room": "side"}],
)  # fmt: skip


class Held(NamedTuple):
    """What the process holds."""

    memory: int
    files: int
    threads: int
    objects: int
    tasks: int


class Soak:
    def __init__(self, daemon: Daemon, seconds: float) -> None:
        self.daemon = daemon
        self.end = time.monotonic() + seconds
        self.done: Counter[str] = Counter()
        self.slowest = 0.0
        self.samples: list[Held] = []
        self.keys = itertools.count()

    def goes_on(self) -> bool:
        return time.monotonic() < self.end

    async def websocket(self) -> None:
        url = f"ws://127.0.0.1:{self.daemon.port}/socket.io/?EIO=4&transport=websocket"
        while self.goes_on():
            async with connect(url, proxy=None, compression=None) as client:
                await client.recv()
                await client.send("40")
                for number in range(random.randint(3, 40)):
                    call: list[Any] = random.choice(CALLS)
                    if random.random() < 0.3:
                        call = ["action", {"action": "keep", "key": f"key{next(self.keys)}"}]
                    elif random.random() < 0.1:
                        call = ["roomChange", {"room": f"room{random.randrange(5)}"}]
                    await client.send(f"42{number}" + json.dumps(call))
                    await self._in_time(self._acknowledged(client, number))
                    self.done["websocket"] += 1
                    if not self.goes_on():
                        return
                    await self._rest(client, random.uniform(0.2, 2))
                if random.random() < 0.5:
                    client.transport.abort()  # gone without a word

    async def _acknowledged(self, client: Any, number: int) -> None:
        while not (packet := await client.recv()).startswith(f"43{number}["):
            await self._pong(client, packet)

    async def _rest(self, client: Any, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._pong(client, await client.recv())
        except TimeoutError:
            pass

    async def _pong(self, client: Any, packet: str) -> None:
        if packet == "2":
            await client.send("3")
        elif packet.startswith('42["say"'):
            self.done["says heard"] += 1

    async def _in_time(self, work: Any) -> None:
        begun = time.monotonic()
        await asyncio.wait_for(work, IN_TIME)
        self.slowest = max(self.slowest, time.monotonic() - begun)

    async def lines(self) -> None:
        while self.goes_on():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.tcp_port)
            for _ in range(random.randint(3, 40)):
                writer.write(random.choice((b"roomView", b"say hi", b"randomNumber", b"paramAdd a=b", b"{}")) + b"\r\n")
                await self._in_time(reader.readuntil(b'"messageCount"'))
                self.done["lines"] += 1
                if not self.goes_on():
                    break
                await asyncio.sleep(random.uniform(0.2, 2))
            if random.random() < 0.5:
                writer.write(b"quit\r\n")
                await reader.read()
            writer.close()
            await writer.wait_closed()

    async def polling(self) -> None:
        while self.goes_on():
            await self._in_time(clients.polling(self.daemon.port))
            self.done["polling sessions"] += 1
            await asyncio.sleep(random.uniform(0.5, 2))

    async def browsing(self) -> None:
        while self.goes_on():
            path = random.choice(("/", "/api/status", "/api/randomNumber", "/nothing", "/socket.io/socket.io.js"))
            reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            await self._in_time(reader.read())
            writer.close()
            await writer.wait_closed()
            self.done["requests"] += 1
            await asyncio.sleep(random.uniform(0.2, 1))

    async def reloads(self) -> None:
        while self.goes_on():
            await asyncio.sleep(RELOAD)
            self.done["reloads"] += 1
            number = self.done["reloads"]
            self.daemon.write_config({**self.daemon.config, "general": {"welcomeMessage": f"welcome {number}"}})
            self.daemon.signal(signal.SIGHUP)
            await asyncio.to_thread(self.daemon.wait_for_event, "reloaded", IN_TIME, number)

    async def looks(self) -> None:
        while self.goes_on():
            await asyncio.sleep(SAMPLE)
            answer = await asyncio.to_thread(request, self.daemon.url + "/api/held")
            threads = len(os.listdir(f"/proc/{self.daemon.pid}/task"))
            told = answer.json()
            held = Held(self.daemon.rss(), self.daemon.open_files(), threads, told["objects"], told["tasks"])
            self.samples.append(held)
            if len(self.samples) % 12 == 0:
                print(f"{len(self.samples) * SAMPLE:.0f} s: {held}", flush=True)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for kind, count in (
                (self.websocket, WEBSOCKETS), (self.lines, LINES), (self.polling, POLLING), (self.browsing, BROWSING),
                (self.reloads, 1), (self.looks, 1),
            ):  # fmt: skip
                for _ in range(count):
                    group.create_task(kind())


@pytest.mark.timeout(0)
def test_it_holds_no_more_at_the_end(start_daemon: StartDaemon, tmp_path: Path) -> None:
    seconds = float(os.environ.get("SECONDS", "1800"))
    (tmp_path / "acts.py").write_text(ACTS)
    daemon = start_daemon(
        {
            "tcpServer": {"enable": True}, "monitor": {"enable": True}, "log": {"logRequests": False},
            "actions": {"modules": [str(tmp_path / "acts.py")]},
            "webSockets": {"options": {"ping_interval": 5, "ping_timeout": 5}},
        }
    )  # fmt: skip
    spent = daemon.processor_time()
    soak = Soak(daemon, seconds)
    asyncio.run(soak.run())
    spent = daemon.processor_time() - spent
    # What is made once has been made after a third; the last third is held against the second.
    third = len(soak.samples) // 3
    before, after = (Held(*map(median, zip(*part, strict=True)))
                     for part in (soak.samples[third : 2 * third], soak.samples[2 * third :]))  # fmt: skip
    print(f"{seconds:.0f} s, {dict(soak.done)}, slowest reply {soak.slowest * 1000:.0f} ms, "
          f"{spent / seconds:.1%} of a processor\nsecond third {before}\nlast third   {after}")  # fmt: skip
    assert third >= 2, "too short to tell"
    assert after.memory - before.memory < 2_000_000
    assert after.files <= before.files + 10
    assert after.threads <= before.threads + 2
    assert after.tasks <= before.tasks + 10
    assert after.objects < before.objects * 1.05
    for event in ("verbFailed", "handlerFailed", "packetFailed", "loopBlocked", "reloadRefused", "logLinesLost"):
        assert not daemon.events(event), event
