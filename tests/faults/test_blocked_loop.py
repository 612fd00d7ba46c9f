"""A loop that stands still: it is told where, the node is not ready, and the watchdog is fed no more."""

from __future__ import annotations

import itertools
import json
import socket
import time
from pathlib import Path

from tests.conftest import StartDaemon
from tests.harness.raw import WebSocket, request

BLOCK = 2.5


def test_it_is_told(start_acting: StartDaemon, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0.05)
        env = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "400000"}
        daemon = start_acting({"monitor": {"enable": True}}, env=env)
        with WebSocket(daemon.url) as client:
            client.connect()
            client.until('42["welcome"')
            client.send(f'42["action",{{"action":"blocks","seconds":{BLOCK}}}]')
            fed, begun = [], time.monotonic()
            while time.monotonic() < begun + BLOCK + 0.5:
                try:
                    if b"WATCHDOG=1" in systemd.recv(4096):
                        fed.append(time.monotonic())
                except TimeoutError:
                    pass
            told = daemon.wait_for_event("loopBlocked")
            answer = request(daemon.monitor_url + "/readyz")
            client.until('42["response"')
    silence = max(after - before for before, after in itertools.pairwise(fed))
    assert answer.status == 503
    assert [reason["reason"] for reason in json.loads(answer.body)["reasons"]] == ["loopBlocked"]
    freed = daemon.wait_for_event("loopFreed")
    print(f"{told['message']}; told after {told['seconds']} s; the watchdog was not fed for {silence:.1f} s of {BLOCK}")
    assert told["where"][0].endswith(" blocks")
    assert "acts.py:" in told["message"]
    assert told["seconds"] < 2
    assert abs(freed["seconds"] - BLOCK) < 0.6
    assert silence > BLOCK - 0.5
    assert len(daemon.events("loopBlocked")) == 1
