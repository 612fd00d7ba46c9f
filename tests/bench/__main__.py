"""`make bench`: ahd and its peers one after the other, several rounds interleaved, and the table of their ratios.

    python -m tests.bench [--quick] [--rounds N] [--seconds S] [--only ROW,…] [--list] [--write FILE]

The rows stand in the modules of MODULES, each a `Row` of its ROWS. Only ratios within one run mean something. A rate is
measured twice: by the clock, and for each second of the server's CPU, which holds when other work disturbs the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.bench import cluster, http_actions, sockets, tcp
from tests.bench.row import HEAD, Result, Row, line_of, median
from tests.bench.servers import CACHE

MODULES = (sockets, http_actions, tcp, cluster)
ROWS: dict[str, Row] = {row.name: row for module in MODULES for row in module.ROWS}
FAILURES = (AssertionError, OSError, RuntimeError, subprocess.SubprocessError)


def versions() -> str:
    """What was measured, and on what."""
    show = "import importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in %r))"
    names = ("python-socketio", "tornado", "uvicorn", "uvloop", "fastapi")
    peers = [str(CACHE / "python" / "bin" / "python"), "-c", show % (names,)]
    node_version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    packages = ((CACHE, "socket.io"), (CACHE / "actionhero", "actionhero"))
    files = [(name, folder / "node_modules" / name / "package.json") for folder, name in packages]
    of_node = ", ".join(f"{name} {json.loads(file.read_text())['version']}" for name, file in files if file.exists())
    python_peers = subprocess.run(peers, capture_output=True, text=True).stdout.strip()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}; CPython {platform.python_version()}; "
        f"Node {node_version}, {of_node}; peers in Python: {python_peers}. The server has one core, the "
        "generator the other."
    )


class Table:
    """The runs of the chosen rows."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.found: dict[str, dict[str, list[Result]]] = {row.name: {} for row in rows}
        self.paced: dict[str, list[Result]] = {row.name: [] for row in rows}
        self.failed: dict[str, dict[str, str]] = {row.name: {} for row in rows}

    def round(self, number: int, seconds: float) -> None:
        """Measure every row once on each of its peers."""
        for row in self.rows:
            if row.shares:
                continue
            for peer in row.peers:
                result = self._run(row, peer, seconds, 0)
                if result is not None:
                    self.found[row.name].setdefault(peer, []).append(result)
                    print(f"round {number} {row.name} {peer}: {result[row.key]:,.1f}", file=sys.stderr, flush=True)
            theirs = self.found[row.name].get(row.base)
            if row.pace and theirs:
                result = self._run(row, row.mine, seconds, median(theirs, row.pace))
                if result is not None:
                    self.paced[row.name].append(result)

    def _run(self, row: Row, peer: str, seconds: float, rate: float) -> Result | None:
        try:
            result = row.measure(peer, seconds, rate)
        except FAILURES as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"{peer} {row.name} failed: {error}", file=sys.stderr)
            self.failed[row.name][peer] = why.replace("|", "/")
            return None
        if result.get("errors") or result.get("missing"):
            print(f"{peer} {row.name}: {result['errors']} errors, {result['missing']} missing", file=sys.stderr)
        return result

    def text(self) -> str:
        """The table, in Markdown."""
        lines = [HEAD]
        for row in self.rows:
            runs = row.shares or row.name
            lines.append(line_of(row, self.found[runs], self.paced[runs], self.failed[runs]))
        return "\n".join(lines)


def chosen(names: str) -> list[Row]:
    """The rows of these names; a row that shares another's runs brings that one."""
    if not names:
        return list(ROWS.values())
    wanted = set(names.split(","))
    unknown = sorted(wanted - ROWS.keys())
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    wanted |= {ROWS[name].shares for name in wanted}
    return [row for row in ROWS.values() if row.name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure ahd against its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="", help="names of rows, with commas")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and what they are")
    parser.add_argument("--write", type=Path, help="put the table into this file, between its two marks")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{row.name:12} {row.title}, beside {row.base}" for row in ROWS.values()))
        return 0
    rounds, seconds = (1, 2.0) if given.quick else (given.rounds, given.seconds)
    rows = chosen(given.only)
    for install in dict.fromkeys(row.install for row in rows):
        install()
    table = Table(rows)
    for number in range(rounds):
        table.round(number + 1, seconds)
    text = f"{versions()} {rounds} interleaved rounds of {seconds:g} s, medians.\n\n{table.text()}\n"
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
