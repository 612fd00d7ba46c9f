"""The direct path: HTTP/1.1 as it is spoken, however its bytes arrive, and the ways out of it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.web import RequestHandler

from ahd.servers import direct, httprules
from ahd.servers.decision import Refuse
from ahd.servers.front import Front
from ahd.servers.http import HttpRequest, HttpResponse, origin_form
from ahd.servers.httphead import Request
from ahd.servers.web.application import application, direct_client, http_server
from ahd.servers.web.files import Files
from ahd.servers.web.site import Mount, Site
from tests.web.serving import DEADLINE, exchange, head, parse, until

FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on either kind of loop. What the loop reports as an error fails it."""

    async def watched(**arguments: Any) -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        await test(**arguments)
        assert not reports, reports

    def run(loop: str, **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=FACTORIES[loop]) as runner:
            runner.run(watched(**arguments))

    known = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    functools.update_wrapper(run, test)
    del run.__wrapped__  # type: ignore[attr-defined]
    run.__signature__ = known.replace(parameters=[*known.parameters.values(), loop])  # type: ignore[attr-defined]
    return pytest.mark.parametrize("loop", FACTORIES)(run)


def echo(request: HttpRequest) -> HttpResponse:
    text = f"{request.method} {request.path}?{request.query} {request.headers.get('x', '')} "
    return HttpResponse(200, [("Content-Type", "text/plain")], text.encode() + request.body)


async def later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0.005)
    return echo(request)


class Running:
    def __init__(self, port: int, server: direct.Direct, front: Front, site: Site) -> None:
        self.port = port
        self.server = server
        self.front = front
        self.site = site
        self.asked: list[Request] = []


@asynccontextmanager
async def running(*mounts: Mount, idle: float = 60, slow: float = 30) -> AsyncIterator[Running]:
    site = Site([Mount("/echo", echo, 5000), Mount("/later", later, 5000), *mounts], {}, "broken")

    class Mine(RequestHandler):
        def get(self) -> None:
            self.write("from Tornado")

    tornado = application(site)
    tornado.add_handlers(".*", [("/mine", Mine)])
    server = direct.Direct(site, direct_client, idle, slow)

    def route(request: Request) -> Any:
        result.asked.append(request)
        return Refuse(403, b"no socket here") if request.path == "/socket" else None

    front = Front(route, http_server(tornado, idle, slow, 5000), server, head_timeout=min(slow, 10))
    [(_, port)] = await front.listen_tcp("127.0.0.1", 0)
    result = Running(port, server, front, site)
    try:
        yield result
    finally:
        front.close_listeners()
        front.abort_all()
        await until(lambda: not front.connections)


TRAFFIC = (
    head("GET", "/echo/1?a=b", {"X": "first"})
    + b"\r\n"
    + head("POST", "/later/2", {"Content-Length": "4"})
    + b"body"
    + head("POST", "/echo/3", {"Transfer-Encoding": "chunked"})
    + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX: trailer\r\n\r\n"
    + head("HEAD", "/echo/4")
    + head("GET", "/later/5", {"Connection": "close"})
)


def check(data: bytes) -> None:
    for method, expected in (
        ("GET", b"GET /echo/1?a=b first "),
        ("POST", b"POST /later/2?  body"),
        ("POST", b"POST /echo/3?  abcde"),
        ("HEAD", b""),
        ("GET", b"GET /later/5?  "),
    ):
        answer, data = parse(data, method)
        assert (answer.status, answer.body) == (200, expected)
    assert answer.headers["connection"] == "close"
    assert data == b""


@on_each_loop
async def test_pipelined_requests_of_every_kind() -> None:
    async with running() as server:
        check(await exchange(server.port, TRAFFIC))


