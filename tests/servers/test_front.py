"""The listening sockets: what stays, what goes to Tornado and comes back, and what is refused, on both loops."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from websockets.asyncio.client import connect, unix_connect

from ahd.servers.decision import Accept, Refuse
from tests.harness.waiting import eventually_async
from tests.servers.conftest import Run
from tests.servers.fronts import Big, Client, Recorder, Site, Slow, client, handshake, site
from tests.servers.socketio.test_frames import frame

GET = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
TEXT = 0x1


class TestTornado:
    def test_is_given_plain_requests_and_keeps_the_connection(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                for _ in range(3):
                    peer.send(GET)
                    status, fields, body = await peer.answer()
                    assert status == 200
                    assert json.loads(body) == {"path": "/hello", "protocol": "http", "ip": "127.0.0.1"}
                    assert fields["server"].startswith("Tornado")
                assert here.front.connections == 1
                assert here.requests == []

        run(main())

    def test_is_given_pipelined_requests(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(GET * 20)
                for _ in range(20):
                    assert (await peer.answer())[0] == 200

        run(main())

    @pytest.mark.parametrize("cut", [1, 7, 1000])
    def test_is_given_bodies_wherever_they_are_cut(self, run: Run, cut):
        async def main():
            async with site() as here, client(here.port) as peer:
                body = bytes(range(256)) * 4
                plain = b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                chunked = b"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                chunked += b"%x\r\n" % 1000 + body[:1000] + b"\r\n%x\r\n" % 24 + body[1000:] + b"\r\n0\r\n\r\n"
                for request in (plain, chunked):
                    for i in range(0, len(request), cut):
                        peer.send(request[i : i + cut])
                        if i % 64 == 0:
                            await asyncio.sleep(0)
                    status, _, answer = await peer.answer()
                    assert (status, answer) == (200, body)

        run(main())

    def test_is_given_large_bodies_and_sends_large_answers(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                body = os.urandom(5_000_000)
                peer.send(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert (await peer.answer())[2] == body
                peer.send(b"GET /big?chunks=50 HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await peer.answer())[2] == b"x" * 5_000_000

        run(main())

    def test_waits_for_a_client_that_does_not_read(self, run: Run):
        async def main():
            async with site() as here, client(here.port, small=True) as peer:
                peer.send(b"GET /big?chunks=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
                before = -1
                while before != Big.sent or not before:
                    before = Big.sent
                    await asyncio.sleep(0.1)
                assert 0 < Big.sent < 200  # what the kernel takes, and no more
                await peer.reader.readexactly(6_000_000)
                await eventually_async(lambda: before < Big.sent)

        run(main())

    def test_does_not_take_in_what_it_does_not_read(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                waiting = Slow.waiting
                peer.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                await eventually_async(lambda: Slow.waiting == waiting + 1)
                peer.send(bytes(30_000_000))
                before = -1
                while before != (left := peer.writer.transport.get_write_buffer_size()):
                    before = left
                    await asyncio.sleep(0.1)
                assert left > 15_000_000

        run(main())

    @pytest.mark.parametrize("how", ["reset", "close", "half-close"])
    def test_hears_that_a_poll_was_left(self, run: Run, how):
        async def main():
            async with site() as here, client(here.port) as peer:
                waiting, gone = Slow.waiting, Slow.gone
                peer.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                await eventually_async(lambda: Slow.waiting == waiting + 1)
                if how == "reset":
                    peer.hang_up()
                elif how == "close":
                    peer.writer.close()
                else:
                    peer.writer.write_eof()
                await eventually_async(lambda: Slow.gone == gone + 1)
                await here.gone()

        run(main())

    def test_closes_what_is_not_kept_alive(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(b"GET /hello HTTP/1.0\r\n\r\n")
                assert (await peer.answer())[0] == 200
                assert await peer.ended() == b""
                await here.gone()

        run(main())

    @pytest.mark.parametrize(
        "head", [b"nonsense\r\n\r\n", b"GET / HTTP/3.7\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    )
    def test_answers_what_is_no_request(self, run: Run, head):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(head)
                assert (await peer.ended()).startswith(b"HTTP/1.1 400 ")
                await here.gone()

        run(main())

    def test_limits_the_head_of_a_later_request(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(GET)
                await peer.answer()
                peer.send(b"GET /hello HTTP/1.1\r\nX: " + b"x" * 50_000)
                await peer.ended()
                await here.gone()

        run(main())


class TestUpgrade:
    @pytest.mark.parametrize(
        "fields",
        [
            {"Upgrade": "WebSocket"},
            {"Connection": "keep-alive, Upgrade"},
            {"Connection": "upgrade"},
            {"Upgrade": "h2c, websocket"},
            {"Connection": "Keep-Alive", "connection": "UPGRADE"},
            {"Content_Length": "0"},
            {"Host": "[::1]:8080"},
        ],
    )
    @pytest.mark.parametrize("kept", [False, True], ids=["first", "kept alive"])
    def test_field_names_and_tokens_ignore_case(self, fields, kept):
        async def main():
            async with site() as here, client(here.port) as peer:
                if kept:
                    peer.send(GET)
                    assert (await peer.answer())[0] == 200
                assert (await peer.upgrade(**fields))["upgrade"] == "websocket"
                assert [request.path for request in here.requests] == ["/ws"]

        asyncio.run(main())

    def test_the_request_is_what_was_sent(self, run: Run):
        async def main():
            async with site() as here:
                for kept in (False, True):
                    async with client(here.port) as peer:
                        if kept:
                            peer.send(GET)
                            await peer.answer()
                        await peer.upgrade(
                            "/ws?EIO=4&transport=websocket&a=%2F&a=2&b=", Cookie="a=1", X_Some="é", x_some="2"
                        )
                first, second = here.requests
                for request in (first, second):
                    assert (request.method, request.path, request.version) == ("GET", "/ws", "1.1")
                    assert request.query == "EIO=4&transport=websocket&a=%2F&a=2&b="
                    assert request.params == {"EIO": "4", "transport": "websocket", "a": "/", "b": ""}
                    assert (request.peer, request.scheme) == ("127.0.0.1", "http")
                    assert request.headers["X-SOME"] == "é, 2"
                    assert request.headers.get("cookie") == "a=1"
                    assert "ORIGIN" not in request.headers
                    assert request.headers.get("Origin", None) is None
                assert first.headers == second.headers

        run(main())

    @pytest.mark.parametrize("cut", [1, 40])
    def test_the_head_may_come_in_pieces(self, run: Run, cut):
        async def main():
            async with site() as here, client(here.port) as peer:
                data = handshake() + frame(TEXT, b"hello")
                for i in range(0, len(data), cut):
                    peer.send(data[i : i + cut])
                    await asyncio.sleep(0)
                assert (await peer.answer())[0] == 101
                assert await peer.frame() == (0x81, b"hello")

        run(main())

    def test_a_kept_connection_is_taken_back_with_what_follows(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                for _ in range(2):
                    peer.send(GET)
                    assert (await peer.answer())[0] == 200
                peer.send(handshake() + frame(TEXT, b"early") + frame(TEXT, b"cut")[:5])
                assert (await peer.answer())[0] == 101
                assert await peer.frame() == (0x81, b"early")
                peer.send(frame(TEXT, b"cut")[5:])
                assert await peer.frame() == (0x81, b"cut")
                assert (here.front.connections, len(here.front.websockets)) == (1, 1)
                assert not here.http._connections  # Tornado holds nothing of it
                peer.say(8, b"\x03\xe8")
                assert await peer.closed() == (1000, "")
                assert await peer.ended() == b""
                await here.gone()
                assert here.handlers[0].lost == [(1000, "")]

        run(main())

    def test_an_upgrade_may_be_pipelined_behind_a_request(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(GET + handshake() + frame(TEXT, b"early"))
                assert (await peer.answer())[0] == 200
                assert (await peer.answer())[0] == 101
                assert await peer.frame() == (0x81, b"early")

        run(main())

    @pytest.mark.parametrize("kept", [False, True], ids=["first", "kept alive"])
    def test_what_the_route_leaves_is_answered_by_tornado(self, run: Run, kept):
        async def main():
            async with site() as here, client(here.port) as peer:
                if kept:
                    peer.send(GET)
                    await peer.answer()
                peer.send(handshake("/elsewhere"))
                assert (await peer.answer())[0] == 404
                peer.send(handshake("/hello", method="POST", Content_Length="2") + b"hi")
                assert (await peer.answer())[::2] == (200, b"hi")
                assert [request.method for request in here.requests] == ["GET", "POST"]
                await peer.upgrade()

        run(main())

    def test_another_protocol_is_not_asked_about(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(handshake(Upgrade="h2c"))
                assert (await peer.answer())[0] == 404
                peer.send(handshake(Connection="keep-alive"))
                assert (await peer.answer())[0] == 404
                assert here.requests == []

        run(main())

    @pytest.mark.parametrize("kept", [False, True], ids=["first", "kept alive"])
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"Sec_WebSocket_Key": None}, 400),
            ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
            ({"Sec_WebSocket_Key": "not base64 at all!!!!!!!"}, 400),
            ({"Sec_WebSocket_Key": "é" * 12}, 400),
            ({"Sec_WebSocket_Version": None}, 426),
            ({"Sec_WebSocket_Version": "8"}, 426),
            ({"method": "POST"}, 400),
            ({"Host": None}, 400),
            ({"Host": "a, b"}, 400),
            ({"Content_Length": "5"}, 400),
            ({"Transfer_Encoding": "chunked"}, 400),
        ],
    )
    def test_a_bad_handshake_is_refused(self, fields, expected, kept):
        async def main():
            async with site() as here, client(here.port) as peer:
                if kept:
                    peer.send(GET)
                    await peer.answer()
                peer.send(handshake(**fields))
                status, got, body = await peer.answer()
                assert status == expected
                assert got["connection"] == "close"
                assert got.get("sec-websocket-version") == ("13" if expected == 426 else None)
                assert len(body) > 10
                assert await peer.ended() == b""
                peer.hang_up()
                await here.gone()
                assert here.handlers == []

        asyncio.run(main())

    @pytest.mark.parametrize(
        "line", [b"No colon", b"Sp ace: x", b": x", b"X-A : x", b" folded", b"X: a\0b", b"X: \x7f", b"X: a\rb"]
    )
    def test_a_malformed_head_is_refused(self, run: Run, line):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(handshake()[:-2] + line + b"\r\n\r\n")
                assert (await peer.answer())[0] == 400
                assert here.requests == []

        run(main())

    @pytest.mark.parametrize("kept", [False, True], ids=["first", "kept alive"])
    def test_the_route_may_refuse(self, run: Run, kept):
        async def main():
            refusal = Refuse(403, b'{"code":4}', [("content-type", "application/json"), ("X-Why", "origin")])
            async with site(route=lambda _: refusal) as here, client(here.port) as peer:
                if kept:
                    peer.send(GET)
                    await peer.answer()
                peer.send(handshake())
                status, fields, body = await peer.answer()
                assert (status, body) == (403, b'{"code":4}')
                assert fields["content-type"] == "application/json"
                assert fields["x-why"] == "origin"
                assert await peer.ended() == b""

        run(main())

    @pytest.mark.parametrize("kept", [False, True], ids=["first", "kept alive"])
    def test_a_failing_route_is_a_500(self, run: Run, kept, caplog):
        def route(_):
            raise RuntimeError("secret")

        async def main():
            async with site(route=route) as here, client(here.port) as peer:
                if kept:
                    peer.send(GET)
                    await peer.answer()
                peer.send(handshake())
                status, _, body = await peer.answer()
                assert status == 500
                assert b"secret" not in body

        run(main())
        assert "secret" in caplog.text

    def test_accepted_with_more_fields(self, run: Run):
        async def main():
            accept = Accept(Recorder, headers=[("Set-Cookie", "io=1"), ("Set-Cookie", "b=2")])
            async with site(route=lambda _: accept) as here, client(here.port) as peer:
                peer.send(handshake())
                head = await peer.reader.readuntil(b"\r\n\r\n")
                assert b"Set-Cookie: io=1\r\nSet-Cookie: b=2\r\n" in head

        run(main())


class TestHeads:
    @pytest.mark.parametrize("tail", [b"", b"\r\n\r\n"])
    def test_a_head_that_is_too_big_is_refused(self, run: Run, tail):
        async def main():
            async with site() as here, client(here.port) as peer:
                peer.send(b"GET /hello HTTP/1.1\r\nX: " + b"x" * 17_000 + tail)
                assert (await peer.answer())[0] == 431
                peer.send(b"y" * 100_000)
                await peer.ended()
                peer.hang_up()
                await here.gone()

        run(main())

    def test_a_head_that_comes_too_slowly_is_refused(self, run: Run):
        async def main():
            async with (
                site(front={"head_timeout": 0.3}) as here,
                client(here.port) as slow,
                client(here.port) as silent,
            ):
                slow.send(GET[:10])
                assert (await slow.answer())[0] == 408
                assert await slow.ended() == b""
                assert await silent.ended() == b""
                silent.hang_up()
                slow.hang_up()
                await here.gone()

        run(main())

    def test_a_refused_client_that_does_not_hang_up_is_cut_off(self, run: Run, monkeypatch):
        monkeypatch.setattr("ahd.servers.front._LINGER", 0.2)

        async def main():
            async with site(route=lambda _: Refuse(403)) as here, client(here.port) as peer:
                peer.send(handshake())
                assert (await peer.answer())[0] == 403
                await here.gone()

        run(main())

    def test_what_is_gone_before_it_asked_leaves_nothing(self, run: Run):
        async def main():
            async with site() as here:
                for data in (b"", b"GET / HT", GET[:-1]):
                    for reset in (False, True):
                        async with client(here.port) as peer:
                            peer.send(data)
                            await eventually_async(lambda: here.front.connections == 1)
                            if reset:
                                peer.hang_up()
                            else:
                                peer.writer.write_eof()
                                assert await peer.ended() == b""
                            await here.gone()

        run(main())


class TestTls:
    def test_both_kinds(self, run: Run, server_tls, client_tls):
        async def main():
            async with site(server_tls) as here:
                async with client(here.port, ssl=client_tls, server_hostname="localhost") as peer:
                    peer.send(GET)
                    assert json.loads((await peer.answer())[2])["protocol"] == "https"
                    body = os.urandom(3_000_000)
                    peer.send(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    assert (await peer.answer())[2] == body
                    peer.send(handshake() + frame(TEXT, b"early"))
                    assert (await peer.answer())[0] == 101
                    assert await peer.frame() == (0x81, b"early")
                    assert here.requests[0].scheme == "https"
                async with connect(f"wss://localhost:{here.port}/ws", ssl=client_tls) as ws:
                    for message in ("hello", "x" * 500_000, b"\0" * 70_000):
                        await ws.send(message)
                        assert await ws.recv() == message
                await here.gone()
                assert [handler.lost[0][0] for handler in here.handlers] == [1006, 1000]

        run(main())

    @pytest.mark.parametrize("how", ["violation", "refused", "closed", "aborted"])
    def test_every_end(self, run: Run, server_tls, client_tls, how):
        async def main():
            async with (
                site(server_tls, close_timeout=1.0) as here,
                client(here.port, ssl=client_tls, server_hostname="localhost") as peer,
            ):
                if how == "refused":
                    peer.send(handshake(Sec_WebSocket_Version="7"))
                    assert (await peer.answer())[0] == 426
                else:
                    await peer.upgrade()
                    if how == "violation":
                        peer.send(b"\xff" * 100)
                        assert (await peer.closed())[0] == 1002
                    elif how == "closed":
                        here.handlers[0].websocket.close(4000)
                        assert await peer.closed() == (4000, "")
                        peer.say(8, b"\x0f\xa0")
                    else:
                        here.front.abort_all()
                assert await peer.ended() == b""
                peer.writer.close()
                await here.gone()

        run(main())

    def test_a_slow_reader_is_bounded(self, run: Run, server_tls, client_tls):
        async def main():
            options = {"ssl": client_tls, "server_hostname": "localhost"}
            async with site(server_tls, high_water=500_000) as here, client(here.port, small=True, **options) as peer:
                await peer.upgrade()
                websocket = here.handlers[0].websocket
                for _ in range(20):
                    for _ in range(100):
                        websocket.send_binary(bytes(10_000))
                    await asyncio.sleep(0)
                assert here.handlers[0].full
                assert websocket.buffered() <= 500_000

        run(main())

    def test_a_client_without_tls_is_turned_away(self, run: Run, server_tls, client_tls):
        async def main():
            async with site(server_tls) as here:
                async with client(here.port) as peer:
                    peer.send(GET)
                    await peer.ended()
                async with client(here.port, ssl=client_tls, server_hostname="localhost") as peer:
                    peer.send(GET)
                    assert (await peer.answer())[0] == 200

        run(main())


def exists(path: str) -> bool:
    return os.path.exists(path)


def replace(path: str) -> None:
    """Put a file of somebody else's in its place."""
    Path(path).rename(f"{path}.old")
    Path(path).write_text("somebody else's")


