"""Over TCP, as lines: the echo action beside the same over the WebSocket of the same ahd."""

from __future__ import annotations

from functools import partial

from tests.bench.load import sioload
from tests.bench.row import Result, Row
from tests.bench.servers import running, tcp_port
from tests.bench.sockets import REPLY

LINE = '{"action":"echo","params":{"payload":"%P"}}'


def measure(in_flight: int, peer: str, seconds: float, rate: float) -> Result:
    arguments = ("echo", "-n", "64", "-k", str(in_flight), "--size", "64", "--reply", REPLY)
    with running("ahd", tcp=True) as (port, pid):
        if peer == "WebSocket":
            return sioload(arguments, port, pid, seconds)
        lines = ("--proto", "lines", "--send", LINE, "--ready", '*"welcome"')
        return sioload((*arguments, *lines), tcp_port(port), pid, seconds)


def row(name: str, title: str, in_flight: int) -> Row:
    return Row(name, title, partial(measure, in_flight), 1, peers=("TCP", "WebSocket"), base="WebSocket", mine="TCP")


ROWS = (
    row("tcp-k1", "echo action over TCP, 64 connections, 1 in flight", 1),
    row("tcp-k8", "the same, 8 in flight", 8),
)
