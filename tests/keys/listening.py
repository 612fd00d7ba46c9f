"""Proofs of general, httpServer, tcpServer and actions."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.harness.certificates import Certificate, self_signed
from tests.harness.waiting import accepts, eventually, free_port
from tests.keys.proving import ACTIONS, Lines, Node, Proof, Room, ask, call, host_of, serial

WITH_ACTIONS = {"actions": {"modules": [ACTIONS]}}
LINES = {"tcpServer": {"enable": True}}
CHOSEN, CHOSEN_TCP = free_port(), free_port()


# -- what is made once for a module


def certificate(room: Room) -> Certificate:
    return self_signed(room.directory, "first")


def another(room: Room) -> Certificate:
    """A certificate with a key of its own."""
    return self_signed(room.directory, "another")


def renewed(room: Room) -> str:
    """Another certificate for the first one's key."""
    cert = room.directory / "renewed.crt"
    key = room.thing(certificate).key_file
    command = ["openssl", "req", "-x509", "-new", "-key", str(key), "-subj", "/CN=renewed", "-days", "1"]
    subprocess.run([*command, "-out", str(cert)], check=True, capture_output=True, timeout=30)
    return str(cert)


def key_file(room: Room) -> str:
    return str(room.thing(certificate).key_file)


def cert_file(room: Room) -> str:
    return str(room.thing(certificate).cert_file)


def other_key(room: Room) -> str:
    return str(room.thing(another).key_file)


def socket_path(room: Room) -> str:
    return str(room.directory / "http.sock")


def pem(path: Any) -> Any:
    """A function that reads the PEM file which `path` makes."""

    def read(room: Room) -> str:
        return Path(room.thing(path)).read_text().strip()

    return read


# -- general


def server_information(name: str) -> Any:
    def observe(node: Node) -> Any:
        return node.get("/api/randomNumber").json()["serverInformation"][name]

    return observe


def welcome(name: str) -> Any:
    def observe(node: Node) -> Any:
        with node.websocket_unread() as client:
            packet = client.until('42["welcome"')
            return json.loads(packet[2:])[1][name]

    return observe


def default_param(name: str) -> Any:
    def observe(node: Node) -> Any:
        with node.websocket() as client:
            return ask(client, "detailsView")["details"]["params"][name]

    return observe


def two_at_once(node: Node) -> Any:
    with node.websocket() as client:
        for number in (1, 2):
            action = {"action": "sleepTest", "sleepDuration": 200}
            client.send(f"42{number}" + json.dumps(["action", action]))
        packets = [client.until("43") for _ in (1, 2)]
    return sorted(json.loads(packet[packet.index("[") :])[0].get("error", "OK") for packet in packets)


def slow_action(node: Node) -> Any:
    with node.websocket() as client:
        return call(client, "sleepTest", sleepDuration=400).get("error")


def failing(node: Node) -> Any:
    with node.websocket() as client:
        return call(client, "fail")["error"]


def plugin_calls(node: Node) -> Any:
    return [line["room"] for line in node.daemon.events("pluginCalled")]


GENERAL = [
    Proof(("general", "apiVersion"), "7.1", server_information("apiVersion"), "0.0.1", "7.1"),
    Proof(("general", "serverName"), "shop", server_information("serverName"), "ahd", "shop"),
    Proof(("general", "welcomeMessage"), "Moin", welcome("welcome"), "Hello! Welcome to the ahd api", "Moin"),
    Proof(("general", "defaultChatRoom"), "lobby", welcome("room"), "defaultRoom", "lobby"),
    Proof(("general", "defaultLimit"), 7, default_param("limit"), 100, 7),
    Proof(("general", "defaultOffset"), 3, default_param("offset"), 0, 3),
    Proof(
        ("general", "simultaneousActions"), 1, two_at_once, ["OK", "OK"], ["OK", "you have too many pending requests"]
    ),
    Proof(("general", "actionTimeout"), 0.1, slow_action, None, "Error: the action took too long"),
    Proof(
        ("general", "serverErrorMessage"),
        "Ouch",
        failing,
        "Error: The server experienced an internal error",
        "Error: Ouch",
        base=WITH_ACTIONS,
        raises=True,
    ),
    Proof(("general", "plugins"), ["tests.keys.plugin:install"], plugin_calls, [], ["defaultRoom"]),
]

# -- httpServer and tcpServer


def servers(node: Node) -> Any:
    return sorted(line["server"] for line in node.daemon.events("listening"))


def web_address(node: Node) -> Any:
    return host_of(node.url), node.get("/api/randomNumber").status, accepts(node.daemon.port)


def lines_address(node: Node) -> Any:
    host, port = host_of(node.daemon.address("socket")), node.daemon.tcp_port
    assert host is not None
    with Lines(port, host) as client:
        return host, "details" in client.ask("detailsView"), accepts(port)


