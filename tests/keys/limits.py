"""Proofs of limits."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.harness.raw import WebSocket
from tests.keys.proving import Node, Proof, Room, ask
from tests.keys.web import WITH_ACTIONS


def listen_to_two(node: Node) -> Any:
    with node.websocket() as client:
        return ["error" in ask(client, "listenToRoom", {"room": name}) for name in ("r1", "r2")]


def remembered(count: int, size: int) -> Any:
    def observe(node: Node) -> Any:
        return node.get(f"/api/remember?count={count}&size={size}").json()["kept"]

    return observe


def says_for_one_that_does_not_poll(node: Node) -> Any:
    """What a client gets that polls only after others have said 3 times 700 bytes; None when it was sent away."""
    listener = node.polling()
    listener.connect()
    listener.until('42["welcome"')
    with node.websocket() as speaker:
        for number in range(3):
            ask(speaker, "say", {"message": f"{number}" * 700})
    answer = listener.request()
    if answer.status != 200:
        return None
    packets = [packet for packet in answer.text.split("\x1e") if packet.startswith('42["say"')]
    says = [json.loads(packet[2:])[1].get("message") for packet in packets]
    if not any(says):
        return None
    return "2" * 700 in says, "0" * 700 in says


def refused_of(count: int) -> Any:
    """How many of so many messages that come at once over a WebSocket are refused; None when it was closed for it."""

    def observe(node: Node) -> Any:
        with node.websocket() as client:
            for number in range(count):
                client.send(f'42{number}["detailsView"]')
            replies: list[Any] = []
            while len(replies) < count:
                packet = str(client.receive())
                if packet.startswith('42["closing"'):
                    return None
                if packet.startswith("43"):
                    replies.append(json.loads(packet[packet.index("[") :])[0])
        return sum("error" in reply for reply in replies)

    return observe


def redis_port(room: Room) -> int:
    return room.redis().port


def refused_behind_redis(node: Node) -> Any:
    """How many of 20 verbs that came in one request had to be refused, as all but one wait."""
    client = node.polling()
    client.connect()
    client.until('42["welcome"')
    client.post(*['42["roomView"]'] * 20)
    replies: list[Any] = []
    while len(replies) < 20:
        replies.append(json.loads(client.until('42["response"')[2:])[1])
    return sum(reply.get("error") == "you have too many pending requests" for reply in replies)


def statuses(count: int) -> Any:
    """The answers to so many calls of an action."""

    def observe(node: Node) -> Any:
        return [node.get("/api/randomNumber").status for _ in range(count)]

    return observe


def handshakes(node: Node) -> Any:
    """The answers to handshakes while two sessions are open, whose sockets are not."""
    for _ in range(2):
        node.polling().open()
    return node.polling().request().status


def large_head(node: Node) -> Any:
    """What a head of 3000 bytes is answered with, as the first of a connection and as a later one."""
    connection = http.client.HTTPConnection("127.0.0.1", node.daemon.port, timeout=10)
    statuses = []
    for name in ("X-Small", "X-Large"):
        connection.request("GET", "/api/randomNumber", headers={name: "x" * (3000 if name == "X-Large" else 1)})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return [node.get("/", headers={"X-Large": "x" * 3000}).status, *statuses]


def told_within(seconds: float, *parts: bytes) -> Any:
    """What a socket gets that sends these parts, each after the answer to the one before, and nothing more: its first
    line, "" when it is closed without one, None when nothing happens in time."""

    def observe(node: Node) -> Any:
        with socket.create_connection(("127.0.0.1", node.daemon.port), timeout=10) as client:
            for part in parts[:-1]:
                client.sendall(part)
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
            client.sendall(parts[-1])
            client.settimeout(seconds)
            try:
                return client.recv(65536).partition(b"\r\n")[0].decode()
            except TimeoutError:
                return None

    return observe


def without_a_namespace(node: Node) -> Any:
    """Whether a session that connects to nothing is closed within 1.5 s."""
    with WebSocket(node.url) as client:
        client.open()
        try:
            client.receive(1.5)
        except TimeoutError:
            return False
        except ConnectionClosed as closed:
            return "" if closed.rcvd is None else closed.rcvd.reason


def without_a_probe(node: Node) -> Any:
    """Whether a WebSocket that is to take over a session, and says nothing, is closed within 1.5 s."""
    session = node.polling()
    session.connect()
    with WebSocket(node.url, sid=session.sid) as client:
        try:
            client.receive(1.5)
        except TimeoutError:
            return False
        except ConnectionClosed as closed:
            session.post('42["detailsView"]')  # it lives on
            return "" if closed.rcvd is None else closed.rcvd.reason


def naps(node: Node) -> Any:
    """Of three calls at once of an action that blocks its thread: how many ran at the same time as another, and how
    many were refused."""
    with node.websocket() as client:
        for number in range(3):
            client.send(f'42{number}["action",{{"action":"nap"}}]')
        replies: list[Any] = []
        while len(replies) < 3:
            packet = str(client.receive())
            if packet.startswith("43"):
                replies.append(json.loads(packet[packet.index("[") :])[0])
    refused = sum("error" in reply for reply in replies)
    return max(reply.get("together", 0) for reply in replies), refused


GET = b"GET /api/randomNumber HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/randomNumber HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
SMALL = {"limits": {"sendBuffer": 1024}}
SLOW = {"limits": {"messageRate": 0.001, "messageBurst": 5, "refusedMessages": 10}}
REDIS: dict[str, Any] = {"redis": {"enable": True, "port": redis_port}}

LIMITS = [
    Proof(("limits", "sendBuffer"), 1024, says_for_one_that_does_not_poll, (True, True), None),
    Proof(("limits", "slowConsumer"), "dropOldest", says_for_one_that_does_not_poll, None, (True, False), base=SMALL),
    Proof(("limits", "listeningRooms"), 1, listen_to_two, [False, False], [False, True]),
    Proof(("limits", "cacheEntries"), 1, remembered(2, 10), [0, 1], [1], base=WITH_ACTIONS),
    Proof(("limits", "cacheSize"), 1024, remembered(2, 700), [0, 1], [1], base=WITH_ACTIONS),
    Proof(("limits", "messageRate"), 0.001, refused_of(12), 0, 7, base={"limits": {"messageBurst": 5}}),
    Proof(("limits", "messageBurst"), 8, refused_of(12), 7, 4, base=SLOW),
    Proof(("limits", "refusedMessages"), 3, refused_of(12), 7, None, base=SLOW),
    Proof(
        ("limits", "requestRate"), 0.001, statuses(3), [200] * 3, [200, 200, 429], base={"limits": {"requestBurst": 2}}
    ),
    Proof(("limits", "requestBurst"), 1, statuses(2), [200, 200], [200, 429], base={"limits": {"requestRate": 0.001}}),
    Proof(("limits", "connections"), 2, handshakes, 200, 503),
    Proof(("limits", "connectionsPerAddress"), 2, handshakes, 200, 429),
    Proof(("limits", "headSize"), 2048, large_head, [200, 200, 200], [431, 200, 431]),
    Proof(("limits", "headTimeout"), 0.3, told_within(1.5, GET[:20]), None, "HTTP/1.1 408 Request Timeout"),
    Proof(("limits", "bodyTimeout"), 0.3, told_within(2.5, POST), None, "HTTP/1.1 408 Request Timeout"),
    Proof(("limits", "idleTimeout"), 0.3, told_within(2.5, GET, b""), None, ""),
    Proof(("limits", "namespaceTimeout"), 0.3, without_a_namespace, False, "no namespace was connected in time"),
    Proof(("limits", "upgradeTimeout"), 0.3, without_a_probe, False, "the upgrade took too long"),
    Proof(("actions", "threads"), 1, naps, (3, 0), (1, 0), base=WITH_ACTIONS),
    Proof(
        ("actions", "waitingCalls"),
        0,
        naps,
        (1, 0),
        (1, 2),
        base={"actions": {**WITH_ACTIONS["actions"], "threads": 1}},
    ),
    Proof(("limits", "waitingVerbs"), 5, refused_behind_redis, 0, 14, base=REDIS),
]
