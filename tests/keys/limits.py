"""Proofs of limits."""

from __future__ import annotations

import json
from typing import Any

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
    Proof(("limits", "waitingVerbs"), 5, refused_behind_redis, 0, 14, base=REDIS),
]