@on_each_loop
async def test_bytes_may_be_split_anywhere() -> None:
    async with running() as server:

        async def split(at: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(TRAFFIC[:at])
            await writer.drain()
            await asyncio.sleep(0.002)
            writer.write(TRAFFIC[at:])
            check(await asyncio.wait_for(reader.read(), DEADLINE))
            writer.close()

        for first in range(1, len(TRAFFIC), 50):
            await asyncio.gather(*(split(at) for at in range(first, min(first + 50, len(TRAFFIC)))))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for index in range(len(TRAFFIC)):
            writer.write(TRAFFIC[index : index + 1])
            await asyncio.sleep(0)
        check(await asyncio.wait_for(reader.read(), DEADLINE))
        writer.close()


@on_each_loop
async def test_a_client_that_waits_to_be_told_to_go_on() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("POST", "/echo", {"Content-Length": "4", "Expect": "100-continue", "Connection": "close"}))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert parse(await asyncio.wait_for(reader.read(), DEADLINE))[0].body.endswith(b"body")
        writer.close()
        # Behind another request it is told once that is answered.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        waits = head("POST", "/echo", {"Content-Length": "4", "Expect": "100-Continue", "Connection": "close"})
        writer.write(head("GET", "/later/1") + waits)
        told = await asyncio.wait_for(reader.readuntil(b" 100 Continue\r\n\r\n"), DEADLINE)
        answer, rest = parse(told)
        assert (answer.body.startswith(b"GET /later/1"), rest) == (True, b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(b"body")
        assert parse(await asyncio.wait_for(reader.read(), DEADLINE))[0].body.endswith(b"body")
        writer.close()
        data = head("POST", "/echo", {"Content-Length": "9999", "Expect": "100-continue"})
        answer, rest = parse(await exchange(server.port, data))
        assert (answer.status, rest) == (413, b"")


@on_each_loop
async def test_http_1_0() -> None:
    async with running() as server:
        answer, _ = parse(await exchange(server.port, b"GET /echo HTTP/1.0\r\n\r\n"))
        assert answer.headers["connection"] == "close"
        keep = b"GET /echo/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        first, rest = parse(await exchange(server.port, keep + b"GET /echo/2 HTTP/1.0\r\n\r\n"))
        assert first.headers["connection"] == "keep-alive"
        assert parse(rest)[0].body.startswith(b"GET /echo/2")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nabc", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc", 501),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n", 413),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1389\r\n" + b"x" * 5001, 413),
        (b"BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT other:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.0\r\nHost: a/b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        (b"GET /echo\r\n\r\n", 505),
        (b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 200),
    ],
)
@on_each_loop
async def test_what_is_refused_is_answered_after_what_was_asked(data: bytes, status: int) -> None:
    async with running() as server:
        for before in (b"", head("GET", "/later/before")):
            rest = await asyncio.wait_for(exchange(server.port, before + data), DEADLINE)
            if before:
                answer, rest = parse(rest)
                assert answer.body.startswith(b"GET /later/before")
            answer, rest = parse(rest)
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            assert rest == b""


@on_each_loop
async def test_a_head_is_bounded_however_it_comes() -> None:
    async with running() as server:
        first = head("GET", "/echo")
        for data in (
            head("GET", "/echo", {"X": "y" * 20_000}),
            head("GET", "/echo?" + "y" * 20_000),
            b"GET /echo HTTP/1.1\r\nX: " + b"y" * 100_000,
            b"GET /" + b"y" * 100_000,
        ):
            for before in (b"", first):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(before)
                if before:
                    await asyncio.wait_for(reader.readuntil(b" "), DEADLINE)
                try:
                    for start in range(0, len(data), 5000):
                        writer.write(data[start : start + 5000])
                        await writer.drain()
                    raw = await asyncio.wait_for(reader.read(), DEADLINE)
                    assert b" 431 " in raw
                except ConnectionResetError:
                    pass
                writer.close()


