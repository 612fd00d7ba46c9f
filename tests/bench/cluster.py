"""Says over two nodes: ahd on Redis beside Node's socket.io with @socket.io/redis-adapter, in one run.

Each system has two nodes with so many listeners each, on one core; Redis and the clients have the other. One speaker
on each node keeps 8 says in flight. Told are deliveries by the clock, and for each second of the nodes' CPU, and
Redis's CPU per say.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from tests.bench.row import Result, Row
from tests.bench.servers import CACHE, HERE, LOAD_CPU, NPM, ROOT, SERVER_CPU, install, once
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually, free_port

LISTENERS = 500
PACKAGES = ("socket.io@~4.8.1", "@socket.io/redis-adapter@^8.3.0", "redis@^4.7.0")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def published(server: RedisServer) -> tuple[int, float]:
    """How often something was published in a Redis so far, and the seconds of CPU that it has used."""
    with server.client() as client:
        calls = client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"]
        used = client.info("cpu")
        return int(calls), used["used_cpu_user"] + used["used_cpu_sys"]


def ahd(port: int, server: RedisServer, directory: Path) -> tuple[list[str], dict[str, str]]:
    file = directory / f"{port}.yaml"
    config = {
        "httpServer": {"port": port},
        "redis": {"enable": True, "port": server.port},
        "chat": {"announce": False},
        "log": {"level": "error", "logRequests": False},
    }
    file.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "ahd", "--config", str(file)], {"PYTHONPATH": str(ROOT)}


def node(port: int, server: RedisServer, directory: Path) -> tuple[list[str], dict[str, str]]:
    program = shutil.which("node")
    assert program is not None, "node is not installed"
    environment = {"PORT": str(port), "REDIS_URL": server.url, "NODE_PATH": str(CACHE / "cluster" / "node_modules")}
    return [program, str(HERE / "peers" / "cluster.js")], environment | {"NODE_ENV": "production"}


SYSTEMS = {"ahd": ahd, "node": node}


@contextmanager
def started(name: str, directory: Path) -> Iterator[tuple[list[int], list[int], RedisServer]]:
    """Two nodes and a Redis: the nodes' ports and process ids, and the Redis."""
    with ExitStack() as stack:
        server = RedisServer(directory / f"redis-{time.monotonic_ns()}")
        server.start()
        stack.callback(server.stop)
        assert server.process is not None
        os.sched_setaffinity(server.process.pid, {LOAD_CPU})
        ports, pids = [free_port(), free_port()], []
        for port in ports:
            command, environment = SYSTEMS[name](port, server, directory)
            process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_CPU), *command], env={**os.environ, **environment},
                stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            pids.append(process.pid)
        for port in ports:
            eventually(lambda port=port: accepts(port), what=f"{name} listens")  # type: ignore[misc]
        yield ports, pids, server


def measure(peer: str, seconds: float, rate: float) -> Result:
    """One run: deliveries a second, and for each second of the nodes' CPU; microseconds of Redis's CPU per say."""
    with tempfile.TemporaryDirectory() as name, started(peer, Path(name)) as (ports, pids, server):
        command = ["taskset", "-c", str(LOAD_CPU), str(CACHE / "sioload"), "fanout", "-n", str(LISTENERS), "-k", "8"]
        command += ["-t", str(seconds), "-w", "2", "--stretch", "1"]
        loads = [
            subprocess.Popen([*command, "--port", str(port), "--pid", str(pid)], stdout=subprocess.PIPE)
            for port, pid in zip(ports, pids, strict=True)
        ]
        time.sleep(2 + seconds / 4)  # all are connected, and the load is on
        (said, redis_used), used, start = published(server), sum(map(cpu, pids)), time.monotonic()
        time.sleep(seconds / 2)
        (said_then, redis_then), then = published(server), time.monotonic()
        busy = (sum(map(cpu, pids)) - used) / (then - start)
        redis_us = (redis_then - redis_used) / max(said_then - said, 1) * 1e6
        results = [json.loads(load.communicate(timeout=60)[0]) for load in loads]
        delivered = sum(result["rate"] for result in results)
        # Each generator hears the says of both, and counts the other's as too many: whole rooms, or some are lost.
        wrong = {
            "errors": sum(result["errors"] for result in results),
            "missing": -sum(result["missing"] for result in results) % LISTENERS,
        }
        return {"rate": delivered, "per_cpu_s": delivered / busy, "redis_us": redis_us, **wrong}


def both() -> None:
    """The generator, and Node with its adapter."""
    install()
    (CACHE / "cluster").mkdir(parents=True, exist_ok=True)
    (CACHE / "cluster" / "package.json").write_text('{"private": true}')
    once("cluster-node", [*NPM, "--prefix", "cluster", *PACKAGES])


ROWS = (
    Row(
        "cluster", f"say over two nodes with Redis, {LISTENERS} listeners on each", measure, 4,
        peers=("ahd", "node"), install=both,
    ),
    Row(
        "cluster-redis", "the same, Redis's CPU per say", measure, 1,
        peers=("ahd", "node"), key="redis_us", unit="µs", less=True, shares="cluster",
    ),
)  # fmt: skip
