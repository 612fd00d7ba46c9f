"""Over Socket.IO: actions, says, handshakes, memory, TLS and polling, beside Node's socket.io and python-socketio."""

from __future__ import annotations

import sys
from functools import partial

from tests.bench.load import generated, sioload
from tests.bench.row import Result, Row
from tests.bench.servers import MONITORED, running

REPLY = '*"payload":"xx'
"""What counts as the reply to an echo: an error would be quicker."""


def measure(arguments: tuple[str, ...], tls: bool, peer: str, seconds: float, rate: float) -> Result:
    with running(peer, tls=tls) as (port, pid):
        return sioload(arguments, port, pid, seconds, tls=tls, rate=rate)


def echo(connections: int, in_flight: int, size: int, *, tls: bool = False) -> partial[Result]:
    sizes = ("-n", str(connections), "-k", str(in_flight), "--size", str(size))
    return partial(measure, ("echo", *sizes, "--reply", REPLY), tls)


def fan(members: int, in_flight: int, *, tls: bool = False) -> partial[Result]:
    return partial(measure, ("fanout", "-n", str(members), "-k", str(in_flight)), tls)


def polling(peer: str, seconds: float, rate: float) -> Result:
    with running(peer) as (port, pid):
        return generated([sys.executable, "-m", "tests.bench.polling", str(port), "32", str(seconds), str(pid)])


CONNECT = partial(measure, ("connect", "-c", "32"), False)
IDLE = partial(measure, ("idle", "-n", "5000"), False)
PAIR = ("ahd", "node")

ROWS = (
    Row("echo64k1", "echo action, 64 connections, 1 in flight", echo(64, 1, 64), 1.8, pace="rate"),
    Row("echo64k8", "the same, 8 in flight", echo(64, 8, 64), 2.3, pace="rate"),
    Row("echo1Kk8", "the same, 1 KiB payload", echo(64, 8, 1024), 2, pace="rate"),
    Row("fan100k8", "say to 100, 8 in flight", fan(100, 8), 8, pace="says_per_s"),
    Row("fan100k1", "say to 100, 1 in flight", fan(100, 1), 2, pace="says_per_s"),
    Row("fan1000k8", "say to 1000, 8 in flight", fan(1000, 8), 8, pace="says_per_s"),
    Row("connect", "handshakes", CONNECT, 2),
    Row("idle", "KiB per idle connection", IDLE, 0.5, key="rate", unit="KiB", less=True),
    Row("tls-echo", "echo over TLS, 8 in flight", echo(64, 8, 64, tls=True), 1, peers=PAIR),
    Row("tls-fan", "say to 100 over TLS, 8 in flight", fan(100, 8, tls=True), 1, peers=PAIR),
    Row(
        "monitored",
        "echo with the monitor on, 8 in flight",
        echo(64, 8, 64),
        0.97,
        (MONITORED, "ahd"),
        "ahd",
        MONITORED,
    ),
    Row("polling", "echo over polling, 32 clients", polling, 3, peers=("ahd", "tornado"), base="tornado"),
)