@pytest.mark.parametrize("start", [b"0\r\nX: ", b"0\r\nX", b"0\r\n", b"1;", b"1"], ids=repr)
@on_each_loop
async def test_what_is_no_body_is_bounded_too(start: bytes) -> None:
    """A trailer, or what stands between two chunks, without an end."""
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("POST", "/echo", {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n" + start)
        piece = b"y: z\r\n" * 1000 if start == b"0\r\n" else b"1" * 7000
        answered = asyncio.ensure_future(reader.readexactly(13))
        sent = 0
        while not answered.done() and sent < 3_000_000:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        assert answered.done()
        assert re.fullmatch(rb"HTTP/1.1 4(31|00) ", answered.result())
        writer.transport.abort()
        # One in many reads with chunks among them is none of that.
        data = head("POST", "/echo", {"Transfer-Encoding": "chunked", "Connection": "close"})
        data += b"1;comment=%s\r\nx\r\n" % (b"y" * 1000) * 40 + b"0\r\n\r\n"
        assert parse(await exchange(server.port, data))[0].body.endswith(b"x" * 40)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://other/echo/1?a=b", "/echo/1?a=b"),
        ("HTTPS://other:1/echo", "/echo?"),
        ("http://other/echo?a=http://third/path", "/echo?a=http://third/path"),
    ],
)
@on_each_loop
async def test_a_whole_address_may_be_asked_for(target: str, expected: str) -> None:
    async with running() as server:
        answer, _ = parse(await exchange(server.port, head("GET", target, {"Connection": "close"})))
        assert answer.body.startswith(f"GET {expected} ".encode())


def test_a_whole_address_without_a_path() -> None:
    assert origin_form("http://other") == "/"
    assert origin_form("http://other?next=/etc") == "/?next=/etc"


@on_each_loop
async def test_the_slow_and_the_silent_are_cut_off() -> None:
    async with running(idle=0.3, slow=0.3) as server:
        done = head("GET", "/echo")
        for data, status in (
            (b"", None),
            (done, None),
            (done + b"GET /ec", 408),
            (done + head("POST", "/echo", {"Content-Length": "9"}) + b"x", 408),
        ):
            raw = await asyncio.wait_for(exchange(server.port, data), DEADLINE)
            if data:
                _, raw = parse(raw)
            assert (parse(raw)[0].status if raw else None) == status


@on_each_loop
async def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(30_000_000))
    files = Files(tmp_path, "", 60)
    mount = Mount("/files", lambda request: files.answer(request, request.path[7:]))
    async with running(mount, slow=0.5) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(head("GET", "/files/large"))
        await until(lambda: server.front.connections == 1)
        await until(lambda: server.front.connections == 0)
        writer.close()
        whole = await exchange(server.port, head("GET", "/files/large", {"Connection": "close"}))
        assert parse(whole)[0].body == (tmp_path / "large").read_bytes()


@on_each_loop
async def test_a_flood_of_requests_waits_in_the_socket() -> None:
    most = 0

    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        nonlocal most
        most = max(most, max(len(one._queue) for one in server.server._connections))
        return echo(request)

    async with running(Mount("/slow", slow)) as server:
        number = 20_000
        data = head("GET", "/slow") * number + head("GET", "/slow/last", {"Connection": "close"})
        raw = await asyncio.wait_for(exchange(server.port, data), 50)
        assert raw.count(b"HTTP/1.1 200 OK") == number + 1
        assert most < number / 2


@on_each_loop
async def test_bodies_that_wait_are_bounded() -> None:
    """Behind a request that takes its time no more of them is read than fits."""
    go_on = asyncio.Event()

    async def slow(request: HttpRequest) -> HttpResponse:
        await go_on.wait()
        return echo(request)

    async with running(Mount("/slow", slow), Mount("/big", echo, 100_000)) as server:
        body = b"x" * 100_000
        post = head("POST", "/big", {"Content-Length": str(len(body))}) + body
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("GET", "/slow") + post * 100)
        await until(lambda: len(server.server._connections) == 1)
        (connection,) = server.server._connections
        await until(lambda: connection._paused)
        assert len(connection._queue) < 10
        go_on.set()
        writer.write(head("GET", "/echo/last", {"Connection": "close"}))
        raw = await asyncio.wait_for(reader.read(), DEADLINE)
        assert raw.count(b"HTTP/1.1 200 OK") == 102
        writer.close()


