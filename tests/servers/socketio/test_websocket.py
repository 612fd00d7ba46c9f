"""The endpoint on real sockets, on both loops: with the client of `websockets`, and with bytes no client would send."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import deque
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ahd.servers.socketio import frames
from ahd.servers.socketio.deflate import DeflateOptions
from ahd.servers.socketio.frames import BINARY, CLOSE, PING, PONG, TEXT
from ahd.servers.socketio.websocket import WebSocket
from tests.harness.waiting import eventually_async
from tests.servers.conftest import Run
from tests.servers.fronts import Recorder, client, handshake, site
from tests.servers.socketio.test_frames import BAD, frame


def test_a_client_is_echoed(run: Run):
    async def main():
        async with site() as here:
            async with connect(f"ws://127.0.0.1:{here.port}/ws", compression=None, max_size=None) as socket:
                for message in (
                    "hello",
                    "žluť 🐎",
                    "",
                    b"",
                    b"\0\xff",
                    "x" * 125,
                    "x" * 126,
                    "x" * 70_000,
                    b"y" * 999_999,
                ):
                    await socket.send(message)
                    assert await socket.recv() == message
                await socket.send(["frag", "men", "ted"])
                assert await socket.recv() == "fragmented"
                assert await (await socket.ping(b"payload")) >= 0
                await socket.close(4001, "enough")
            await here.gone()
            assert here.handlers[0].lost == [(4001, "enough")]
            assert socket.close_code == 4001

    run(main())


def test_a_message_in_the_packet_of_the_handshake_is_heard(run: Run):
    async def main():
        async with site() as here, client(here.port) as peer:
            peer.send(handshake() + frame(TEXT, b"early") + frame(TEXT, b"cut")[:4])
            assert (await peer.answer())[0] == 101
            assert await peer.frame() == (0x81, b"early")
            peer.send(frame(TEXT, b"cut")[4:])
            assert await peer.frame() == (0x81, b"cut")

    run(main())


def test_what_is_written_on_opening_leaves_with_the_response(run: Run):
    class Greeter(Recorder):
        def __init__(self, websocket: WebSocket) -> None:
            super().__init__(websocket)
            websocket.send_text(b"0{}")

    async def main():
        async with site(handler=Greeter) as here, client(here.port) as peer:
            await peer.upgrade()
            assert await peer.frame() == (0x81, b"0{}")

    run(main())


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_a_violation_is_answered_with_its_code(data, code):
    async def main():
        async with site(max_size=1100) as here, client(here.port) as peer:
            await peer.upgrade()
            peer.send(frame(BINARY, b"before") + data + frame(BINARY, b"after"))
            assert await peer.frame() == (0x82, b"before")
            if data.startswith(frame(TEXT, b"a")):
                assert await peer.frame() == (0x81, b"a")
            closed = await peer.closed()
            assert closed[0] == code
            async with asyncio.timeout(3):  # less than close_timeout
                assert await peer.ended() == b""  # at once, as RFC 6455, 7.1.1 wants it of a server
            peer.hang_up()
            await here.gone()
            assert here.handlers[0].lost == [closed]

    asyncio.run(main())


def test_one_read_is_answered_with_one_write(run: Run):
    async def main():
        async with site() as here, client(here.port) as peer:
            await peer.upgrade()
            (websocket,) = here.front.websockets
            writes: list[bytes] = []
            transport = websocket._transport

            class Watched:
                def write(self, data: bytes) -> None:
                    writes.append(data)
                    transport.write(data)

                def __getattr__(self, name: str) -> Any:
                    return getattr(transport, name)

            websocket._transport = Watched()  # type: ignore[assignment]
            peer.send(b"".join(frame(TEXT, b"%d" % i) for i in range(30)))
            for i in range(30):
                assert await peer.frame() == (0x81, b"%d" % i)
            assert len(writes) == 1
            peer.send(b"".join(frame(TEXT, b"%d" % i) for i in range(1000)))  # but not without bound
            for i in range(1000):
                assert await peer.frame() == (0x81, b"%d" % i)
            assert 1 < len(writes) < 60
            websocket._transport = transport

    run(main())


class TestClosing:
    def test_by_this_side(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                await peer.upgrade()
                handler = here.handlers[0]
                handler.websocket.close(4000, "because")
                assert not handler.websocket.open
                handler.websocket.send_text(b"not sent")
                handler.websocket.close(1000)
                assert await peer.closed() == (4000, "because")
                assert handler.lost == []
                peer.say(TEXT, b"not heard")
                peer.say(CLOSE, b"\x0f\xa0")
                assert await peer.ended() == b""
                await here.gone()
                assert handler.lost == [(4000, "because")]
                assert handler.heard == []

        run(main())

    def test_from_within_a_message(self, run: Run):
        class Closer(Recorder):
            def on_text(self, data: bytes) -> None:
                super().on_text(data)
                self.websocket.close(4002)

        async def main():
            async with site(handler=Closer) as here, client(here.port) as peer:
                await peer.upgrade()
                peer.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
                assert await peer.frame() == (0x81, b"one")
                assert await peer.closed() == (4002, "")
                peer.hang_up()
                await here.gone()
                assert here.handlers[0].lost == [(4002, "")]
                assert here.handlers[0].heard == [b"one"]

        run(main())

    def test_a_peer_that_never_answers_is_cut_off(self, run: Run):
        async def main():
            async with site(close_timeout=0.1) as here, client(here.port) as peer:
                await peer.upgrade()
                here.handlers[0].websocket.close(1001, "going")
                await here.gone()
                assert here.handlers[0].lost == [(1001, "going")]

        run(main())

    def test_a_peer_that_says_close_but_does_not_read_is_cut_off(self, run: Run):
        async def main():
            async with site(close_timeout=0.2, high_water=1 << 24) as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                handler = here.handlers[0]
                handler.websocket.send_binary(bytes(8 << 20))
                peer.say(CLOSE, b"\x03\xe8")
                await here.gone()
                assert handler.lost == [(1000, "")]

        run(main())

    def test_abort(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                await peer.upgrade()
                handler = here.handlers[0]
                handler.websocket.abort()
                assert handler.lost == []  # from the loop, not from within
                handler.websocket.abort()
                await here.gone()
                assert handler.lost == [(1006, "")]

        run(main())

    @pytest.mark.parametrize("how", ["eof", "reset", "eof in a frame"])
    def test_by_a_peer_that_is_gone(self, run: Run, how):
        async def main():
            async with site() as here, client(here.port) as peer:
                await peer.upgrade()
                peer.say(TEXT, b"last")
                await peer.frame()
                if how == "reset":
                    peer.hang_up()
                else:
                    if how == "eof in a frame":
                        peer.send(b"\x81\x85abcd")
                    peer.writer.write_eof()
                    await peer.ended()
                await here.gone()
                assert here.handlers[0].lost == [(1006, "")]

        run(main())

    def test_without_a_code(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                await peer.upgrade()
                peer.say(CLOSE)
                assert await peer.closed() == (1005, "")
                assert await peer.ended() == b""
                await here.gone()
                assert here.handlers[0].lost == [(1005, "")]

        run(main())


@pytest.mark.parametrize("where", ["on_text", "on_binary", "opening"])
def test_a_failing_handler_closes_with_1011(run: Run, where, caplog):
    class Failing(Recorder):
        def __init__(self, websocket: WebSocket) -> None:
            super().__init__(websocket)
            if where == "opening":
                raise RuntimeError("secret")

        def on_text(self, data: bytes) -> None:
            raise RuntimeError("secret")

        on_binary = on_text

    async def main():
        async with site(handler=Failing) as here, client(here.port) as peer:
            await peer.upgrade()
            peer.say(BINARY if where == "on_binary" else TEXT, b"x")
            assert await peer.closed() == (1011, "")
            peer.hang_up()
            await here.gone()
            assert [handler.lost for handler in here.handlers] == ([] if where == "opening" else [[(1011, "")]])

    run(main())
    assert "secret" in caplog.text


class TestSlowReader:
    def test_unsent_bytes_are_bounded(self, run: Run):
        """The peer sends and never reads: the echo of all it says must not pile up."""

        async def main():
            async with site(high_water=500_000) as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                handler = here.handlers[0]
                for _ in range(1000):
                    peer.say(BINARY, bytes(10_000))
                    await peer.writer.drain()
                await eventually_async(lambda: len(handler.heard) == 1000)
                assert handler.full
                assert handler.websocket.paused
                assert handler.websocket.buffered() <= 500_000
                sent = 1000 - len(handler.full)
                for _ in range(sent):  # what was taken arrives whole
                    assert await peer.frame() == (0x82, bytes(10_000))
                await eventually_async(lambda: handler.drained == 1)
                assert not handler.websocket.paused
                peer.say(TEXT, b"again")
                assert await peer.frame() == (0x81, b"again")

        run(main())

    def test_one_frame_is_always_taken(self, run: Run):
        async def main():
            async with site(high_water=1000, max_size=1 << 20) as here, client(here.port) as peer:
                await peer.upgrade()
                peer.say(BINARY, bytes(700_000))
                assert await peer.frame() == (0x82, bytes(700_000))
                assert here.handlers[0].full == []

        run(main())

    def test_a_backlog_keeps_the_order(self, run: Run):
        class Holding(Recorder):
            """Keeps the latest 500 frames, as dropping the oldest does."""

            def __init__(self, websocket: WebSocket) -> None:
                super().__init__(websocket)
                self.backlog: deque[bytes] = deque(maxlen=500)

            def on_text(self, data: bytes) -> None:
                for i in range(12_000):
                    self.websocket.send_text(b"%05d" % i + bytes(1000))

            def on_full(self, frame: bytes) -> None:
                self.full.append(frame)
                self.backlog.append(frame)

            def on_drain(self) -> None:
                super().on_drain()
                while self.backlog and not self.websocket.paused:
                    self.websocket.write(self.backlog.popleft())

        async def main():
            async with site(handler=Holding, high_water=300_000) as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                peer.say(TEXT, b"go")
                numbers: list[int] = []
                while not numbers or numbers[-1] != 11_999:
                    numbers.append(int((await peer.frame())[1][:5]))
                assert numbers == sorted(set(numbers))
                assert 500 <= len(numbers) < 12_000
                assert numbers[-500:] == list(range(11_500, 12_000))
                assert here.handlers[0].drained >= 1
                here.handlers[0].websocket.send_text(b"after")
                assert await peer.frame() == (0x81, b"after")

        run(main())

    def test_nothing_overtakes_a_backlog_that_is_left_after_a_drain(self):
        class Transport:
            size = 0

            def set_write_buffer_limits(self, high: int) -> None: ...
            def write(self, data: bytes) -> None: ...
            def get_write_buffer_size(self) -> int:
                return self.size

        transport: Any = Transport()
        websocket = WebSocket(transport, None, lambda _: None, max_size=9, high_water=100_000, close_timeout=1)

        class Stuck(Recorder):
            def on_drain(self) -> None:
                websocket.pause_writing()  # the first frame written from the backlog has filled the transport again

        handler = Stuck(websocket)
        websocket.start(lambda _: handler, b"", b"")
        transport.size = 100_000
        websocket.pause_writing()
        websocket.write(b"1")
        transport.size = 70_000
        websocket.resume_writing()
        websocket.write(b"2")  # there is room for it, but "1" may still be waiting
        assert handler.full == [b"1", b"2"]

    def test_disconnecting(self, run: Run):
        class Strict(Recorder):
            def on_full(self, frame: bytes) -> None:
                super().on_full(frame)
                self.websocket.abort()

        async def main():
            async with site(handler=Strict, high_water=300_000) as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                for _ in range(10_000):
                    peer.say(BINARY, bytes(10_000))
                    try:
                        await peer.writer.drain()
                    except ConnectionError:
                        break
                await here.gone()
                assert here.handlers[0].lost == [(1006, "")]
                assert len(here.handlers[0].full) == 1

        run(main())


class TestPings:
    def test_are_answered(self, run: Run):
        async def main():
            async with site() as here, client(here.port) as peer:
                await peer.upgrade()
                peer.say(PING, b"one")
                assert await peer.frame() == (0x8A, b"one")
                peer.say(PONG, b"unasked")
                peer.send(frame(PING, b"two") + frame(TEXT, b"text") + frame(PING, b"three"))
                assert await peer.frame() == (0x81, b"text")
                assert await peer.frame() == (0x8A, b"three")  # of one read, the latest

        run(main())

    def test_of_a_peer_that_does_not_read_cost_nothing_and_end_it(self, run: Run):
        async def main():
            async with site(close_timeout=0.3) as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                websocket = here.handlers[0].websocket
                websocket.send_binary(bytes(8 << 20))
                assert websocket.paused
                before = websocket.buffered()
                for _ in range(200):
                    if peer.writer.transport.is_closing():
                        break
                    peer.say(PING, b"x" * 125)
                    await asyncio.sleep(0.002)
                    assert websocket.buffered() < before + 1000
                await here.gone()
                assert here.handlers[0].lost == [(1008, "too many pings")]

        run(main())

    def test_a_pong_that_had_to_wait_is_sent(self, run: Run):
        async def main():
            async with site() as here, client(here.port, small=True) as peer:
                await peer.upgrade()
                websocket = here.handlers[0].websocket
                websocket.send_binary(bytes(8 << 20))
                peer.say(PING, b"first")
                peer.say(PING, b"second")
                await eventually_async(lambda: websocket._pong == b"second")
                assert (await peer.frame())[0] == 0x82
                assert await peer.frame() == (0x8A, b"second")

        run(main())


@pytest.mark.parametrize("options", [DeflateOptions(), DeflateOptions(context_takeover=True)], ids=["fresh", "kept"])
def test_compression(run: Run, options):
    async def main():
        async with site(deflate=options, max_size=100_000) as here:
            async with connect(f"ws://127.0.0.1:{here.port}/ws", compression="deflate") as socket:
                assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
                for message in ("short", "long " * 2000, b"long " * 2000, "žluť" * 1000, "short"):
                    await socket.send(message)
                    assert await socket.recv() == message
                await socket.send("bomb" * 30_000)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009
            async with connect(f"ws://127.0.0.1:{here.port}/ws", compression=None) as socket:
                await socket.send("long " * 2000)
                assert await socket.recv() == "long " * 2000

    run(main())


def test_compression_is_off_unless_configured(run: Run):
    async def main():
        async with site() as here, connect(f"ws://127.0.0.1:{here.port}/ws", compression="deflate") as socket:
            assert socket.protocol.extensions == []

    run(main())


def test_compressed_frames_are_never_handed_back(run: Run):
    """Dropping one would leave the peer's decompressor behind."""

    async def main():
        options = DeflateOptions(context_takeover=True)
        async with site(deflate=options, high_water=200_000) as here, client(here.port, small=True) as peer:
            await peer.upgrade(Sec_WebSocket_Extensions="permessage-deflate")
            handler = here.handlers[0]
            handler.websocket.write(frames.encode_binary(bytes(6 << 20)))
            assert handler.websocket.paused
            for _ in range(10):
                handler.websocket.send_text(b"long " * 2000)
                handler.websocket.send_binary(b"long " * 2000)
            assert {frame[0] for frame in handler.full} == {0x81, 0x82}

    run(main())


def test_an_idle_connection_holds_no_buffers():
    """Python's own memory, without the transport's; the figure is printed."""

    class Transport:
        def set_write_buffer_limits(self, high: int) -> None: ...
        def write(self, data: bytes) -> None: ...

    transport: Any = Transport()
    count = 1000
    recorder: Any = object()
    kept = [WebSocket(transport, None, lambda _: None, max_size=1000, high_water=1000, close_timeout=1)]
    tracemalloc.start()
    try:
        for _ in range(count):
            websocket = WebSocket(transport, None, print, max_size=1_000_000, high_water=1 << 20, close_timeout=5)
            websocket.start(lambda _: recorder, b"", b"")
            websocket.data_received(frame(PING))
            websocket.data_received(frame(PONG, b"x" * 20)[:9])
            websocket.data_received(frame(PONG, b"x" * 20)[9:])
            kept.append(websocket)
        each = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    print(f"{each:.0f} bytes per idle connection")
    assert each < 500
