"""`make bench`: ahd and its peers one after the other, several rounds interleaved, and the table of their ratios.

    python -m tests.bench [--quick] [--rounds N] [--seconds S] [--only ROW,…] [--write FILE]

Only ratios within one run mean something. A rate is measured twice: by the clock, and for each second of the server's
CPU, which holds when other work disturbs the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import servers
from tests.bench.servers import CACHE, LOAD_CPU, running
from tests.harness.certificates import self_signed

Result = dict[str, Any]


REPLY = '*"payload":"xx'
"""What counts as the reply to an echo: an error would be quicker."""


@dataclass(frozen=True)
class Row:
    """One scenario. `least`: the ratio to `base` that ahd is to reach (for `idle` the most)."""

    name: str
    title: str
    arguments: tuple[str, ...]
    least: float
    base: str = "node"
    peers: tuple[str, ...] = ("ahd", "node", "uvicorn")
    tls: bool = False
    paced: bool = True


def echo(connections: int, in_flight: int, size: int) -> tuple[str, ...]:
    return ("echo", "-n", str(connections), "-k", str(in_flight), "--size", str(size))


def fan(members: int, in_flight: int) -> tuple[str, ...]:
    return ("fanout", "-n", str(members), "-k", str(in_flight))


ROWS = (
    Row("echo64k1", "echo action, 64 connections, 1 in flight", echo(64, 1, 64), 1.8),
    Row("echo64k8", "the same, 8 in flight", echo(64, 8, 64), 2.3),
    Row("echo1Kk8", "the same, 1 KiB payload", echo(64, 8, 1024), 2),
    Row("fan100k8", "say to 100, 8 in flight", fan(100, 8), 8),
    Row("fan100k1", "say to 100, 1 in flight", fan(100, 1), 2),
    Row("fan1000k8", "say to 1000, 8 in flight", fan(1000, 8), 8),
    Row("connect", "handshakes", ("connect", "-c", "32"), 2, paced=False),
    Row("idle", "KiB per idle connection", ("idle", "-n", "5000"), 0.5, paced=False),
    Row("tls-echo", "echo over TLS, 8 in flight", echo(64, 8, 64), 1, peers=("ahd", "node"), tls=True, paced=False),
    Row("tls-fan", "say to 100 over TLS, 8 in flight", fan(100, 8), 1, peers=("ahd", "node"), tls=True, paced=False),
    Row("polling", "echo over polling, 32 clients", (), 3, base="tornado", peers=("ahd", "tornado"), paced=False),
)


def measure(row: Row, peer: str, seconds: float, tls: tuple[Path, Path] | None, rate: float = 0) -> Result | None:
    """One run against a fresh server; None when it failed."""
    with running(peer, tls if row.tls else None) as (port, pid):
        if row.name == "polling":
            command = [sys.executable, "-m", "tests.bench.polling", str(port), "32", str(seconds), str(pid)]
        else:
            generator = str(CACHE / ("sioload-tls" if row.tls else "sioload"))
            command = [generator, *row.arguments, "--port", str(port), "-t", str(seconds), "-w", "1", "--spin"]
            command += ["--hold", str(seconds), "--pid", str(pid)]
            command += ["--tls"] if row.tls else []
            command += ["--rate", str(rate), "-k", "64"] if rate else []
            command += ["--reply", REPLY] if row.arguments[0] == "echo" else []
        command = ["taskset", "-c", str(LOAD_CPU), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=servers.ROOT)
    try:
        result: Result = json.loads(done.stdout)
    except ValueError:
        print(f"{peer} {row.name} failed: {done.stderr[-500:]}", file=sys.stderr)
        return None
    if result["errors"] or result["missing"]:
        print(f"{peer} {row.name}: {result['errors']} errors, {result['missing']} missing", file=sys.stderr)
    return result


def median(results: list[Result], key: str) -> float:
    return statistics.median(result[key] for result in results if key in result)


def spread(results: list[Result], key: str) -> str:
    """Half the distance from least to most, in percent of the median."""
    values = [result[key] for result in results]
    return f"±{(max(values) - min(values)) / 2 / statistics.median(values) * 100:.0f} %"


def line_of(row: Row, found: dict[str, list[Result]], paced: list[Result]) -> str:
    """The row's line of the table."""
    key = "rate" if row.name == "idle" else "per_cpu_s"
    base, mine = found.get(row.base), found.get("ahd")
    if not base or not mine:
        return f"| {row.title} | failed | | | | | | |"
    ratio, wall = median(mine, key) / median(base, key), median(mine, "rate") / median(base, "rate")
    reached = ratio <= row.least if row.name == "idle" else ratio >= row.least
    others = ", ".join(
        f"{peer} {median(runs, key) / median(base, key):.2f}"
        for peer, runs in found.items()
        if peer not in ("ahd", row.base)
    )
    tail = ""
    if paced and "p99_us" in base[0]:
        tail = f"{median(paced, 'p99_us') / 1000:.1f} / {median(base, 'p99_us') / 1000:.1f}"
    notes = ["the generator was the limit"] if any(result["bound"] for result in mine) else []
    notes += ["noisy machine"] if all(result["noisy"] for result in mine) else []
    target = f"{'at most' if row.name == 'idle' else 'at least'} {row.least:g}"
    figure = f"{median(mine, key):,.0f}" if row.name != "idle" else f"{median(mine, key):.1f} KiB"
    return (
        f"| {row.title} | {ratio:.2f} ({spread(mine, key)}) | {wall:.2f} | {figure} | {target} | "
        f"{'yes' if reached else '**no**'} | {tail} | {'; '.join([others, *notes]).strip('; ')} |"
    )


