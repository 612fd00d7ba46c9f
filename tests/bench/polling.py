"""Echo over Engine.IO's polling: clients that post one action and poll for its reply, again and again.

    python -m tests.bench.polling PORT CLIENTS SECONDS PID

Prints one JSON line as sioload does. A Python client is slower than the servers it measures, so what counts is the
rate for each second of the server's CPU, not the rate.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

MESSAGE = b'42["action",{"action":"echo","payload":"%s"}]' % (b"x" * 64)
GET = b"GET /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"


class Channel:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head[:16]:
            raise RuntimeError(head.decode())
        start = head.index(b"content-length:") + 15
        return await self._reader.readexactly(int(head[start : head.index(b"\r\n", start)]))


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def client(port: int, until: float, counts: list[int]) -> None:
    polls = Channel(*await asyncio.open_connection("127.0.0.1", port))
    posts = Channel(*await asyncio.open_connection("127.0.0.1", port))
    sid = json.loads((await polls.ask(GET % b""))[1:])["sid"].encode()
    poll = GET % (b"&sid=" + sid)
    await posts.ask(POST % (sid, 2, b"40"))
    heard = b""
    while b'42["welcome"' not in heard:
        heard += await polls.ask(poll)
    while time.monotonic() < until:
        await posts.ask(POST % (sid, len(MESSAGE), MESSAGE))
        while b'42["response"' not in await polls.ask(poll):
            pass
        counts[0] += 1


async def main(port: int, clients: int, seconds: float, pid: int) -> None:
    counts = [0]
    begun, spent = time.monotonic(), cpu(pid)
    await asyncio.gather(*(client(port, begun + seconds, counts) for _ in range(clients)))
    passed, spent = time.monotonic() - begun, cpu(pid) - spent
    line = {"rate": counts[0] / passed, "per_cpu_s": counts[0] / spent, "srv_cpu": spent / passed}
    print(json.dumps({**line, "errors": 0, "missing": 0, "bound": "", "noisy": 0}))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
