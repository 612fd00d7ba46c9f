"""The rules of the Socket.IO protocol, version 5, as its official test suite states them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import Polling, WebSocket

CONFIG: dict[str, Any] = {
    "webSockets": {"options": {"namespaces": ["/custom"]}},
    "general": {"plugins": ["tests.e2e.plugins.suite:install"]},
}


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG)


@pytest.fixture
def websocket(daemon: Daemon) -> Iterator[WebSocket]:
    """Open, and not yet in any namespace."""
    with WebSocket(daemon.url) as websocket:
        websocket.open()
        yield websocket


@pytest.fixture
def main(websocket: WebSocket) -> WebSocket:
    """In the main namespace, and welcomed."""
    websocket.send("40")
    assert websocket.until("40").startswith("40{")
    assert websocket.until("42").startswith('42["welcome",')
    return websocket


class TestConnect:
    @pytest.mark.parametrize("packet", ["40", "40{}", '40{"token":"123"}', "40/", "40/,"])
    def test_main_namespace(self, websocket: WebSocket, packet: str) -> None:
        websocket.send(packet)
        answer = websocket.receive()
        assert isinstance(answer, str)
        assert answer.startswith("40{")
        handshake = json.loads(answer[2:])
        assert set(handshake) == {"sid"}
        assert isinstance(handshake["sid"], str)

    @pytest.mark.parametrize(
        ("packet", "auth"), [("40/custom,", None), ('40/custom,{"token":"abc"}', {"token": "abc"})]
    )
    def test_custom_namespace(self, websocket: WebSocket, packet: str, auth: Any) -> None:
        websocket.send(packet)
        answer = websocket.receive()
        assert isinstance(answer, str)
        assert answer.startswith("40/custom,{")
        handshake = json.loads(answer[10:])
        assert set(handshake) == {"sid"}
        assert isinstance(handshake["sid"], str)
        websocket.send('42/custom,0["auth"]')
        assert json.loads(websocket.until("43")[len("43/custom,0") :]) == ([] if auth is None else [auth])

    def test_namespaces_have_ids_of_their_own(self, daemon: Daemon, main: WebSocket) -> None:
        main.send("40/custom,")
        first = json.loads(main.until("40/custom,")[10:])["sid"]
        with WebSocket(daemon.url) as other:
            assert other.connect("/custom")["sid"] != first

    def test_unknown_namespace(self, websocket: WebSocket) -> None:
        websocket.send("40/random")
        assert websocket.receive() == '44/random,{"message":"Invalid namespace"}'

    def test_unknown_namespace_leaves_the_others(self, main: WebSocket) -> None:
        main.send("40/random,")
        assert main.until("44") == '44/random,{"message":"Invalid namespace"}'
        main.send('42["message",1]')
        assert main.until("42") == '42["message-back",1]'

    def test_invalid_handshake(self, websocket: WebSocket) -> None:
        websocket.send("4abc")
        websocket.wait_closed()

    def test_polling(self, daemon: Daemon) -> None:
        polling = Polling(daemon.url)
        assert set(polling.connect()) == {"sid"}
        assert polling.until("42").startswith('42["welcome",')


class TestDisconnect:
    def test_main_namespace(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon({"webSockets": {"options": {"heartbeat interval": 0.3}}})
        with WebSocket(daemon.url) as websocket:
            websocket.connect()
            websocket.until("42")
            websocket.send("41")
            # The Engine.IO session lives on.
            assert websocket.receive() == "2"

    def test_custom_namespace(self, main: WebSocket) -> None:
        main.send("40/custom")
        main.until("40/custom")
        main.send("41/custom")
        main.send('42["message","message to main namespace"]')
        assert main.receive() == '42["message-back","message to main namespace"]'

    def test_by_the_server(self, main: WebSocket) -> None:
        main.send("40/custom")
        main.until("40/custom")
        main.send('42/custom,["leave"]')
        assert main.until("41") == "41/custom,"
        main.send('42["message"]')
        assert main.until("42") == '42["message-back"]'


class TestMessage:
    def test_plain_text(self, main: WebSocket) -> None:
        main.send('42["message",1,"2",{"3":[true]}]')
        assert main.receive() == '42["message-back",1,"2",{"3":[true]}]'

    def test_binary(self, main: WebSocket) -> None:
        main.send('452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        main.send(b"\x01\x02\x03")
        main.send(b"\x04\x05\x06")
        assert main.receive() == '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        assert main.receive() == b"\x01\x02\x03"
        assert main.receive() == b"\x04\x05\x06"

    def test_plain_text_with_acknowledgement(self, main: WebSocket) -> None:
        main.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert main.receive() == '43456[1,"2",{"3":[false]}]'

    def test_binary_with_acknowledgement(self, main: WebSocket) -> None:
        main.send('452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        main.send(b"\x01\x02\x03")
        main.send(b"\x04\x05\x06")
        assert main.receive() == '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        assert main.receive() == b"\x01\x02\x03"
        assert main.receive() == b"\x04\x05\x06"

    def test_custom_namespace(self, main: WebSocket) -> None:
        main.send("40/custom,")
        main.until("40/custom")
        main.send('42/custom,["message",1]')
        assert main.receive() == '42/custom,["message-back",1]'
        main.send('42/custom,7["message-with-ack","x"]')
        assert main.receive() == '43/custom,7["x"]'

    def test_acknowledgement_by_the_client(self, main: WebSocket) -> None:
        main.send('421["call-me","how"]')
        question = main.until("42")
        number = question[2 : question.index("[")]
        assert question == f'42{number}["question","how"]'
        main.send(f'43{number}["so"]')
        assert main.until("43") == '431["so"]'

    def test_rooms_of_a_plugin(self, main: WebSocket) -> None:
        main.send('425["room","somewhere"]')
        assert main.receive() == '42["in-room",1]'
        assert main.until("43").startswith("435[")

    def test_event_nobody_knows(self, main: WebSocket) -> None:
        main.send('42["nothing of the kind"]')
        main.send('42["message"]')
        assert main.receive() == '42["message-back"]'


class TestInvalid:
    @pytest.mark.parametrize(
        "packet",
        [
            "4abc",
            "49",
            "42{}",
            "42[]",
            '42["open',
            "42[1",
            "42[{}]",
            "42",
            '42abc["message-with-ack",1,"2",{"3":[false]}]',
            '45-["message",{"_placeholder":true,"num":0}]',
            '45x-["message",{"_placeholder":true,"num":0}]',
            '451-["message"',
            "43",
            "43[]",
            "43x[]",
            '44{"message":"from a client"}',
            "40[]",
            '42["message",NaN]',
            '42["message",' + "[" * 5000 + "]" * 5000 + "]",
        ],
    )
    def test_packet(self, main: WebSocket, packet: str) -> None:
        """Either the connection is closed, or it goes on as if nothing had been said."""
        with contextlib.suppress(ConnectionClosed):
            main.send(packet)
            main.send('42["message-with-ack"]')
            main.send('421["message-with-ack"]')
            assert main.until("431", 5) == "431[]"

    @pytest.mark.parametrize("packet", ["4abc", "42{}", '42abc["message-with-ack",1]'])
    def test_packet_that_must_close(self, main: WebSocket, packet: str) -> None:
        main.send(packet)
        main.wait_closed()

    def test_binary_that_nobody_announced(self, main: WebSocket) -> None:
        main.send(b"\x01\x02\x03")
        main.wait_closed()

    def test_text_where_binary_was_announced(self, main: WebSocket) -> None:
        main.send('451-["message",{"_placeholder":true,"num":0}]')
        main.send('42["message",1]')
        main.wait_closed()

    @pytest.mark.parametrize("number", [-1, 1, 99, '"0"', "null"])
    def test_placeholder_that_points_nowhere(self, main: WebSocket, number: Any) -> None:
        main.send(f'451-["message",{{"_placeholder":true,"num":{number}}}]')
        # It may have closed already.
        with contextlib.suppress(ConnectionClosed):
            main.send(b"\x01")
        main.wait_closed()

    def test_more_attachments_than_anybody_sends(self, main: WebSocket) -> None:
        main.send('4599999999-["message"]')
        main.wait_closed()

    def test_others_go_on(self, daemon: Daemon, main: WebSocket) -> None:
        for _ in range(50):
            with WebSocket(daemon.url) as other:
                other.connect()
                other.send("42{")
                other.wait_closed()
        main.send('42["message"]')
        assert main.until('42["message-back"') == '42["message-back"]'
