"""The Tornado application on a real socket, and a client that sends exactly the bytes it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ahd.servers.direct import Direct
from ahd.servers.front import Front
from ahd.servers.web.application import application, direct_client, http_server
from ahd.servers.web.site import Site

DEADLINE = 10.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


SHELLS = ("tornado", "direct")
served_by = ["tornado"]
"""What serves the site in this test; the fixture of the same name sets it."""


@asynccontextmanager
async def serving(site: Site, max_body: int = 1_000_000, **limits: Any) -> AsyncIterator[int]:
    """The port on which `site` is served until the block is left."""
    idle, slow = limits.get("idle", 60.0), limits.get("slow", 30.0)
    server = http_server(application(site), idle, slow, max_body)
    direct = Direct(site, direct_client, idle, slow) if served_by[0] == "direct" else None
    front = Front(lambda request: None, server, direct, head_timeout=min(slow, 10.0))
    [(_, port)] = await front.listen_tcp("127.0.0.1", 0)
    try:
        yield port
    finally:
        front.close_listeners()
        front.abort_all()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def head(method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A request's head, the target as it is given."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), DEADLINE)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def parse(data: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """The first answer of some bytes, and the bytes after it; the body must be as long as the head says."""
    start, separator, rest = data.partition(b"\r\n\r\n")
    assert separator, f"no whole head: {data[:200]!r}"
    line, *fields = start.decode("latin-1").split("\r\n")
    version, status, _ = line.split(" ", 2)
    assert version == "HTTP/1.1"
    headers: dict[str, str] = {}
    for field in fields:
        name, _, value = field.partition(": ")
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    bodiless = method == "HEAD" or int(status) in (204, 304)
    length = 0 if bodiless else int(headers["content-length"])
    assert len(rest) >= length, f"the body is too short: {data[:400]!r}"
    return Answer(int(status), headers, rest[:length]), rest[length:]


async def ask(
    port: int, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request on a connection of its own."""
    fields = {"Connection": "close", **(headers or {})}
    if body or method in ("POST", "PUT", "PATCH"):
        fields.setdefault("Content-Length", str(len(body)))
    answer, rest = parse(await exchange(port, head(method, target, fields) + body), method)
    assert rest == b""
    return answer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, no longer than the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)
