"""Proofs of monitor."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.harness.raw import request
from tests.harness.waiting import accepts, free_port
from tests.keys.proving import Node, Proof

CHOSEN = free_port()


def ports(node: Node) -> list[str]:
    """The servers that listen, by what they have logged."""
    return sorted(line["server"] for line in node.daemon.events("listening"))


def host(node: Node) -> str | None:
    """Where it answers."""
    url = node.daemon.monitor_url
    assert request(url + "/livez").status == 200
    return urlsplit(url).hostname


def chosen(node: Node) -> tuple[bool, bool]:
    """Whether the chosen port accepts and is the one that was logged."""
    return accepts(CHOSEN), urlsplit(node.daemon.monitor_url).port == CHOSEN


ON = {"monitor": {"enable": True, "port": 0}}
PROOFS = [
    Proof(("monitor", "enable"), True, ports, ["web"], ["monitor", "web"], base={"monitor": {"port": 0}}),
    Proof(("monitor", "bindIP"), "127.0.0.2", host, "127.0.0.1", "127.0.0.2", base=ON),
    Proof(("monitor", "port"), CHOSEN, chosen, (False, False), (True, True), base=ON),
]
