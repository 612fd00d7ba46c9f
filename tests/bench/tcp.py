"""Echo over TCP beside echo over the WebSocket, of the same ahd. `python -m tests.bench.tcp [SECONDS]`

The server has core 0, the generators core 1 (the WebSocket's is sioload). Rounds alternate; a figure is the median. A
rate is for each second of the server's CPU, so that neither the generator nor other work on the machine decides it.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.http_actions import cpu_seconds
from tests.bench.servers import ECHO, HERE
from tests.harness.daemon import Daemon

CONNECTIONS = 64
DEPTHS = (1, 8)
ROUNDS = 3
LINE = b'{"action":"echo","params":{"payload":"%s"}}\r\n' % (b"x" * 64)
PINNED = bool(shutil.which("taskset")) and (os.cpu_count() or 1) > 1


def tcp(port: int, pid: int, depth: int, seconds: float) -> float:
    """Replies for a second of the server's CPU; every connection keeps `depth` requests in flight."""
    selector = selectors.DefaultSelector()
    clients = []
    for _ in range(CONNECTIONS):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients.append(client)
        selector.register(client, selectors.EVENT_READ)
    # Says of those who come are no replies: none comes any more when the measuring begins.
    time.sleep(0.5)
    for client in clients:
        client.setblocking(False)
        try:
            while client.recv(1 << 20):
                pass
        except BlockingIOError:
            client.sendall(LINE * depth)
    before, replies, end = cpu_seconds(pid), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(1):
            assert isinstance(key.fileobj, socket.socket)
            found = key.fileobj.recv(1 << 16).count(b"\n")
            replies += found
            key.fileobj.send(LINE * found)
    used = cpu_seconds(pid) - before
    selector.close()
    for client in clients:
        client.close()
    return replies / used


def websocket(load: Path, port: int, pid: int, depth: int, seconds: float) -> float:
    """The same over the WebSocket."""
    command = [str(load), "echo", "--port", str(port), "--pid", str(pid), "-n", str(CONNECTIONS), "-k", str(depth)]
    command += ["-t", f"{seconds:g}", "--stretch", "1", "--size", "64"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds * 4 + 30).stdout
    result = json.loads(out.splitlines()[-1])
    assert not result["missing"], result
    return float(result["per_cpu_s"])


def main(seconds: float) -> int:
    """Measure and print; 1 when TCP is the slower one."""
    if PINNED:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        load = Path(folder) / "sioload"
        subprocess.run(["gcc", "-O2", "-o", str(load), str(HERE / "sioload.c"), "-lm"], check=True)
        modules = Path(folder) / "actions"
        modules.mkdir()
        (modules / "echo.py").write_text(ECHO)
        config = {
            "general": {"simultaneousActions": 100},
            "tcpServer": {"enable": True},
            "log": {"logRequests": False},
            "actions": {"modules": [str(modules)]},
        }
        daemon = Daemon(config, Path(folder) / "ahd")
        try:
            daemon.wait_until_listening()
            pid = daemon.popen.pid
            if PINNED:
                os.sched_setaffinity(pid, {0})
            slower = False
            for depth in DEPTHS:
                rates: dict[str, list[float]] = {"TCP": [], "WebSocket": []}
                for _ in range(ROUNDS):
                    rates["TCP"].append(tcp(daemon.tcp_port, pid, depth, seconds))
                    rates["WebSocket"].append(websocket(load, daemon.port, pid, depth, seconds))
                lines, frames = (statistics.median(values) for values in rates.values())
                slower |= lines < frames
                print(
                    f"echo, {CONNECTIONS} connections, {depth} in flight, per second of CPU: TCP {lines:,.0f}, "
                    f"WebSocket {frames:,.0f}, {lines / frames:.2f} times"
                )
        finally:
            daemon.stop()
    return int(slower)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