HEAD = """\
| | ratio, for each CPU second (noise) | by the clock | ahd itself | target | reached | p99 ms at the peer's rate: \
ahd / peer | others, notes |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def versions() -> str:
    """What was measured, and on what."""
    show = "import importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in %r))"
    names = ("python-socketio", "tornado", "uvicorn", "uvloop")
    peers = [str(CACHE / "python" / "bin" / "python"), "-c", show % (names,)]
    node_version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    package = json.loads((CACHE / "node_modules" / "socket.io" / "package.json").read_text())["version"]
    python_peers = subprocess.run(peers, capture_output=True, text=True).stdout.strip()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}; CPython {platform.python_version()}; "
        f"Node {node_version}, socket.io {package}; peers in Python: {python_peers}. The server has one core, the "
        "generator the other."
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure ahd against its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="", help="names of rows, with commas")
    parser.add_argument("--write", type=Path, help="put the table into this file, between its two marks")
    given = parser.parse_args()
    rounds, seconds = (1, 2.0) if given.quick else (given.rounds, given.seconds)
    servers.install()
    tls = self_signed(CACHE)
    rows = [row for row in ROWS if not given.only or row.name in given.only.split(",")]
    rows = [row for row in rows if not row.tls or (CACHE / "sioload-tls").exists()]
    found: dict[str, dict[str, list[Result]]] = {row.name: {} for row in rows}
    paced: dict[str, list[Result]] = {row.name: [] for row in rows}
    for number in range(rounds):
        for row in rows:
            for peer in row.peers:
                result = measure(row, peer, seconds, tls)
                if result is not None:
                    found[row.name].setdefault(peer, []).append(result)
                    key = "rate" if row.name == "idle" else "per_cpu_s"
                    print(f"round {number + 1} {row.name} {peer}: {result[key]:,.1f}", file=sys.stderr, flush=True)
            theirs = found[row.name].get(row.base)
            if row.paced and theirs:
                rate = median(theirs, "says_per_s" if row.name.startswith("fan") else "rate")
                result = measure(row, "ahd", seconds, tls, rate)
                if result is not None:
                    paced[row.name].append(result)
    table = "\n".join([HEAD, *(line_of(row, found[row.name], paced[row.name]) for row in rows)])
    text = f"{versions()} {rounds} interleaved rounds of {seconds:g} s, medians.\n\n{table}\n"
    print(text)
    if given.write:
        write(given.write, text)
    return 0


def write(file: Path, text: str) -> None:
    """Replace what stands between the marks of the document."""
    begin, end = "<!-- table -->\n", "<!-- /table -->"
    before, _, rest = file.read_text().partition(begin)
    file.write_text(f"{before}{begin}{text}{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    sys.exit(main())