def chosen_port(node: Node) -> Any:
    return accepts(CHOSEN), urlsplit(node.url).port == CHOSEN


def chosen_tcp_port(node: Node) -> Any:
    return accepts(CHOSEN_TCP), node.daemon.tcp_port == CHOSEN_TCP


def by_unix_socket(node: Node) -> Any:
    """The status line of a request over the Unix socket, and what kind of address is told."""
    kind = node.url.partition(":")[0]
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(socket_path(node.room))
        except OSError:
            return kind, None
        client.sendall(b"GET /api/randomNumber HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return kind, client.makefile("rb").readline()


def shown_to_web(node: Node) -> Any:
    if not node.daemon.running or not node.url:
        return node.daemon.wait()
    shown = serial(node.daemon.port)
    return None if shown is None else shown.strip()


def shown_to_lines(node: Node) -> Any:
    try:
        shown = serial(node.daemon.tcp_port)
    except AssertionError:
        return node.daemon.wait()
    return None if shown is None else shown.strip()


def remote_address(node: Node) -> Any:
    answer = node.get("/api/randomNumber", headers={"X-Forwarded-For": "203.0.113.9"})
    return answer.json()["requestorInformation"]["remoteAddress"]


def long_line(node: Node) -> Any:
    with node.lines() as client:
        return client.ask("say " + "x" * 100).get("error", "OK")


def keep_alive_timer(node: Node) -> Any:
    """Whether the kernel keeps a keep-alive timer for the daemon's end of a connection."""
    port = f":{node.daemon.tcp_port:04X}"
    with node.lines() as client:
        mine = f":{client.socket.getsockname()[1]:04X}"

        def timer() -> str | None:
            for line in Path("/proc/net/tcp").read_text().splitlines():
                fields = line.split()
                if fields[1].endswith(port) and fields[2].endswith(mine):
                    # 01 is the retransmission of what has just been sent: ask again.
                    return None if fields[5].startswith("01") else fields[5][:2]
            return None

        return eventually(timer, what="the kernel shows the connection")


CLIENTS_OF_LINES_ONLY = {"webSockets": {"enable": False}, **LINES}


def tls(section: str, observe: Any, base: dict[str, Any]) -> list[Proof]:
    """The proofs of secure, keyFile and certFile."""
    files = {**base, "keyFile": key_file, "certFile": cert_file}
    secure = {section: {**files, "secure": True}}
    return [
        Proof((section, "secure"), True, observe, None, pem(cert_file), base={section: files}),
        Proof((section, "certFile"), renewed, observe, pem(cert_file), pem(renewed), base=secure),
        # A key that does not go with the certificate is a mistake in the configuration.
        Proof((section, "keyFile"), other_key, observe, pem(cert_file), 78, base=secure, refused=True),
    ]


HTTP_SERVER = [
    Proof(("httpServer", "enable"), False, servers, ["socket", "web"], ["socket"], base=CLIENTS_OF_LINES_ONLY),
    Proof(("httpServer", "bindIP"), "127.0.0.2", web_address, ("127.0.0.1", 200, True), ("127.0.0.2", 200, False)),
    Proof(("httpServer", "port"), CHOSEN, chosen_port, (False, False), (True, True)),
    Proof(
        ("httpServer", "unixSocket"),
        socket_path,
        by_unix_socket,
        ("http", None),
        ("http+unix", b"HTTP/1.1 200 OK\r\n"),
    ),
    *tls("httpServer", shown_to_web, {}),
    Proof(("httpServer", "trustedProxies"), ["127.0.0.0/8"], remote_address, "127.0.0.1", "203.0.113.9"),
]

TOO_LONG = "the line is longer than 64 bytes"

TCP_SERVER = [
    Proof(("tcpServer", "enable"), True, servers, ["web"], ["socket", "web"]),
    Proof(
        ("tcpServer", "bindIP"),
        "127.0.0.2",
        lines_address,
        ("127.0.0.1", True, True),
        ("127.0.0.2", True, False),
        base=LINES,
    ),
    Proof(("tcpServer", "port"), CHOSEN_TCP, chosen_tcp_port, (False, False), (True, True), base=LINES),
    *tls("tcpServer", shown_to_lines, {"enable": True}),
    Proof(("tcpServer", "maxLineLength"), 64, long_line, "OK", TOO_LONG, base=LINES),
    Proof(("tcpServer", "keepAlive"), 0, keep_alive_timer, "02", "00", base=LINES),
]

# -- actions


def status_of(path: str) -> Any:
    def observe(node: Node) -> int:
        return node.get(path).status

    return observe


ACTIONS_SECTION = [
    Proof(("actions", "modules"), [ACTIONS], status_of("/api/remember?count=1&size=1"), 404, 200),
    Proof(("actions", "builtin"), ["status"], status_of("/api/randomNumber"), 200, 404),
]

PROOFS = [*GENERAL, *HTTP_SERVER, *TCP_SERVER, *ACTIONS_SECTION]
