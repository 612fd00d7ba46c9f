"""What counting costs a message: `python -m tests.monitor.cost`.

Added: nanoseconds that an in-process verb takes longer with the monitor's tallies, the least of many rounds. Whole:
the processor time of a daemon without a monitor for one such verb over a WebSocket.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from ahd.app import assemble
from ahd.config import loads
from ahd.core.connection import Connection
from ahd.monitor.requests import Requests
from tests.harness.daemon import Daemon
from tests.harness.raw import WebSocket

REQUESTS = ("detailsView", "action")
ROUNDS, CALLS = 40, 2000


def added(verb: str) -> float:
    """Nanoseconds a verb of this name takes longer."""
    app = assemble(loads("log: {logRequests: false}", {}))
    connection = Connection("x", "webSocket", "127.0.0.1", None, {})  # type: ignore[arg-type]
    app.verbs.meter = requests = Requests(app.actions.by_name, lambda: None)
    counted = requests.tally("webSocket")
    least = {None: float("inf"), counted: float("inf")}
    for _ in range(ROUNDS):
        for tally in least:
            connection.tally = tally
            started = time.perf_counter_ns()
            for _ in range(CALLS):
                app.verbs.receive(connection, verb, {"action": "randomNumber"}, _taken)
            least[tally] = min(least[tally], (time.perf_counter_ns() - started) / CALLS)
    return least[counted] - least[None]


def _taken(reply: dict[str, Any]) -> None:
    """Nobody is there."""


def whole(verb: str, batches: int, size: int) -> float:
    """Nanoseconds of a daemon's processor for one verb over a WebSocket, `size` of them sent at once."""
    packet = f"42{json.dumps([verb, {'action': 'randomNumber'}])}"
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon({"log": {"logRequests": False}}, Path(directory))
        daemon.wait_until_listening()
        with WebSocket(daemon.url) as client:
            client.connect()
            client.until('42["welcome"')
            spent = 0.0
            for batch in range(batches):
                if batch == batches // 4:
                    spent = daemon.processor_time()
                for _ in range(size):
                    client.send(packet)
                for _ in range(size):
                    client.until('42["response"')
            spent = daemon.processor_time() - spent
        daemon.signal(signal.SIGTERM)
        daemon.wait()
    return 1e9 * spent / ((batches - batches // 4) * size)


if __name__ == "__main__":
    for name in REQUESTS:
        more = added(name)
        for batches, size in ((1000, 1), (200, 25)):
            all_of_it = whole(name, batches, size)
            share = 100 * more / all_of_it
            print(f"{name}, {size} at once: {more:.0f} ns more than {all_of_it:.0f} ns, {share:.1f} %")
