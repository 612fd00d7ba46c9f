"""HTTP actions and a file of 4 KiB: ahd beside FastAPI on uvicorn, in one run. `python -m tests.bench.http_actions`

Each server has core 0 for itself while it is measured, the generator (wrk) core 1. Both answer an echo with two
validated inputs and a file; both use uvloop, FastAPI's uvicorn httptools. Rounds alternate; a figure is the median.
A rate is for each second of the server's CPU, which holds when other work disturbs the machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"action": "/api/echo?text=hello&number=42", "file 4 KiB": "/public/file.bin"}
GOALS = {"action": 1.5, "file 4 KiB": 1.0}
"""ahd's figure over FastAPI's."""

ACTION = """from ahd import action
@action
async def echo(text: str, number: int) -> dict:
    return {"text": text, "number": number}
"""
FASTAPI = """from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
app = FastAPI()
@app.get("/api/echo")
async def echo(text: str, number: int):
    return {"text": text, "number": number}
app.mount("/public", StaticFiles(directory="files"))
"""


@contextmanager
def server(command: list[str], folder: Path, port: int) -> Iterator[int]:
    """The process id of a server on core 0, until the block is left."""
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(pinned, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{ROWS['action']}", timeout=1).read()
                break
            except OSError:
                assert process.poll() is None, f"{command} has ended"
                assert time.monotonic() < deadline, f"{command} does not answer"
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests_per_second(url: str, seconds: int, pid: int) -> float:
    """What wrk gets with 32 connections for a second of the server's CPU; every answer must be a good one."""
    before = cpu_seconds(pid)
    command = ["wrk", "-t1", "-c32", f"-d{seconds}", url]
    pinned = ["taskset", "-c", "1", *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command
    out = subprocess.run(pinned, capture_output=True, text=True, check=True, timeout=seconds + 20).stdout
    assert "Non-2xx" not in out, out
    assert "Socket errors" not in out, out
    found = re.search(r"(\d+) requests in", out)
    assert found, out
    return int(found[1]) / (cpu_seconds(pid) - before)


def measure(rounds: int = 3, seconds: int = 3) -> dict[str, dict[str, float]]:
    """Row -> server -> requests a second."""
    found: dict[str, dict[str, list[float]]] = {row: {"ahd": [], "FastAPI": []} for row in ROWS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "actions").mkdir()
        (folder / "actions" / "echo.py").write_text(ACTION)
        (folder / "peer.py").write_text(FASTAPI)
        (folder / "files").mkdir()
        (folder / "files" / "file.bin").write_bytes(os.urandom(4096))
        config = {
            "httpServer": {"port": 18191},
            "commonWeb": {"flatFileDirectory": str(folder / "files")},
            "actions": {"modules": [str(folder / "actions")]},
            "log": {"logRequests": False},
        }
        (folder / "ahd.yaml").write_text(json.dumps(config))
        uvicorn = [sys.executable, "-m", "uvicorn", "peer:app", "--port", "18192", "--loop", "uvloop"]
        commands = {
            "ahd": ([sys.executable, "-m", "ahd", "--config", "ahd.yaml"], 18191),
            "FastAPI": ([*uvicorn, "--http", "httptools", "--no-access-log", "--log-level", "warning"], 18192),
        }
        for _ in range(rounds):
            for who, (command, port) in commands.items():
                with server(command, folder, port) as pid:
                    for row, path in ROWS.items():
                        found[row][who].append(requests_per_second(f"http://127.0.0.1:{port}{path}", seconds, pid))
    return {row: {who: statistics.median(rates) for who, rates in by.items()} for row, by in found.items()}


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    missed = 0
    print("| row | ahd, requests per CPU second | FastAPI | ahd / FastAPI | goal |\n| --- | --- | --- | --- | --- |")
    for row, rates in measure().items():
        ratio = rates["ahd"] / rates["FastAPI"]
        missed += ratio < GOALS[row]
        print(f"| {row} | {rates['ahd']:,.0f} | {rates['FastAPI']:,.0f} | {ratio:.1f} | {GOALS[row]} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
