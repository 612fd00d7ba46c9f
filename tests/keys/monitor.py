"""Proofs of monitor."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tests.harness.raw import WebSocket, request
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


def admin(node: Node, **auth: str) -> list[str]:
    """What the admin UI is told once it is connected, or why it is not."""
    with WebSocket(node.url) as client:
        client.send(f"40/admin,{json.dumps(auth)}")
        answer = client.until("4")
        if answer.startswith("44"):
            return [json.loads(answer.partition(",")[2])["message"]]
        features: list[str] = json.loads(client.until('42/admin,["config"').partition(",")[2])[1]["supportedFeatures"]
        return sorted(features)


def as_operator(node: Node) -> list[str]:
    """The operator comes in."""
    return admin(node, username="operator", password="a long password")


def as_other(node: Node) -> list[str]:
    """Somebody else comes in."""
    return admin(node, username="other", password="a long password")


def with_new_password(node: Node) -> list[str]:
    """The operator comes in with the new password."""
    return admin(node, username="operator", password="another password")


def admin_ui(**more: Any) -> dict[str, Any]:
    """The monitor with the admin UI."""
    settings = {"enable": True, "username": "operator", "password": "a long password"}
    return {"monitor": {"enable": True, "port": 0, "adminUI": {**settings, **more}}}


ALL = sorted(
    ["AGGREGATED_EVENTS", "ALL_EVENTS", "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]
)
WATCHING = ["AGGREGATED_EVENTS", "ALL_EVENTS"]
WRONG = ["invalid credentials"]
UI = ("monitor", "adminUI")
ON = {"monitor": {"enable": True, "port": 0}}
PROOFS = [
    Proof(("monitor", "enable"), True, ports, ["web"], ["monitor", "web"], base={"monitor": {"port": 0}}),
    Proof(("monitor", "bindIP"), "127.0.0.2", host, "127.0.0.1", "127.0.0.2", base=ON),
    Proof(("monitor", "port"), CHOSEN, chosen, (False, False), (True, True), base=ON),
    Proof((*UI, "enable"), True, as_operator, ["Invalid namespace"], ALL, base=admin_ui(enable=False)),
    Proof((*UI, "username"), "other", as_other, WRONG, ALL, base=admin_ui()),
    Proof((*UI, "password"), "another password", with_new_password, WRONG, ALL, base=admin_ui()),
    Proof((*UI, "mode"), "production", as_operator, ALL, ["AGGREGATED_EVENTS"], base=admin_ui()),
    Proof((*UI, "readOnly"), True, as_operator, ALL, WATCHING, base=admin_ui()),
]
