"""10,000 clients of each kind come and go: what stays of them is nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import uvloop

from tests.conftest import StartDaemon
from tests.faults import clients
from tests.harness.certificates import self_signed
from tests.harness.daemon import Daemon
from tests.harness.raw import request
from tests.harness.waiting import eventually

COUNT = {"websocket": 10_000, "polling": 10_000, "lines": 10_000, "secure": 2_000}
"""Clients after the first look at the memory; half as many come before it, as what is made once is made then."""
GROWTH = 8_000_000
"""Bytes of the process, which keeps some of what it once had; a leak is told by the objects."""

COUNTED = """
import gc
from ahd import action

@action(description="how many objects there are")
async def objects() -> dict:
    gc.collect()
    return {"objects": len(gc.get_objects())}
"""


@pytest.mark.parametrize("kind", COUNT)
def test_memory_is_flat(start_daemon: StartDaemon, tmp_path: Path, kind: str) -> None:
    (tmp_path / "counted.py").write_text(COUNTED)
    quiet = {"log": {"logRequests": False}, "actions": {"modules": [str(tmp_path / "counted.py")]}}
    files = self_signed(tmp_path)
    tls = {"secure": True, "keyFile": str(files.key_file), "certFile": str(files.cert_file)}
    web = {"httpServer": tls} if kind == "secure" else {}
    daemon = start_daemon({"tcpServer": {"enable": True}, "monitor": {"enable": True}, **web, **quiet})
    count, client, port = COUNT[kind], getattr(clients, kind), daemon.tcp_port if kind == "lines" else daemon.port
    uvloop.run(clients.many(client, port, count // 2))
    objects, memory, descriptors = left(daemon)
    start, spent = time.monotonic(), daemon.processor_time()
    uvloop.run(clients.many(client, port, count))
    seconds, spent = time.monotonic() - start, daemon.processor_time() - spent
    after = left(daemon)
    print(
        f"{count} {kind}: {after[0] - objects:+d} objects, {(after[1] - memory) / 1024:+.0f} KiB, "
        f"{after[2] - descriptors:+d} files; {seconds:.1f} s, {spent / count * 1e6:.0f} µs of processor each"
    )
    assert after[0] - objects < count / 20
    assert after[1] - memory < GROWTH
    eventually(lambda: daemon.open_files() <= descriptors)  # that of the question itself may still be on its way out


def left(daemon: Daemon) -> tuple[int, int, int]:
    """Objects, bytes and open files when nobody is connected any more."""
    eventually(lambda: connected(daemon) == 0)
    objects = request(daemon.url + "/api/objects").json()["objects"]
    return objects, daemon.rss(), daemon.open_files()


def connected(daemon: Daemon) -> int:
    stats = request(daemon.url + "/api/status").json()["stats"]
    return sum(count for kind, count in stats["connections"].items() if kind != "web")
