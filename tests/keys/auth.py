"""Proofs of auth."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from tests.auth.minting import ANN, SECRET, TOKENS, Key, KeyServer, hs, jwks
from tests.keys.proving import Node, Proof, Room

ED = Key("OKP", "ed")
OTHER = {"tokens": [{"token": "of-somebody-else-0123"}]}


def status(token: Callable[[], str] | None) -> Callable[[Node], int]:
    """The HTTP status that an action is answered with, asked with a token made now."""

    def observe(node: Node) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token()}"}
        return node.get("/api/status", headers=headers).status

    return observe


def closed_soon(node: Node) -> bool:
    """Whether a client of lines that says nothing is closed within 1.5 s."""
    with socket.create_connection(("127.0.0.1", node.daemon.tcp_port), timeout=1.5) as client:
        try:
            while client.recv(4096):
                pass
        except TimeoutError:
            return False
        return True


def key_file(room: Room) -> str:
    file = room.directory / "jwks.json"
    file.write_text(jwks(ED))
    return str(file)


def key_server(room: Room) -> KeyServer:
    return KeyServer(jwks(ED))


def key_address(room: Room) -> str:
    server: KeyServer = room.thing(key_server)
    return server.url


def asks_again(node: Node) -> bool:
    """Whether the keys are fetched again within two seconds."""
    server: KeyServer = node.room.thing(key_server)
    observe = status(ED.sign)
    assert observe(node) == 200
    before = server.asked
    end = time.monotonic() + 2
    while server.asked == before and time.monotonic() < end:
        assert observe(node) == 200
        time.sleep(0.1)
    return server.asked > before


def proof(key: str, value: Any, token: Callable[[], str] | None, usual: int, changed: int, **auth: Any) -> Proof:
    """One that is seen by the status of an action."""
    return Proof(("auth", *key.split(".")), value, status(token), usual, changed, base={"auth": auth})


JWT = {"secret": SECRET}
PROOFS = [
    proof("required", True, None, 200, 401, tokens=TOKENS),
    Proof(
        ("auth", "timeout"),
        0.3,
        closed_soon,
        False,
        True,
        base={"auth": {"required": True, "tokens": TOKENS}, "tcpServer": {"enable": True}},
    ),
    proof("tokens", TOKENS, lambda: ANN, 401, 200, **OTHER),
    proof("jwt.secret", SECRET, hs, 401, 200, jwt={"secret": SECRET[::-1]}),
    proof("jwt.algorithms", ["HS512"], hs, 200, 401, jwt=JWT),
    proof("jwt.jwksFile", key_file, ED.sign, 401, 200, **OTHER),
    proof("jwt.jwksUrl", key_address, ED.sign, 401, 200, **OTHER),
    Proof(("auth", "jwt", "jwksMaxAge"), 1, asks_again, False, True, base={"auth": {"jwt": {"jwksUrl": key_address}}}),
    proof("jwt.audience", ["chat"], lambda: hs(aud="chat"), 401, 200, jwt=JWT),
    proof("jwt.issuer", ["https://id.example.com"], hs, 200, 401, jwt=JWT),
    proof("jwt.leeway", 60, lambda: hs(exp=int(time.time()) - 5), 401, 200, jwt=JWT),
    proof("jwt.requireExpiry", False, lambda: hs(exp=None), 401, 200, jwt=JWT),
    proof("rules", [{"deny": ["call"], "actions": ["stat*"]}], None, 200, 403),
]
