"""Says over two nodes: ahd on Redis beside Node's socket.io with @socket.io/redis-adapter, in one run.

    python -m tests.bench.cluster [--rounds N] [--seconds S] [--listeners N]

Each system has two nodes with so many listeners each, on one core; Redis and the clients have the other. One speaker
on each node keeps 8 says in flight. Told are deliveries by the clock, and for each second of
the nodes' CPU, and Redis's CPU per say.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
import yaml

from tests.bench.servers import CACHE, HERE, LOAD_CPU, ROOT, SERVER_CPU, once
from tests.bench.servers import install as install_peers
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually, free_port

PACKAGES = ("socket.io@~4.8.1", "@socket.io/redis-adapter@^8.3.0", "redis@^4.7.0")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def published(port: int) -> int:
    """How often something was published in a Redis so far."""
    with redis.Redis(port=port) as client:
        calls = client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"]
        return int(calls)


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


def measured(name: str, listeners: int, seconds: float, directory: Path) -> dict[str, float]:
    """One run: deliveries a second, and for each second of the nodes' CPU; microseconds of Redis's CPU per say."""
    with started(name, directory) as (ports, pids, server):
        assert server.process is not None
        redis_pid = server.process.pid
        command = ["taskset", "-c", str(LOAD_CPU), str(CACHE / "sioload"), "fanout", "-n", str(listeners), "-k", "8"]
        command += ["-t", str(seconds), "-w", "2", "--stretch", "1"]
        loads = [
            subprocess.Popen([*command, "--port", str(port), "--pid", str(pid)], stdout=subprocess.PIPE)
            for port, pid in zip(ports, pids, strict=True)
        ]
        time.sleep(2 + seconds / 4)  # all are connected, and the load is on
        said, used, redis_used = published(server.port), sum(map(cpu, pids)), cpu(redis_pid)
        time.sleep(seconds / 2)
        redis_us = (cpu(redis_pid) - redis_used) / max(published(server.port) - said, 1) * 1e6
        busy = (sum(map(cpu, pids)) - used) / (seconds / 2)
        results = [json.loads(load.communicate(timeout=60)[0]) for load in loads]
        rate = sum(result["rate"] for result in results)
        return {"rate": rate, "per_cpu_s": rate / busy, "redis_us": redis_us}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--listeners", type=int, default=500, help="on each of the two nodes")
    given = parser.parse_args()
    install_peers()
    (CACHE / "cluster").mkdir(parents=True, exist_ok=True)
    (CACHE / "cluster" / "package.json").write_text('{"private": true}')
    install = ["npm", "install", "--prefix", "cluster", "--no-package-lock", "--no-audit", "--no-fund"]
    once("cluster-node", [*install, "--loglevel=error", *PACKAGES])
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(given.rounds):
            for name, results in found.items():
                results.append(measured(name, given.listeners, given.seconds, Path(directory)))
                print(name, {key: round(value, 1) for key, value in results[-1].items()}, file=sys.stderr, flush=True)
    median = {
        name: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for name, results in found.items()
    }
    mine, theirs = median["ahd"], median["node"]
    print(f"| say over two nodes, {given.listeners} listeners each | ahd | Node, redis-adapter | ratio | target |")
    print("| --- | --- | --- | --- | --- |")
    for key, title, target in (
        ("rate", "deliveries a second", "at least 4"),
        ("per_cpu_s", "deliveries for each second of the nodes' CPU", "at least 4"),
        ("redis_us", "Redis's CPU per say, µs", "at most 1"),
    ):
        print(f"| {title} | {mine[key]:,.0f} | {theirs[key]:,.0f} | {mine[key] / theirs[key]:.2f} | {target} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
