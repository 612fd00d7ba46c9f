"""Engine.IO 4 by hand: single HTTP requests and WebSocket frames, for what no well-behaved client does."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.harness.waiting import DEADLINE

SEPARATOR = "\x1e"
PATH = "/socket.io/"


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def unverified() -> ssl.SSLContext:
    """TLS to a server whose certificate the test itself has signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request(
    url: str,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEADLINE,
) -> Answer:
    """One HTTP or HTTPS request on a connection of its own."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=unverified())
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        payload = body.encode() if isinstance(body, str) else body
        connection.request(method, target or "/", payload, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Polling:
    """A session over HTTP long-polling."""

    def __init__(
        self,
        url: str,
        path: str = PATH,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url + path
        self.headers = dict(headers or {})
        self.query = {"EIO": "4", "transport": "polling", **(query or {})}
        self.sid = ""
        self.kept: list[str] = []

    def request(self, method: str = "GET", body: bytes | str | None = None, timeout: float = DEADLINE) -> Answer:
        query = {**self.query, **({"sid": self.sid} if self.sid else {})}
        headers = {"Content-Type": "text/plain;charset=UTF-8", **self.headers} if body is not None else self.headers
        return request(f"{self.url}?{urlencode(query)}", method, body, headers, timeout)

    def open(self) -> dict[str, Any]:
        """The handshake; returns `{sid, upgrades, pingInterval, pingTimeout, maxPayload}`."""
        answer = self.request()
        assert answer.status == 200, answer
        assert answer.text.startswith("0"), answer
        handshake: dict[str, Any] = json.loads(answer.text.split(SEPARATOR)[0][1:])
        self.sid = handshake["sid"]
        return handshake

    def poll(self, timeout: float = DEADLINE) -> list[str]:
        """One poll; the packets it was answered with."""
        answer = self.request(timeout=timeout)
        assert answer.status == 200, answer
        return answer.text.split(SEPARATOR)

    def post(self, *packets: str) -> None:
        answer = self.request("POST", SEPARATOR.join(packets))
        assert (answer.status, answer.text.lower()) == (200, "ok"), answer

    def until(self, prefix: str, deadline: float = DEADLINE) -> str:
        """The next packet that starts with `prefix`: polls, answers pings, keeps what comes behind it."""
        end = time.monotonic() + deadline
        seen: list[str] = []
        while True:
            while self.kept:
                packet = self.kept.pop(0)
                if packet.startswith(prefix):
                    return packet
                seen.append(packet)
            remaining = end - time.monotonic()
            assert remaining > 0, f"no packet {prefix!r} within {deadline} s, but {seen}"
            self.kept = self.poll(remaining)
            if "2" in self.kept:
                self.post("3")

    def connect(self, namespace: str = "") -> dict[str, Any]:
        """Open, and connect to a namespace (`/custom`); returns the answer's `{sid}`."""
        self.open()
        self.post(f"40{namespace + ',' if namespace else ''}")
        packet = self.until("40")
        answer: dict[str, Any] = json.loads(packet[packet.index("{") :])
        return answer


class WebSocket:
    """A session over WebSocket, or the WebSocket of an upgrade when `sid` is given."""

    def __init__(
        self,
        url: str,
        path: str = PATH,
        sid: str = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        values = {"EIO": "4", "transport": "websocket", **(query or {}), **({"sid": sid} if sid else {})}
        address = url.replace("http", "ws", 1) + path + "?" + urlencode(values)
        self._stack = contextlib.ExitStack()
        opening = connect(
            address,
            ssl=unverified() if address.startswith("wss") else None,
            additional_headers=dict(headers or {}),
            open_timeout=DEADLINE,
            close_timeout=1,
            compression=None,
            max_size=None,
            proxy=None,
        )
        self.connection: ClientConnection = self._stack.enter_context(opening)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def send(self, packet: str | bytes) -> None:
        self.connection.send(packet)

    def receive(self, deadline: float = DEADLINE) -> str | bytes:
        """The next message; TimeoutError or websockets' ConnectionClosed when there is none."""
        return self.connection.recv(timeout=deadline)

    def open(self) -> dict[str, Any]:
        """Take the handshake packet of a session without upgrade."""
        packet = self.receive()
        assert isinstance(packet, str), packet
        assert packet.startswith("0"), packet
        handshake: dict[str, Any] = json.loads(packet[1:])
        return handshake

    def until(self, prefix: str, deadline: float = DEADLINE) -> str:
        """Receive until a text packet starts with `prefix`, answering pings; returns the packet."""
        end = time.monotonic() + deadline
        seen: list[str | bytes] = []
        while (remaining := end - time.monotonic()) > 0:
            packet = self.receive(remaining)
            if packet == "2":
                self.send("3")
            if isinstance(packet, str) and packet.startswith(prefix):
                return packet
            seen.append(packet)
        raise AssertionError(f"no packet {prefix!r} within {deadline} s, but {seen}")

    def connect(self, namespace: str = "") -> dict[str, Any]:
        """Take the handshake and connect to a namespace (`/custom`); returns the answer's `{sid}`."""
        self.open()
        self.send(f"40{namespace + ',' if namespace else ''}")
        packet = self.until("40")
        answer: dict[str, Any] = json.loads(packet[packet.index("{") :])
        return answer

    def wait_closed(self, deadline: float = DEADLINE) -> int | None:
        """Wait until the server has closed it; the close code, None when there was none."""
        from websockets.exceptions import ConnectionClosed

        end = time.monotonic() + deadline
        while (remaining := end - time.monotonic()) > 0:
            try:
                self.receive(remaining)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else None
            except TimeoutError:
                break
        raise AssertionError(f"still open after {deadline} s")