@on_each_loop
async def test_answers_that_nobody_reads_are_bounded() -> None:
    """Requests come many in one read; their answers are made as the client takes them."""
    answered = 0

    def large(request: HttpRequest) -> HttpResponse:
        nonlocal answered
        answered += 1
        return HttpResponse(200, [], b"y" * 100_000)

    async with running(Mount("/large", large)) as server:
        number = 2000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(head("GET", "/large") * number + head("GET", "/large", {"Connection": "close"}))
        await until(lambda: any(connection._full for connection in server.server._connections))
        await asyncio.sleep(0.1)
        assert answered < 200
        size = 0
        while data := await asyncio.wait_for(reader.read(1 << 20), DEADLINE):
            size += len(data)
        assert answered == number + 1
        assert size > answered * 100_000
        writer.close()


@on_each_loop
async def test_what_is_left_to_tornado() -> None:
    async with running() as server:
        server.site.leave("/mine")
        rest = await exchange(server.port, head("GET", "/mine", {"Connection": "close"}))
        assert parse(rest)[0].body == b"from Tornado"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for target, expected in (("/echo", b"GET /echo"), ("/mine", b"from Tornado"), ("/echo", b"GET /echo")):
            writer.write(head("GET", target))
            raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
            length = int(raw.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            assert (await reader.readexactly(length)).startswith(expected)
        writer.close()


@on_each_loop
async def test_a_later_upgrade_is_the_fronts() -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with running() as server:
        for target, status in (("/socket", 403), ("/echo", 200)):
            for cut in (5, 1000):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(head("GET", "/echo"))
                await asyncio.wait_for(reader.readuntil(b"  "), DEADLINE)
                data = head("GET", target, upgrade)
                writer.write(data[:cut])
                await asyncio.sleep(0.01)
                writer.write(data[cut:])
                assert parse(await asyncio.wait_for(reader.read(), DEADLINE))[0].status == status
                writer.close()
        assert [request.path for request in server.asked] == ["/socket", "/socket", "/echo", "/echo"]


@on_each_loop
async def test_a_client_that_goes_cancels_what_it_asked() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def never(request: HttpRequest) -> HttpResponse:
        began.set()
        try:
            await asyncio.Future()
        finally:
            ended.set()
        raise AssertionError("not reached")

    async with running(Mount("/never", never)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("GET", "/never"))
        await asyncio.wait_for(began.wait(), DEADLINE)
        writer.close()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await until(lambda: not server.server._connections)


def test_known_names_are_bounded() -> None:
    for number in range(2000):
        assert httprules.lower_case(b"X-Name-%d" % number) == f"x-name-{number}"
    assert len(httprules.NAMES) == 1000


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(TRAFFIC)),
        st.integers(0, 3),
        st.one_of(
            st.binary(max_size=3),
            st.sampled_from(
                [b"\r\n", b"\r\n\r\n", b"\n", b"\0", b" ", b":", b"Content-Length: 7\r\n", b"HTTP/1.0", b"-1"]
            ),
        ),
    ),
    max_size=4,
)


@settings(max_examples=600, deadline=None)
@given(mutations=MUTATIONS, cuts=st.lists(st.integers(0, len(TRAFFIC)), max_size=4))
def test_whatever_bytes_come_the_answers_are_documented(
    mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    data = TRAFFIC.replace(b"/later", b"/echo")
    for at, length, put in mutations:
        data = data[:at] + put + data[at + length :]

    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        server = direct.Direct(Site([Mount("/echo", echo, 5000)], {}, "broken"), direct_client, 60, 30)
        wire = Wire()
        lost: list[Any] = []
        back: list[bytes] = []
        places = [0, *sorted(cuts), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(places) if a < b] or [b"\r\n"]
        server.serve(wire, "127.0.0.1", "http", pieces[0], lost.append, back.append)  # type: ignore[arg-type]
        for piece in pieces[1:]:
            if not wire.closed and not back:
                wire.protocol.data_received(piece)
        wire.protocol.connection_lost(None)
        assert len(lost) == 1
        assert not reports
        assert not server._connections
        statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", wire.written)}
        assert statuses <= {100, 200, 400, 404, 405, 413, 431, 501, 505}, wire.written

    asyncio.run(main())