class TestListeners:
    def test_unix_socket(self, run: Run, tmp_path: Path):
        path = str(tmp_path / "ahd.sock")

        async def main():
            here = Site()
            await here.front.listen_unix(path)
            assert os.stat(path).st_mode & 0o777 == 0o660
            peer = Client(*await asyncio.open_unix_connection(path))
            peer.send(GET)
            assert (await peer.answer())[0] == 200
            await peer.upgrade()
            assert here.requests[0].peer == "unix"
            async with unix_connect(path, "ws://localhost/ws") as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"
            assert [request.peer for request in here.requests] == ["unix", "unix"]
            with pytest.raises(OSError, match="in use"):
                await Site().front.listen_unix(path)
            here.front.close_listeners()
            assert not exists(path)
            peer.writer.close()
            await here.gone()

        run(main())

    def test_a_unix_socket_nobody_listens_on_is_replaced(self, run: Run, tmp_path: Path):
        path = str(tmp_path / "ahd.sock")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)

        async def main():
            here = Site()
            await here.front.listen_unix(path)
            peer = Client(*await asyncio.open_unix_connection(path))
            peer.send(GET)
            assert (await peer.answer())[0] == 200
            peer.writer.close()
            replace(path)
            here.front.close_listeners()
            assert exists(path)
            with pytest.raises(FileExistsError):
                await here.front.listen_unix(path)
            await here.gone()

        run(main())

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
    def test_a_socket_that_is_open_already(self, run: Run, tmp_path: Path, family):
        async def main():
            here = Site()
            sock = socket.socket(family)
            sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "s"))
            sock.listen()
            name = sock.getsockname()
            await here.front.listen_socket(sock)
            if family == socket.AF_INET:
                peer = Client(*await asyncio.open_connection(*name))
            else:
                peer = Client(*await asyncio.open_unix_connection(name))
            await peer.upgrade()
            assert here.requests[0].peer == ("127.0.0.1" if family == socket.AF_INET else "unix")
            peer.writer.close()
            here.front.close_listeners()
            assert family == socket.AF_INET or exists(name)  # systemd's, not ours
            await here.gone()

        run(main())

    def test_a_taken_port_is_an_error(self, run: Run):
        async def main():
            async with site() as here:
                with pytest.raises(OSError, match="in use"):
                    await Site().front.listen_tcp("127.0.0.1", here.port)

        run(main())

    def test_open_connections_outlive_the_listeners(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as kept, client(here.port) as peer:
                kept.send(GET)
                await kept.answer()
                await peer.upgrade()
                here.front.close_listeners()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", here.port)
                peer.say(TEXT, b"still here")
                assert await peer.frame() == (0x81, b"still here")
                kept.send(GET)
                assert (await kept.answer())[0] == 200
                assert here.front.connections == 2
                assert here.front.websockets == {here.handlers[0].websocket}
                here.front.abort_all()
                await here.gone()
                assert here.handlers[0].lost == [(1006, "")]

        run(main())

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_no_descriptors_left(self, loop):
        """A client too many is not served; the loop neither spins nor forgets the listener."""
        script = textwrap.dedent(
            f"""
            import asyncio, os, resource, socket, time, uvloop
            from tests.servers.fronts import client, handshake, site

            async def main():
                loop = asyncio.get_running_loop()
                loop.set_exception_handler(lambda *_: None)
                async with site() as here:
                    peers = []
                    contexts = [client(here.port) for _ in range(5)]
                    for context in contexts:
                        peers.append(await context.__aenter__())
                        await peers[-1].upgrade()
                    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                    outside = [socket.socket() for _ in range(5)]
                    resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, hard))
                    for sock in outside:
                        sock.setblocking(False)
                        try:
                            sock.connect(("127.0.0.1", here.port))
                        except BlockingIOError:
                            pass
                    cpu = time.process_time()
                    await asyncio.sleep(1.5)
                    cpu = time.process_time() - cpu
                    assert cpu < 0.75, cpu
                    assert here.front.connections == 5
                    peers[0].say(1, b"alive")
                    assert await peers[0].frame() == (0x81, b"alive")
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    for sock in outside:
                        sock.close()
                    deadline = time.monotonic() + 5
                    while True:
                        try:
                            async with client(here.port) as late:
                                await late.upgrade()
                                break
                        except (OSError, asyncio.IncompleteReadError):
                            assert time.monotonic() < deadline
                            await asyncio.sleep(0.1)
                    for context in contexts:
                        await context.__aexit__(None, None, None)
                    print("served again", cpu)

            ({loop}.run if {loop!r} == "uvloop" else asyncio.run)(main())
            """
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr
        assert "served again" in done.stdout


def test_the_application_must_be_tornados():
    from tornado.httpserver import HTTPServer

    from ahd.servers.front import Front

    with pytest.raises(TypeError):
        Front(lambda _: None, HTTPServer(lambda _: None))
