"""The Tornado shell around services: bodies and their limits, failures, clients that go, and Socket.IO's resource."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from ahd.servers.http import HttpRequest, HttpResponse
from ahd.servers.web.resource import resource_service
from ahd.servers.web.site import Mount, Site
from tests.web.serving import DEADLINE, ask, exchange, head, parse, serving

TEXT = [("Content-Type", "text/plain")]


def echo(request: HttpRequest) -> HttpResponse:
    text = f"{request.method} {request.path} {request.query} {request.scheme} {request.remote_address} "
    return HttpResponse(200, list(TEXT), text.encode() + request.body)


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the secret inside")


async def later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise RuntimeError("the secret inside")


def site(*mounts: Mount) -> Site:
    return Site(mounts, {"X-Powered-By": "ahd", "Cache-Control": "private"}, "Something broke.")


async def test_requests_reach_the_service_of_the_longest_prefix() -> None:
    mounts = site(Mount("/a", echo, 100), Mount("/a/b", lambda request: HttpResponse(204)), Mount("/ab", broken))
    async with serving(mounts) as port:
        answer = await ask(port, "/a/x%20y?q=1&r", "POST", body=b"body")
        assert answer.body == b"POST /a/x%20y q=1&r http 127.0.0.1 body"
        assert (answer.headers["x-powered-by"], answer.headers["cache-control"]) == ("ahd", "private")
        assert (await ask(port, "/a/b")).status == 204
        assert (await ask(port, "/a/bc")).status == 200
        assert (await ask(port, "/abc")).status == 404
        chunked = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        data = head("POST", "/a", {"Transfer-Encoding": "chunked", "Connection": "close"}) + chunked
        answer, _ = parse(await exchange(port, data))
        assert answer.body.endswith(b"abcde")


async def test_a_body_over_the_limit_is_refused_however_it_is_sent() -> None:
    async with serving(site(Mount("/a", echo, 100))) as port:
        answer = await ask(port, "/a", "POST", body=b"x" * 101)
        assert (answer.status, answer.json) == (413, {"error": "The body is too large; the limit is 100 bytes."})
        data = head("POST", "/a", {"Transfer-Encoding": "chunked"}) + b"c8\r\n" + b"x" * 200 + b"\r\n0\r\n\r\n"
        answer, _ = parse(await exchange(port, data))
        assert answer.status == 413
        assert (await ask(port, "/a", "POST", body=b"x" * 100)).status == 200


@pytest.mark.parametrize("service", [broken, later])
async def test_a_failure_inside_is_logged_and_not_shown(service: object, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(site(Mount("", service))) as port:  # type: ignore[arg-type]
        answer = await ask(port, "/a")
    assert (answer.status, answer.json) == (500, {"error": "Something broke."})
    assert b"secret" not in answer.body
    assert "the secret inside" in caplog.text


async def test_connections_are_kept_and_pipelined_requests_answered_in_order() -> None:
    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.02)
        return HttpResponse(200, list(TEXT), b"slow")

    async with serving(site(Mount("/slow", slow), Mount("/a", echo))) as port:
        data = head("GET", "/slow") + head("GET", "/a/1") + head("GET", "/a/2", {"Connection": "close"})
        rest = await exchange(port, data)
        for expected in (b"slow", b"GET /a/1", b"GET /a/2"):
            answer, rest = parse(rest)
            assert answer.body.startswith(expected)
        assert rest == b""


async def test_a_client_that_goes_cancels_what_it_asked() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def never(request: HttpRequest) -> HttpResponse:
        began.set()
        try:
            await asyncio.Future()
        finally:
            ended.set()
        raise AssertionError("not reached")

    async with serving(site(Mount("", never))) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("GET", "/"))
        await asyncio.wait_for(began.wait(), DEADLINE)
        writer.close()
        await asyncio.wait_for(ended.wait(), DEADLINE)


async def test_slow_bodies_and_silent_connections_are_ended() -> None:
    async with serving(site(Mount("/a", echo, 100)), slow=0.2, idle=0.2) as port:
        unfinished = head("POST", "/a", {"Content-Length": "50"}) + b"only some"
        await asyncio.wait_for(exchange(port, unfinished), 5)
        await asyncio.wait_for(exchange(port, b"GET /a HTT"), 5)
        await asyncio.wait_for(exchange(port, b""), 5)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"GET / HTTP/1.1\r\nHost: a\r\nbroken line\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_http_gets_no_more_than_a_status(data: bytes) -> None:
    async with serving(site(Mount("", echo, 100)), idle=0.5, slow=0.5) as port:
        raw = await asyncio.wait_for(exchange(port, data), DEADLINE)
    assert raw == b"" or raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"HTTP/1.1 408 ")), raw
    assert b"Traceback" not in raw
    assert b"ornado" not in raw


async def test_whoever_reads_is_told_of_every_answer() -> None:
    told: list[tuple[str, int]] = []
    watched = site(Mount("/a", echo, 10), Mount("/b", later))
    watched.observe = lambda request, response, seconds: told.append((request.path, response.status))
    logging.getLogger("ahd.web").disabled = True
    try:
        async with serving(watched) as port:
            for target in ("/a", "/b", "/c"):
                await ask(port, target)
            await ask(port, "/a", "POST", body=b"x" * 11)
    finally:
        logging.getLogger("ahd.web").disabled = False
    assert told == [("/a", 200), ("/b", 500), ("/c", 404), ("/a", 413)]


def browser_file(name: str, headers: Mapping[str, str], method: str) -> tuple[int, dict[str, str], bytes]:
    if name != "socket.io.js":
        return 404, {"Content-Type": "text/plain"}, b"no such file"
    body = b"" if method == "HEAD" else b"the client"
    return 200, {"Content-Type": "text/javascript", "Content-Length": "10"}, body


async def test_what_is_below_the_resource() -> None:
    def polling(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, list(TEXT), b"poll " + request.query.encode())

    service = resource_service("/socket.io", polling, browser_file)
    async with serving(site(Mount("/socket.io", service, 100))) as port:
        assert (await ask(port, "/socket.io/?EIO=4")).body == b"poll EIO=4"
        assert (await ask(port, "/socket.io?EIO=4")).body == b"poll EIO=4"
        assert (await ask(port, "/socket.io/socket.io.js")).body == b"the client"
        answer = await ask(port, "/socket.io/socket.io.js", "HEAD")
        assert answer.headers["content-length"] == "10"
        assert (await ask(port, "/socket.io/none")).status == 404
        for old in ("/socket.io/1/?t=1353500000", "/socket.io/1", "/socket.io/1/xhr-polling/4d4f185e96a7b?t=1"):
            answer = await ask(port, old)
            assert answer.status == 400
            assert "socket.io-client 4.x" in answer.json["error"]
            assert "/socket.io/socket.io.js" in answer.json["error"]
