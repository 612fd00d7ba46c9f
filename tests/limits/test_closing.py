"""Before the server closes a connection it says why and whether to come back, on every transport."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from ahd.core.errors import CLOSING_CODES
from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import ROOT, Daemon
from tests.harness.raw import Polling, WebSocket, request
from tests.keys.proving import Lines
from tests.limits.test_slow_consumer import BUFFER, MESSAGE, SAYS, Deaf


def closing(code: str, reason: str, reconnect: bool = True, **more: Any) -> dict[str, Any]:
    return {"code": code, "reason": reason, "reconnect": reconnect, **more, "context": "api"}


def told(packet: str, namespace: str = "") -> dict[str, Any]:
    """The data of a closing event as a packet."""
    event, data = json.loads(packet.removeprefix(f"42{namespace}"))
    assert event == "closing"
    assert isinstance(data, dict)
    return data


PLUGIN = """
def plug(app):
    @app.sio.on("connect", namespace="/other")
    async def connect(sid, environ):
        pass

    @app.sio.on("go")
    async def go(sid, *_):
        await app.sio.disconnect(sid)

    from ahd.core.errors import Disconnect

    @app.sio.on("expire")
    async def expire(sid, *_):
        app.rooms.here()[sid].link.close(Disconnect("expired", "the token has expired", 1008, False))
"""


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    modules = tmp_path_factory.mktemp("plugin")
    (modules / "closing_plugin.py").write_text(PLUGIN)
    return start_shared_daemon(
        {
            "tcpServer": {"enable": True},
            "webSockets": {"logLevel": 2, "options": {"max_http_buffer_size": 5000}},
            "general": {"plugins": ["closing_plugin:plug"]},
        },
        env={"PYTHONPATH": f"{ROOT}:{modules}"},
    )


def test_a_message_too_large_over_websocket(daemon: Daemon, connect: Connect) -> None:
    client = connect(daemon.url, transports=["websocket"])
    client.emit("say", {"message": "x" * 6000})
    assert client.expect("closing") == closing("tooLarge", "a message may have 5000 bytes")
    assert client.expect("disconnect") == "transport close"
    daemon.wait_for_event("tooLarge")


def test_a_message_too_large_over_polling(daemon: Daemon) -> None:
    polling = Polling(daemon.url)
    polling.connect()
    polling.until('42["welcome"')
    assert polling.request("POST", "4" + "x" * 5500).status == 413
    packets = polling.poll()
    assert told(packets[0]) == closing("tooLarge", "a message may have 5000 bytes")
    assert packets[1:] == []
    assert polling.poll() == ["1"]


def test_a_packet_that_breaks_the_protocol(daemon: Daemon) -> None:
    with WebSocket(daemon.url) as client:
        client.connect()
        client.send('42["say",')
        assert told(client.until('42["closing"')) == closing("badPacket", "a packet that is not JSON")
        assert client.wait_closed() == 1002


def test_what_python_says_of_a_packet_stays_inside(daemon: Daemon) -> None:
    with WebSocket(daemon.url) as client:
        client.connect()
        client.send('451-["say",{"_placeholder":true,"num":"x"}]')
        said = told(client.until('42["closing"'))
        assert said == closing("badPacket", "a bad packet")
    assert daemon.wait_for_event("badPacket", why="a bad packet: a placeholder without its attachment")


def test_a_frame_that_breaks_the_protocol(daemon: Daemon) -> None:
    deaf = Deaf(daemon.port)
    deaf.socket.sendall(b"\x83\x80\0\0\0\0")
    while not (packet := deaf.frame()).startswith('42["closing"'):
        pass
    said = told(packet)
    assert said["code"] == "badPacket"
    assert said["reconnect"] is True
    deaf.socket.close()


def test_every_namespace_is_told(daemon: Daemon) -> None:
    with WebSocket(daemon.url) as client:
        client.connect()
        client.send("40/other,")
        client.until("40/other,")
        client.send("47")
        assert told(client.until('42["closing"'))["code"] == "badPacket"
        assert told(client.until("42/other,"), "/other,")["code"] == "badPacket"


def test_who_shall_not_come_back_does_not(daemon: Daemon, connect: Connect) -> None:
    """A reason of a plugin's own, as one whose token has expired: official clients stay away."""
    for transport in ("websocket", "polling"):
        client = connect(daemon.url, transports=[transport], reconnection=True, reconnectionDelay=10)
        client.emit("expire")
        assert client.expect("closing") == closing("expired", "the token has expired", reconnect=False)
        assert client.expect("disconnect") == "io server disconnect"
        # It is not even trying.
        assert not client.events("reconnect_attempt")
        assert client.state()["connected"] is False


