"""A log that cannot be written costs lines and nothing else."""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ahd.log import lines_lost, set_up
from tests.harness.daemon import ROOT
from tests.harness.raw import WebSocket, request
from tests.harness.waiting import accepts, eventually, free_port, measured

LINES = 400


class Served:
    """A daemon whose stderr is the test's own matter."""

    def __init__(self, folder: Path, stderr: int) -> None:
        self.port, self.monitor = free_port(), free_port()
        config = {"httpServer": {"port": self.port}, "monitor": {"enable": True, "port": self.monitor}}
        (folder / "ahd.yaml").write_text(json.dumps(config))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AHD_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ahd", "--config", str(folder / "ahd.yaml")],
            env={**environment, "PYTHONPATH": str(ROOT)}, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        eventually(lambda: accepts(self.port), 20)

    def use(self) -> float:
        """Have it write hundreds of lines; seconds that the slowest request took."""
        slowest = 0.0
        with WebSocket(f"http://127.0.0.1:{self.port}") as client:
            client.connect()
            for _ in range(LINES):
                with measured() as seconds:
                    client.send('42["roomView"]')
                    client.until('42["response"', 5)
                slowest = max(slowest, seconds())
        return slowest

    def lost(self) -> int:
        text = request(f"http://127.0.0.1:{self.monitor}/metrics").text
        (line,) = (line for line in text.splitlines() if line.startswith("ahd_log_lines_lost_total "))
        return int(float(line.split()[1]))


Serve = Callable[[int], Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Served] = []

    def start(stderr: int) -> Served:
        started.append(Served(tmp_path, stderr))
        return started[-1]

    yield start
    for one in started:
        one.process.terminate()
        try:
            assert one.process.wait(15) == 0
        finally:
            one.process.kill()
            one.process.wait()


def test_a_full_disk(serve: Serve) -> None:
    with open("/dev/full", "wb") as full:
        served = serve(full.fileno())
    slowest, lost = served.use(), served.lost()
    print(f"full disk: {lost} lines lost, slowest request {slowest * 1000:.1f} ms")
    assert lost >= LINES
    assert slowest < 1


def test_a_disk_that_was_full_for_a_while(serve: Serve, tmp_path: Path) -> None:
    """Its lines go on, each on a line of its own, and the first says how many are missing."""
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as file:
        served = serve(file.fileno())
        resource_limit(served.process.pid, log.stat().st_size + 1000)
        served.use()
        lost = served.lost()
        resource_limit(served.process.pid, -1)
        served.use()
    lines = [line for line in log.read_text().splitlines() if line]
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert len(whole) >= len(lines) - 1  # the one that the disk had room for in part
    notices = [line for line in whole if line.get("event") == "logLinesLost"]
    print(f"{notices[0]['message']}; {len(whole)} lines written")
    assert [notice["lines"] for notice in notices] == [lost]
    assert lost >= LINES - 20


def resource_limit(pid: int, size: int) -> None:
    """Let a process make files no larger than this (EFBIG instead of a full disk's ENOSPC); -1 for no bound."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_closed_pipe(serve: Serve) -> None:
    reading, writing = os.pipe()
    served = serve(writing)
    os.close(writing)
    os.close(reading)
    slowest, lost = served.use(), served.lost()
    print(f"closed pipe: {lost} lines lost, slowest request {slowest * 1000:.1f} ms")
    assert lost >= LINES
    assert slowest < 1


def test_a_pipe_that_nobody_reads(serve: Serve) -> None:
    reading, writing = os.pipe()
    served = serve(writing)
    os.close(writing)
    slowest, lost = served.use(), served.lost()
    print(f"unread pipe: {lost} lines lost, slowest request {slowest * 1000:.1f} ms")
    assert lost > 50
    assert slowest < 1
    read = bytearray()

    def take() -> None:
        while data := os.read(reading, 65536):
            read.extend(data)

    reader = threading.Thread(target=take)
    reader.start()
    served.use()
    served.process.terminate()
    assert served.process.wait(15) == 0
    reader.join(5)
    os.close(reading)
    lines = [json.loads(line) for line in read.decode().splitlines()]
    assert sum(line.get("lines", 0) for line in lines if line.get("event") == "logLinesLost") >= lost
    assert lines[-1]["event"] == "ended"


def test_a_line_longer_than_a_pipe_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    reading, writing = os.pipe()
    read = bytearray()

    def take() -> None:
        while data := os.read(reading, 1000):
            read.extend(data)

    reader = threading.Thread(target=take)
    reader.start()
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        set_up("info", "json", None)
        try:
            logging.getLogger("x").info("é" * 200_000 + "\udcff")
            assert lines_lost() == 0
        finally:
            root.handlers[:] = before
            root.setLevel(level)
    reader.join(5)
    os.close(reading)
    assert json.loads(read)["message"] == "é" * 200_000 + "\udcff"
