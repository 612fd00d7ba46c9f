"""A client that does not read: what is unsent for it is bounded, what happens at the bound is told, others go on."""

from __future__ import annotations

import json
import socket
import struct
from base64 import b64encode
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import Polling, WebSocket
from tests.harness.waiting import eventually

BUFFER = 262_144
MESSAGE = "x" * 8_000
SAYS = 1500
"""12 MB: far over the buffer and what the kernel takes for a connection (tcp_wmem)."""


class Deaf:
    """A WebSocket client that reads only when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(20)
        key = b64encode(b"0" * 16).decode()
        self.socket.sendall(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self.socket.recv(4096)
        self._data = self._data.partition(b"\r\n\r\n")[2]
        self.send("40")
        while not self.frame().startswith('42["welcome"'):
            pass

    def send(self, packet: str) -> None:
        data = packet.encode()
        assert len(data) < 126
        self.socket.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        found, self._data = self._data[:size], self._data[size:]
        return found

    def frame(self) -> str:
        """The next text message; EOFError when the server has closed."""
        first, length = self._exactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        data = self._exactly(length)
        if first & 15 == 8:
            raise EOFError
        return data.decode()


def configured(policy: str) -> dict[str, Any]:
    return {
        "limits": {"sendBuffer": BUFFER, "slowConsumer": policy},
        "log": {"logRequests": False},
        "chat": {"announce": False},
    }


def talk(daemon: Daemon, before: int) -> list[int]:
    """Say much in the room, and hear all of it in another client that reads; the numbers that it heard."""
    heard = []
    with WebSocket(daemon.url) as speaker, WebSocket(daemon.url) as reader:
        for client in (speaker, reader):
            client.connect()
            client.until('42["welcome"')
        for number in range(SAYS):
            speaker.send(f'42["say",{{"message":[{number},"{MESSAGE}"]}}]')
            speaker.until('42["response"')
            heard.append(json.loads(reader.until('42["say"')[2:])[1]["message"][0])
        # Nobody pays for the deaf one, and the process does not either.
        growth = daemon.rss() - before
        print(f"{SAYS * len(MESSAGE) / 1e6:.0f} MB said to one who does not read: {growth / 1e6:+.1f} MB of memory")
        assert growth < 30_000_000
    return heard


def test_disconnect_closes_it_and_nobody_else(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(configured("disconnect"))
    deaf = Deaf(daemon.port)
    assert talk(daemon, daemon.rss()) == list(range(SAYS))
    assert daemon.wait_for_event("slowConsumer")["level"] == "warn"
    assert len(daemon.events("slowConsumer")) == 1
    numbers = []
    with pytest.raises((EOFError, ConnectionError)):
        while True:
            event, data = json.loads(deaf.frame()[2:])
            if event == "say":
                numbers.append(data["message"][0])
    assert (event, data["code"]) == ("closing", "slowConsumer")
    # What it was sent is the beginning of what was said, without a gap, and no more than what was bounded.
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < SAYS
    deaf.socket.close()
    with WebSocket(daemon.url) as other:
        other.connect()
        other.until('42["welcome"')
        other.send('42["roomView"]')
        assert json.loads(other.until('42["response"')[2:])[1]["roomStatus"]["membersCount"] == 1


def test_drop_oldest_keeps_it_and_tells_what_it_missed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(configured("dropOldest"))
    deaf = Deaf(daemon.port)
    for _ in range(3):
        deaf.send('42["detailsView"]')
    assert talk(daemon, daemon.rss()) == list(range(SAYS))
    for _ in range(3):
        deaf.send('42["detailsView"]')
    daemon.wait_for_event("saysDropped")
    said: list[int] = []
    counts: list[int] = []
    dropped = 0
    while len(counts) < 6 or not said or said[-1] < SAYS - 1:
        event, data = json.loads(deaf.frame().removeprefix("42"))
        if event == "response":
            counts.append(data["messageCount"])
        elif "dropped" in data:
            dropped += data["dropped"]
        else:
            said.append(data["message"][0])
    # Replies are never dropped; the says that came are in order; the notice makes up for the gap.
    assert counts == [1, 2, 3, 4, 5, 6]
    assert said == sorted(set(said))
    assert 0 < len(said) < SAYS
    assert dropped >= 1
    assert not daemon.events("slowConsumer")
    deaf.socket.close()


def test_on_polling_the_outbox_is_bounded_too(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(configured("disconnect"))
    deaf = Polling(daemon.url)
    deaf.connect()
    assert talk(daemon, daemon.rss()) == list(range(SAYS))
    daemon.wait_for_event("slowConsumer")
    eventually(lambda: len(daemon.events("slowConsumer")) == 1)


def test_on_polling_the_oldest_says_can_go(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(configured("dropOldest"))
    deaf = Polling(daemon.url)
    deaf.connect()
    deaf.until('42["welcome"')
    deaf.post('42["detailsView"]')
    assert talk(daemon, daemon.rss()) == list(range(SAYS))
    said: list[int] = []
    dropped, replies = 0, 0
    while not said or said[-1] < SAYS - 1:
        for packet in deaf.poll():
            event, data = json.loads(packet[2:])
            if event == "response":
                replies += 1
            elif "dropped" in data:
                dropped += data["dropped"]
            else:
                said.append(data["message"][0])
    assert replies == 1
    assert said == list(range(SAYS - len(said), SAYS))
    assert dropped == SAYS - len(said)


def test_a_compressed_connection_hears_every_say_in_order(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({**configured("disconnect"), "webSockets": {"options": {"per_message_deflate": True}}})
    url = daemon.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    with connect(url, compression="deflate", proxy=None) as reader:
        assert [extension.name for extension in reader.protocol.extensions] == ["permessage-deflate"]
        reader.recv()
        reader.send("40")
        heard: list[int] = []
        with WebSocket(daemon.url) as speaker:
            speaker.connect()
            speaker.until('42["welcome"')
            for number in range(20):
                speaker.send(f'42["say",{{"message":[{number},"{MESSAGE}"]}}]')
            while len(heard) < 20:
                packet = str(reader.recv(timeout=10))
                if packet.startswith('42["say"'):
                    heard.append(json.loads(packet[2:])[1]["message"][0])
    assert heard == list(range(20))
