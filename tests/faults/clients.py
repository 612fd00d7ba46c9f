"""Thousands of clients in one loop: each as cheap as it can be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from tests.harness.raw import unverified

TLS = unverified()

HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(text: bytes, opcode: int = 1) -> bytes:
    """A masked frame of a short message; the mask is zero."""
    assert len(text) < 126
    return bytes([0x80 | opcode, 0x80 | len(text), 0, 0, 0, 0]) + text


async def websocket(port: int) -> None:
    """Connect, enter the namespace, be welcomed, and go without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE + frame(b"40"))
    await reader.readuntil(b'42["welcome"')
    writer.close()
    await writer.wait_closed()


async def secure(port: int) -> None:
    """A request over TLS, and on the same connection what `websocket` does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=TLS)
    writer.write(b"GET /api/randomNumber HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"}}")
    writer.write(HANDSHAKE + frame(b"40"))
    await reader.readuntil(b'42["welcome"')
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def lines(port: int) -> None:
    """Connect over TCP, be welcomed, quit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readuntil(b"welcome")
    writer.write(b"quit\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, query: str, body: str) -> bytes:
    head = f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: localhost\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(size)


async def polling(port: int) -> None:
    """Open a session, enter the namespace, be welcomed, and close it: four requests on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sid = (await _ask(reader, writer, "GET", "", "")).partition(b'"sid":"')[2].partition(b'"')[0].decode()
    await _ask(reader, writer, "POST", f"&sid={sid}", "40")
    assert b"welcome" in await _ask(reader, writer, "GET", f"&sid={sid}", "")
    await _ask(reader, writer, "POST", f"&sid={sid}", "1")
    writer.close()
    await writer.wait_closed()


async def many(client: Callable[[int], Coroutine[Any, Any, None]], port: int, count: int, at_once: int = 50) -> None:
    """That many clients, one after the other in each of `at_once` rows."""

    async def row(length: int) -> None:
        for _ in range(length):
            await client(port)

    await asyncio.gather(*[row(count // at_once) for _ in range(at_once)])
