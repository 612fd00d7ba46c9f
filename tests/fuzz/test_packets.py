"""Accepted, refused with the documented error, or the connection closed: never anything else."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect, StartDaemon
from tests.fuzz.packets import SPOKEN, Packets
from tests.harness.daemon import Daemon
from tests.harness.raw import SEPARATOR, Polling, request
from tests.harness.waiting import eventually

CONFIG: dict[str, Any] = {
    "webSockets": {"options": {"transports": ["websocket", "xhr-polling"], "polling duration": 0.2}},
    "general": {"actionTimeout": 2},
    "log": {"logRequests": False},
}
MESSAGES = 100_000
A_CONNECTION = 50
AT_ONCE = 8


def frame(payload: bytes, opcode: int) -> bytes:
    """A client's frame; its mask is zero, so that the payload stands in it as it is."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 65536:
        head = bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0xFF]) + size.to_bytes(8, "big")
    return head + b"\x00\x00\x00\x00" + payload


async def one_connection(daemon: Daemon, packets: Packets, messages: int) -> bytes:
    """Say so many messages without listening, then read all that came until the server has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    head = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    content = [head.encode(), frame(b"40", 1)]
    for _ in range(messages):
        if packets.random.random() < 0.02:
            content.append(frame(packets.binary(), 2))
        else:
            content.append(frame(packets.text(), 1))
    content.append(frame(b"\x03\xe8", 8))
    received = b""
    # A server that has closed resets what it does not read any more.
    with contextlib.suppress(ConnectionError):
        writer.write(b"".join(content))
        async with asyncio.timeout(20):
            # Both sides have said goodbye once the server's close frame is there.
            while (chunk := await reader.read(65536)) and b"\x88" not in chunk[-125:]:
                received += chunk
            received += chunk
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return received


async def many_connections(daemon: Daemon, seed: int, messages: int) -> None:
    remaining = messages // A_CONNECTION
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(number: int) -> None:
        async with gate:
            received = await one_connection(daemon, Packets(seed + number), A_CONNECTION)
            assert b"Traceback" not in received
            assert b'File "' not in received

    await asyncio.gather(*(run(number) for number in range(remaining)))


def alone(client: Any) -> bool:
    """All the others have left, so nothing of them is kept."""
    members: list[str] = client.call("roomView")["roomStatus"]["members"]
    return members == [client.id]


@pytest.mark.timeout(180)
async def test_websocket(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon(CONFIG)
    # What a process takes once: code, caches, pools.
    await many_connections(daemon, 1, 10_000)
    before, files = daemon.rss(), daemon.open_files()
    await many_connections(daemon, 1_000_000, MESSAGES)
    client = connect(daemon.url, transports=["websocket"])
    eventually(lambda: alone(client))
    eventually(lambda: daemon.open_files() <= files + 2)
    growth = daemon.rss() - before
    print(f"{MESSAGES} bad messages: memory {before / 1e6:.1f} MB, then {growth / 1e6:+.1f} MB")
    assert growth < 10_000_000
    assert client.call("say", {"message": "still here"})["status"] == "OK"


@pytest.mark.timeout(120)
def test_polling(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon(CONFIG)
    packets = Packets(2)
    for _ in range(150):
        session = Polling(daemon.url)
        session.connect()
        for _ in range(4):
            payload = SEPARATOR.encode().join(packets.text() for _ in range(packets.random.randrange(1, 12)))
            answer = session.request("POST", payload)
            assert answer.status in {200, 400, 413}, answer
            assert b"Traceback" not in answer.body
            if session.request().status != 200:
                break
    client = connect(daemon.url)
    assert client.call("detailsView")["status"] == "OK"


@pytest.mark.parametrize(
    "query",
    [
        "", "EIO=4", "EIO=4&transport=polling&sid=", "EIO=4&transport=polling&sid=%00",
        "EIO=4&transport=polling&sid=../..",
        "EIO=4&EIO=3&transport=polling", "EIO=4&transport=polling&transport=websocket", "EIO=4&transport=polling&j=%ff",
        "EIO=4&transport=websocket", "%", "=&=&;", "EIO=4&transport=polling&b64=1&t=" + "x" * 4000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "BREW"])
def test_handshakes(shared: Daemon, query: str, method: str) -> None:
    body = b"40" if method == "POST" else None
    answer = request(f"{shared.url}/socket.io/?{query}", method, body)
    assert answer.status < 500 or (method == "BREW" and answer.status == 501)
    assert b"Traceback" not in answer.body


@pytest.fixture(scope="module")
def shared(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG)


def test_the_supply_is_repeatable_and_covers_what_it_should() -> None:
    first, second = Packets(5), Packets(5)
    texts = [first.text() for _ in range(2000)]
    assert texts == [second.text() for _ in range(2000)]
    assert any(text.startswith(b"45") for text in texts)
    for verb in SPOKEN:
        assert sum(text.startswith(b'42["' + verb.encode() + b'"') for text in texts) > 10, verb


def test_frames_are_what_they_say(tmp_path: Path) -> None:
    from websockets.frames import Frame
    from websockets.streams import StreamReader

    for size in (0, 125, 126, 65535, 65536):
        reader = StreamReader()
        reader.feed_data(frame(b"x" * size, 1))
        parser = Frame.parse(reader.read_exact, mask=True)
        with pytest.raises(StopIteration) as stopped:
            next(parser)
        assert stopped.value.value.data == b"x" * size
