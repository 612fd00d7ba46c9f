"""HTTP for three paths: one request a connection, small heads, no bodies, few connections at once.

On asyncio's own listener, which holds out when there are no file descriptors left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httptools

LARGEST_REQUEST = 16384
"""Bytes."""
TIMEOUT = 10.0
"""Seconds from a connection's begin to its end."""
CONNECTIONS = 64
"""More at once are closed unanswered."""
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers."""

    status: int
    content_type: str
    body: bytes


def plain(status: int) -> Answer:
    """An answer that says no more than its status."""
    return Answer(status, TEXT, f"{HTTPStatus(status).phrase}\n".encode())


Respond = Callable[[str, str], Answer]
"""Answers a GET: path and Accept header. Must not wait."""


class Exchange(asyncio.Protocol):
    """One connection. `open` has all that are."""

    def __init__(self, respond: Respond, open: set[Exchange]) -> None:
        self._respond = respond
        self._open = open
        self._parser = httptools.HttpRequestParser(self)
        self._size = 0
        self._url = b""
        self._accept = ""
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Cut it off."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        if len(self._open) >= CONNECTIONS:
            self._answered = True
            transport.abort()
            return
        self._open.add(self)
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._size += len(data)
        if self._size > LARGEST_REQUEST:
            self._answer(plain(413))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._answer(plain(400))

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    # -- the parser's calls

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"accept":
            self._accept = value.decode("latin-1")

    def on_message_complete(self) -> None:
        if self._answered:
            return
        method = self._parser.get_method()
        if method not in (b"GET", b"HEAD"):
            self._answer(plain(405), b"Allow: GET, HEAD\r\n")
            return
        path = self._url.partition(b"?")[0].decode("latin-1")
        self._answer(self._respond(path, self._accept), head=method == b"HEAD")

    def _answer(self, answer: Answer, more: bytes = b"", head: bool = False) -> None:
        if self._answered or self._transport is None:
            return
        self._answered = True
        lines = (
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        text = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        self._transport.write(text + more + b"\r\n" + (b"" if head else answer.body))
        self._transport.close()
