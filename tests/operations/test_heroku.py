"""What Procfile says, run as Heroku runs it: PORT, REDIS_URL, SIGTERM, and 30 seconds for everything."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ahd.config import load
from tests.harness.daemon import ROOT
from tests.harness.process import Process
from tests.harness.raw import Polling, request
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually, free_port, measured

ROUTER = 30
"""Seconds after which Heroku's router gives up on a request, and the platform on a process that is to end."""


@contextmanager
def dyno(port: int, **more: str) -> Iterator[Process]:
    name, _, command = (ROOT / "Procfile").read_text().strip().partition(": ")
    assert name == "web"
    program, *arguments = shlex.split(command)
    assert program == "ahd"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AHD_", "REDIS_"))}
    environment: Mapping[str, str] = {**kept, "PYTHONPATH": str(ROOT), "PORT": str(port), **more}
    process = Process([sys.executable, "-m", "ahd", *arguments], name="dyno", env=environment, cwd=ROOT)
    try:
        eventually(lambda: accepts(port), 20)
        yield process
    finally:
        process.kill()


def test_everything_ends_within_the_router_s_time() -> None:
    config = load(ROOT / "etc" / "heroku.yaml", {"PORT": "5000"})
    plan = config.socket_io
    assert plan.polling_duration is not None
    assert max(plan.polling_duration, config.general.action_timeout, config.shutdown.timeout) < ROUTER
    assert plan.transports == ("polling",)


def test_it_serves_polls_and_actions_and_ends() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with dyno(port, AHD_WEBSOCKETS_OPTIONS_POLLING_DURATION="1") as process:
        assert request(url + "/api/randomNumber").status == 200
        assert request(url + "/socket.io/?EIO=4&transport=websocket").status == 400
        client = Polling(url)
        client.connect()
        client.until('42["welcome"')
        with measured() as seconds:
            client.poll()
        assert seconds() < 5
        # A poll and an action that are under way are answered before the process ends.
        with ThreadPoolExecutor() as pool:
            action = pool.submit(request, url + "/api/sleepTest?sleepDuration=1500")
            poll = pool.submit(client.poll)
            time.sleep(0.3)  # both are asked before the signal
            process.signal(signal.SIGTERM)
            with measured() as seconds:
                assert process.wait(ROUTER) == 0
            print(f"ended {seconds():.1f} s after SIGTERM")
            assert action.result().status == 200
            assert any('"bye":"bye"' in packet for packet in poll.result())


def test_two_dynos_are_one_system(redis_server: RedisServer) -> None:
    ports = free_port(), free_port()
    more = {"REDIS_URL": redis_server.url, "AHD_REDIS_ENABLE": "true"}
    with dyno(ports[0], **more), dyno(ports[1], **more):
        first, second = (Polling(f"http://127.0.0.1:{port}") for port in ports)
        for client in (first, second):
            client.connect()
            client.until('42["welcome"')
        first.post('42["say",{"message":"hello"}]')
        assert "hello" in second.until('42["say",{"message":"hello"')


@pytest.mark.parametrize("environment", [{}, {"PORT": "none"}])
def test_without_its_port_it_says_so(environment: dict[str, str]) -> None:
    kept = {key: value for key, value in os.environ.items() if key != "PORT"}
    command = [sys.executable, "-m", "ahd", "--config", "etc/heroku.yaml"]
    process = Process(command, env={**kept, **environment, "PYTHONPATH": str(ROOT)}, cwd=ROOT)
    assert process.wait(20) == 78
    assert "etc/heroku.yaml:11:9: httpServer.port: " in process.log()
