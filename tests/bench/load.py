"""The generator, sioload, on a core of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from tests.bench.row import Result
from tests.bench.servers import CACHE, LOAD_CPU, ROOT


def sioload(
    arguments: Sequence[str], port: int, pid: int, seconds: float, *, tls: bool = False, rate: float = 0
) -> Result:
    """One run of so many seconds. With a rate (requests a second) each is timed from the moment it was due."""
    command = [str(CACHE / ("sioload-tls" if tls else "sioload")), *arguments]
    command += ["--port", str(port), "--pid", str(pid), "-t", str(seconds), "-w", "1", "--hold", str(seconds), "--spin"]
    command += ["--tls"] if tls else []
    command += ["--rate", str(rate), "-k", "64"] if rate else []
    return generated(command)


def generated(command: Sequence[str]) -> Result:
    """What a generator prints as its one JSON line; RuntimeError with what it complained of when there is none."""
    command = ["taskset", "-c", str(LOAD_CPU), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    try:
        result: Result = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(done.stderr[:500].strip() or f"it ended with {done.returncode}") from None
    if result["errors"] or result["missing"]:
        print(done.stderr[:500], file=sys.stderr)
    if not result["rate"]:
        raise RuntimeError(f"no reply was right: {done.stderr[:500].strip()}")
    return result
