"""Proofs of redis: with a key changed, the node takes its lease elsewhere, or can take one at last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.harness.certificates import Certificate
from tests.harness.places import SHARDED, Cluster, Password, Place, Sentinels, Tls
from tests.harness.raw import WebSocket
from tests.harness.redis import RedisServer
from tests.harness.waiting import free_port
from tests.keys.proving import Node, Proof, Room

NOBODY = free_port()
"""A port that nothing listens on."""

STARTED: list[Place] = []


def place(kind: type[Place]) -> Callable[[Room], Place]:
    """A Redis of the proofs' own, started when it is first asked for."""
    made: list[Place] = []

    def start(room: Room) -> Place:
        if not made:
            one = kind(room.directory / f"redis{len(STARTED)}")
            made.append(one)
            STARTED.append(one)
            one.start()
        return made[0]

    return start


class Named(Place):
    """One that lets in a user by name, and not the default one."""

    def start(self) -> None:
        super().start()
        with self.master().client() as client:
            client.execute_command("ACL", "SETUSER", "chat", "on", ">word", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
        self.master().access |= {"username": "chat", "password": "word"}


class Elsewhere(Place):
    """One on the port of the plain one, at another address."""

    def start(self) -> None:
        self.servers = [RedisServer(self.directory / "redis", "--bind", "127.0.0.2", host="127.0.0.2")]
        self.servers[0].port = PLAIN(self.room).master().port
        self.servers[0].start()

    room: Room


PLAIN, OTHER, LOCKED, NAMED = place(Place), place(Place), place(Password), place(Named)
SENTINELS, CLUSTER, SECURE, STRANGE = place(Sentinels), place(Cluster), place(Tls), place(Tls)


def elsewhere(room: Room) -> Place:
    Elsewhere.room = room
    return _elsewhere(room)


_elsewhere = place(Elsewhere)


def port(where: Callable[[Room], Place]) -> Callable[[Room], int]:
    return lambda room: where(room).master().port


def url(where: Callable[[Room], Place]) -> Callable[[Room], str]:
    return lambda room: where(room).master().url


def leases(where: Callable[[Room], Place], name: str = "ahd:0:leases", db: int = 0) -> Callable[[Node], bool]:
    """Whether the node has its lease there; it has, or has said that Redis is away."""

    def observe(node: Node) -> bool:
        node_id = json.loads(node.get("/api/status").body)["id"]
        server = where(node.room).master()
        access, server.access = server.access, server.access | {"db": db}
        try:
            with server.client() as client:
                return node_id in client.zrange(name, 0, -1)
        finally:
            server.access = access

    return observe


def both(first: Callable[[Node], Any], second: Callable[[Node], Any]) -> Callable[[Node], Any]:
    return lambda node: (first(node), second(node))


def tls(part: str, where: Callable[[Room], Place] = SECURE) -> Callable[[Room], str]:
    """A file of the place's certificates: `ca`, `client.cert_file`, …"""

    def path(room: Room) -> str:
        found: Any = where(room)
        for name in part.split("."):
            found = getattr(found, name)
        return str(found.cert_file if isinstance(found, Certificate) else found)

    return path


def secure_url(room: Room) -> str:
    return str(SECURE(room).section["url"])


def welcomed(node: Node) -> bool:
    """Whether a client is welcome."""
    with WebSocket(node.url) as socket:
        socket.connect()
        try:
            return bool(socket.until('42["welcome"'))
        except ConnectionClosed:
            return False


def goes_on(node: Node) -> bool:
    """Whether the process is still there after 3 seconds without Redis, and a bit."""
    try:
        return node.daemon.wait(5) != 1
    except AssertionError:
        return True


def redis(base: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"redis": {"enable": True, **base, **({"options": options} if options else {})}}


def option(name: str, value: Any, where: Callable[[Room], Place], base: dict[str, Any], **options: Any) -> Proof:
    """With the option the node gets in, without it or with another it does not."""
    lease = SHARDED if where is CLUSTER else "ahd:0:leases"
    return Proof(("redis", "options", name), value, leases(where, lease), False, True, base=redis(base, **options))


FILES = {"tlsCaFile": tls("ca"), "tlsCertFile": tls("client.cert_file"), "tlsKeyFile": tls("client.key_file")}
SENTINEL = {"port": NOBODY, "password": "server-word"}


def addresses(where: Callable[[Room], Place]) -> Callable[[Room], list[str]]:
    """Of Sentinels, or of the nodes of a Cluster."""
    options = "sentinels" if where is SENTINELS else "clusterNodes"
    return lambda room: where(room).section["options"][options]


def but(name: str, value: Any = None) -> dict[str, Any]:
    """The files of TLS, one of them another or missing."""
    files = {**FILES, name: value}
    return {key: file for key, file in files.items() if file is not None}


PROOFS = [
    Proof(("redis", "enable"), True, leases(PLAIN), False, True, base={"redis": {"port": port(PLAIN)}}),
    Proof(
        ("redis", "host"), "127.0.0.2", both(leases(PLAIN), leases(elsewhere)), (True, False), (False, True),
        base=redis({"port": port(PLAIN)}),
    ),
    Proof(
        ("redis", "port"), port(OTHER), both(leases(PLAIN), leases(OTHER)), (True, False), (False, True),
        base=redis({"port": port(PLAIN)}),
    ),
    Proof(("redis", "url"), url(PLAIN), leases(PLAIN), False, True, base={"redis": {"enable": True}}),
    Proof(
        ("redis", "password"), "correct horse", leases(LOCKED), False, True,
        base=redis({"port": port(LOCKED)}),
    ),
    Proof(
        ("redis", "DB"), 3, both(leases(PLAIN), leases(PLAIN, "ahd:3:leases", 3)), (True, False), (False, True),
        base=redis({"port": port(PLAIN)}),
    ),
    Proof(
        ("redis", "prefix"), "chat:", both(leases(PLAIN), leases(PLAIN, "chat:0:leases")), (True, False), (False, True),
        base=redis({"port": port(PLAIN)}),
    ),
    Proof(("redis", "outage"), "local", welcomed, False, True, base=redis({"port": NOBODY})),
    Proof(("redis", "outage"), "exit", goes_on, True, False, base=redis({"port": NOBODY}), note="exit"),
    option("username", "chat", NAMED, {"port": port(NAMED), "password": "word"}),
    option("sentinels", addresses(SENTINELS), SENTINELS, SENTINEL, sentinelPassword="sentinel-word"),
    option(
        "sentinelService", "mymaster", SENTINELS, SENTINEL,
        sentinels=addresses(SENTINELS), sentinelPassword="sentinel-word", sentinelService="another",
    ),
    option("sentinelPassword", "sentinel-word", SENTINELS, SENTINEL, sentinels=addresses(SENTINELS)),
    option("cluster", True, CLUSTER, {"port": port(CLUSTER)}),
    option("clusterNodes", addresses(CLUSTER), CLUSTER, {"port": NOBODY}, cluster=True),
    option("tls", True, SECURE, {"port": port(SECURE)}, **FILES),
    option("tlsCaFile", tls("ca"), SECURE, {"url": secure_url}, **but("tlsCaFile")),
    *(
        option(name, FILES[name], SECURE, {"url": secure_url}, **but(name, tls(another)))
        for name, another in (("tlsCertFile", "server.cert_file"), ("tlsKeyFile", "server.key_file"))
    ),
    option("tlsVerify", False, SECURE, {"url": secure_url}, **but("tlsCaFile", tls("ca", STRANGE))),
]  # fmt: skip


def stop() -> None:
    """End all that the proofs have started."""
    while STARTED:
        STARTED.pop().stop()