def test_a_plugin_that_disconnects(daemon: Daemon, connect: Connect) -> None:
    client = connect(daemon.url)
    client.emit("go")
    assert client.expect("closing") == closing("disconnected", "disconnected by the server", reconnect=False)
    assert client.expect("disconnect") == "io server disconnect"


def test_who_quits_is_not_told(daemon: Daemon, connect: Connect) -> None:
    client = connect(daemon.url)
    client.emit("quit")
    assert client.expect("disconnect") == "io server disconnect"
    assert not client.events("closing")


def test_no_answer_to_a_heartbeat(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"webSockets": {"options": {"ping_interval": 0.2, "ping_timeout": 0.2}}})
    with WebSocket(daemon.url) as client:
        client.connect()
        while not (packet := str(client.receive())).startswith('42["closing"'):
            pass
        assert told(packet) == closing("pingTimeout", "no answer to a heartbeat")


def deluge(daemon: Daemon) -> None:
    """Say more than a client that does not read may have waiting."""
    with WebSocket(daemon.url) as speaker:
        speaker.connect()
        speaker.until('42["welcome"')
        for number in range(SAYS):
            speaker.send(f'42["say",{{"message":[{number},"{MESSAGE}"]}}]')
            speaker.until('42["response"')


def test_a_client_that_reads_too_slowly(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(
        {
            "limits": {"sendBuffer": BUFFER},
            "log": {"logRequests": False},
            "chat": {"announce": False},
            "tcpServer": {"enable": True},
            "monitor": {"enable": True},
        }
    )
    expected = closing("slowConsumer", "the client reads too slowly")
    deaf, poller = Deaf(daemon.port), Polling(daemon.url)
    lines = socket.socket()
    lines.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    lines.connect(("127.0.0.1", daemon.tcp_port))
    poller.connect()
    poller.until('42["welcome"')
    deluge(daemon)
    daemon.wait_for_event("slowConsumer", count=3)
    # A poll, a WebSocket and lines: who begins to read reads why in the end.
    assert told(poller.poll()[-1]) == expected
    assert poller.poll() == ["1"]
    with pytest.raises((EOFError, ConnectionError)):
        while True:
            packet = deaf.frame()
    assert told(packet) == expected
    with lines.makefile("rb") as file:
        assert json.loads(file.readlines()[-1]) == expected
    deaf.socket.close()
    lines.close()
    metrics = request(f"{daemon.monitor_url}/metrics").text
    assert 'ahd_closings_total{code="slowConsumer",server="webSocket"} 2.0' in metrics
    assert 'ahd_closings_total{code="slowConsumer",server="socket"} 1.0' in metrics


def test_the_store_is_away(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon({"redis": {"enable": True, "port": 1}, "tcpServer": {"enable": True}})
    client = connect(daemon.url, wait=False)
    assert client.expect("closing") == closing("storeAway", "the store is unavailable")
    assert client.expect("disconnect") == "transport close"
    lines = Lines(daemon.tcp_port)
    assert lines.welcome == closing("storeAway", "the store is unavailable")
    lines.close()


def test_the_codes_are_documented() -> None:
    table = (ROOT / "docs" / "protocol.md").read_text().split("## When the server closes a connection")[1]
    rows = {line.split("`")[1] for line in table.split("\n## ")[0].splitlines() if line.startswith("| `")}
    assert rows - {"code"} == CLOSING_CODES
