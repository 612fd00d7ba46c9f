"""The wall clock is set, by hand or by NTP: what is told is the new time, what lasts goes on as if nothing were."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import ROOT, Daemon, merged
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually

DAY = 86_400
SET_CLOCK = """
import os, time

def wrapped(real, unit):
    def told():
        with open(os.environ["CLOCK_SET_BY"]) as file:
            return real() + int(file.read()) * unit
    return told

time.time, time.time_ns = wrapped(time.time, 1), wrapped(time.time_ns, 10**9)
"""
"""Imported by Python before anything else of the daemon."""

ACTS = """
from ahd import Context, action

@action(description="saves for some milliseconds")
async def keep(context: Context, key: str, ms: int) -> dict:
    await context.cache.save(key, 1, ms)
    return {}

@action(description="whether it is still there")
async def kept(context: Context, key: str) -> dict:
    return {"kept": await context.cache.load(key) is not None}
"""


class Set:
    """A daemon whose wall clock can be set."""

    def __init__(self, start_daemon: StartDaemon, folder: Path, config: dict[str, Any] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SET_CLOCK)
        (folder / "acts.py").write_text(ACTS)
        self.offset = folder / "offset"
        self.set(0)
        beating = {"webSockets": {"options": {"ping_interval": 0.4, "ping_timeout": 0.4}}}
        acts = {"actions": {"modules": [str(folder / "acts.py")]}}
        env = {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "CLOCK_SET_BY": str(self.offset)}
        self.daemon: Daemon = start_daemon(merged({**beating, **acts}, config or {}), env=env, name=folder.name)

    def set(self, offset: int) -> None:
        fresh = self.offset.with_suffix(".new")
        fresh.write_text(str(offset))
        fresh.replace(self.offset)

    def ask(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = request(f"{self.daemon.url}/api/{path}").json()
        return found


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_sessions_cache_and_figures(start_daemon: StartDaemon, tmp_path: Path, jump: int) -> None:
    clock = Set(start_daemon, tmp_path / "clock")
    with WebSocket(clock.daemon.url) as websocket, WebSocket(clock.daemon.url) as speaker:
        polling = Polling(clock.daemon.url)
        for client in (websocket, polling, speaker):
            client.connect()
            client.until('42["welcome"')
        clock.ask("keep?key=long&ms=60000")
        clock.ask("keep?key=short&ms=1500")
        before = clock.ask("status")["uptime"]
        clock.set(jump)
        assert clock.ask("kept?key=long")["kept"]
        assert clock.ask("kept?key=short")["kept"]
        end = time.monotonic() + 1.6  # two heartbeats, and the time of what is kept shortly
        while time.monotonic() < end:
            speaker.send('42["say",{"message":"tick"}]')
            sent = json.loads(websocket.until('42["say",{"message":"tick"')[2:])[1]["sentAt"]
            assert abs(sent / 1000 - time.time() - jump) < 5
            polling.until('42["say",{"message":"tick"')
            speaker.until('42["response"')
        assert clock.ask("kept?key=long")["kept"]
        assert not clock.ask("kept?key=short")["kept"]
        uptime = clock.ask("status")["uptime"]
        print(f"clock set by {jump:+d} s: uptime went on by {uptime - before} ms")
        assert 1500 < uptime - before < 20_000
        told = clock.ask("randomNumber")["serverInformation"]
        assert abs(told["currentTime"] / 1000 - time.time() - jump) < 5
        assert 0 <= told["requestDuration"] < 5000


def test_leases(start_daemon: StartDaemon, tmp_path: Path, redis_server: RedisServer) -> None:
    """Two nodes with clocks that are days apart are still two nodes, and nobody leaves."""
    shared = {"redis": {"enable": True, "port": redis_server.port}}
    one, other = (Set(start_daemon, tmp_path / name, shared) for name in ("one", "other"))
    with WebSocket(one.daemon.url) as watcher, WebSocket(other.daemon.url) as member:
        for client in (watcher, member):
            client.connect()
            client.until('42["welcome"')
        for jump in (DAY, -DAY):
            other.set(jump)
            for clock in (one, other):
                eventually(lambda clock=clock: len(clock.ask("status")["nodes"]) == 2)  # type: ignore[misc]
            end = time.monotonic() + 2.5  # more than two renewals
            while time.monotonic() < end:
                watcher.send('42["roomView"]')
                assert json.loads(watcher.until('42["response"')[2:])[1]["roomStatus"]["membersCount"] == 2
                member.send('42["detailsView"]')
                member.until('42["response"')
                time.sleep(0.2)
    assert not one.daemon.events("nodeDead") + other.daemon.events("nodeDead")
