"""The rules of the Engine.IO protocol, version 4, as its official test suite states them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.raw import SEPARATOR, Answer, Polling, WebSocket, request
from tests.harness.waiting import eventually

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2
HANDSHAKE = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}

CONFIG: dict[str, Any] = {
    "webSockets": {
        "options": {
            "heartbeat interval": PING_INTERVAL,
            "heartbeat timeout": PING_TIMEOUT,
            "namespaces": ["/custom"],
        }
    },
    "general": {"plugins": ["tests.e2e.plugins.suite:install"]},
}
# The same with time to think, where heartbeats are not the matter.
QUIET: dict[str, Any] = {
    "webSockets": {"options": {"namespaces": ["/custom"]}},
    "general": {"plugins": ["tests.e2e.plugins.suite:install"]},
}


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG, name="quick")


@pytest.fixture(scope="module")
def quiet(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(QUIET, name="quiet")


@pytest.fixture
def session(quiet: Daemon) -> Polling:
    """An open polling session without heartbeats in the way."""
    polling = Polling(quiet.url)
    polling.open()
    return polling


class Poll(threading.Thread):
    """A poll that waits while the test does something else."""

    def __init__(self, session: Polling) -> None:
        super().__init__(daemon=True)
        self.session = session
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = self.session.request()

    def result(self) -> Answer:
        self.join(10)
        assert self.answer is not None, "the poll was not answered"
        return self.answer


def waits(session: Polling) -> Poll:
    """A poll that has certainly reached the server and is held there."""
    poll = Poll(session)
    poll.join(0.1)
    assert poll.answer is None, poll.answer
    return poll


def gone(session: Polling) -> bool:
    return session.request().status == 400


class TestHandshake:
    @pytest.mark.smoke
    def test_polling(self, daemon: Daemon) -> None:
        answer = Polling(daemon.url).request()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        handshake = Polling(daemon.url).open()
        assert set(handshake) == HANDSHAKE
        assert isinstance(handshake["sid"], str)
        assert handshake["upgrades"] == ["websocket"]
        assert handshake["pingInterval"] == 300
        assert handshake["pingTimeout"] == 200
        assert handshake["maxPayload"] == 1_000_000

    @pytest.mark.parametrize("version", ["", "EIO=abc&", "EIO=3&", "EIO=&", "EIO=5&"])
    def test_polling_with_an_invalid_version(self, quiet: Daemon, version: str) -> None:
        assert request(f"{quiet.url}/socket.io/?{version}transport=polling").status == 400

    @pytest.mark.parametrize("transport", ["", "&transport=abc", "&transport="])
    def test_polling_with_an_invalid_transport(self, quiet: Daemon, transport: str) -> None:
        assert request(f"{quiet.url}/socket.io/?EIO=4{transport}").status == 400

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_polling_with_an_invalid_method(self, quiet: Daemon, method: str) -> None:
        assert request(f"{quiet.url}/socket.io/?EIO=4&transport=polling", method, "").status == 400

    def test_polling_with_an_unknown_session(self, quiet: Daemon) -> None:
        address = f"{quiet.url}/socket.io/?EIO=4&transport=polling&sid=nobody"
        assert request(address).status == 400
        assert request(address, "POST", "40").status == 400

    @pytest.mark.smoke
    def test_websocket(self, daemon: Daemon) -> None:
        with WebSocket(daemon.url) as websocket:
            handshake = websocket.open()
        assert set(handshake) == HANDSHAKE
        assert isinstance(handshake["sid"], str)
        assert handshake["upgrades"] == []
        assert handshake["pingInterval"] == 300
        assert handshake["pingTimeout"] == 200
        assert handshake["maxPayload"] == 1_000_000

    @pytest.mark.parametrize(
        "query", [{"EIO": ""}, {"EIO": "abc"}, {"EIO": "3"}, {"transport": ""}, {"transport": "abc"}]
    )
    def test_websocket_with_an_invalid_query(self, quiet: Daemon, query: dict[str, str]) -> None:
        with pytest.raises((InvalidStatus, ConnectionClosed)), WebSocket(quiet.url, query=query) as websocket:
            websocket.receive()

    def test_websocket_with_an_unknown_session(self, quiet: Daemon) -> None:
        with pytest.raises((InvalidStatus, ConnectionClosed)), WebSocket(quiet.url, sid="nobody") as websocket:
            websocket.receive()

    def test_sessions_have_different_ids(self, quiet: Daemon) -> None:
        assert len({Polling(quiet.url).open()["sid"] for _ in range(20)}) == 20


class TestMessages:
    def test_polling_takes_and_gives_one_packet(self, session: Polling) -> None:
        answer = session.request("POST", "40/custom,")
        assert (answer.status, answer.text) == (200, "ok")
        assert session.poll()[0].startswith("40/custom,{")

    def test_polling_takes_and_gives_several_packets(self, session: Polling) -> None:
        session.post("40/custom,")
        session.until("40")
        session.post('42/custom,["message",1]', '42/custom,["message",2]')
        packets = session.poll()
        while len(packets) < 2:
            packets += session.poll()
        assert packets == ['42/custom,["message-back",1]', '42/custom,["message-back",2]']

    def test_polling_takes_and_gives_binary_packets(self, session: Polling) -> None:
        session.post("40/custom,")
        session.until("40")
        session.post('451-/custom,["message",{"_placeholder":true,"num":0}]', "bAQIDBA==")
        packets = session.poll()
        while len(packets) < 2:
            packets += session.poll()
        assert packets == ['451-/custom,["message-back",{"_placeholder":true,"num":0}]', "bAQIDBA=="]

    @pytest.mark.parametrize("payload", ["abc", "9", "\x1e", f"9{SEPARATOR}40"])
    def test_polling_with_an_invalid_packet_closes(self, session: Polling, payload: str) -> None:
        # The reference implementation takes the payload before it looks into it.
        assert session.request("POST", payload).status in {200, 400}
        assert gone(session)

    @pytest.mark.parametrize("body", [b"", b"b!!!", b"4\xff\xfe", b"4\xed\xa0\x80", b"bAQ"])
    def test_polling_with_bad_bytes_is_answered(self, session: Polling, body: bytes) -> None:
        assert session.request("POST", body).status in {200, 400}

    def test_polling_with_an_endless_number_of_packets_closes(self, session: Polling) -> None:
        # More than anybody needs in one payload: the reference implementation in Python draws the line at 16.
        answer = session.request("POST", SEPARATOR.join(["3"] * 10_000))
        assert answer.status in {200, 400}

    def test_duplicate_polls_close(self, session: Polling) -> None:
        first = waits(session)
        second = session.request()
        assert second.status in {400, 500}
        assert first.result().status == 200
        assert first.result().text == "1"
        assert gone(session)

    @pytest.mark.parametrize("packet", ["abc", "9", ""])
    def test_websocket_with_an_invalid_packet_closes(self, quiet: Daemon, packet: str) -> None:
        with WebSocket(quiet.url) as websocket:
            websocket.open()
            websocket.send(packet)
            websocket.wait_closed()


class TestHeartbeat:
    def test_polling(self, daemon: Daemon) -> None:
        polling = Polling(daemon.url)
        polling.open()
        for _ in range(3):
            assert polling.poll() == ["2"]
            polling.post("3")

    def test_polling_without_pong_closes(self, daemon: Daemon) -> None:
        polling = Polling(daemon.url)
        polling.open()
        time.sleep(PING_INTERVAL + PING_TIMEOUT + 0.1)
        assert gone(polling)

    def test_polling_that_reads_and_does_not_pong_closes(self, daemon: Daemon) -> None:
        polling = Polling(daemon.url)
        polling.open()
        assert polling.poll() == ["2"]
        time.sleep(PING_TIMEOUT + 0.1)
        assert gone(polling)

    def test_websocket(self, daemon: Daemon) -> None:
        with WebSocket(daemon.url) as websocket:
            websocket.open()
            for _ in range(3):
                assert websocket.receive() == "2"
                websocket.send("3")

    def test_websocket_without_pong_closes(self, daemon: Daemon) -> None:
        with WebSocket(daemon.url) as websocket:
            websocket.open()
            start = time.monotonic()
            websocket.wait_closed(5)
            assert time.monotonic() - start < 2

    def test_a_client_that_keeps_answering_stays(self, daemon: Daemon) -> None:
        with WebSocket(daemon.url) as websocket:
            websocket.connect("/custom")
            end = time.monotonic() + 4 * (PING_INTERVAL + PING_TIMEOUT)
            while time.monotonic() < end:
                assert websocket.receive() == "2"
                websocket.send("3")
            websocket.send('42/custom,["message"]')
            assert websocket.until("42") == '42/custom,["message-back"]'


class TestClose:
    def test_polling(self, session: Polling) -> None:
        poll = waits(session)
        session.post("1")
        assert poll.result().status == 200
        assert poll.result().text == "6"
        assert gone(session)

    def test_websocket(self, quiet: Daemon) -> None:
        with WebSocket(quiet.url) as websocket:
            websocket.open()
            websocket.send("1")
            websocket.wait_closed()


class TestUpgrade:
    @pytest.mark.smoke
    def test_upgrade(self, quiet: Daemon, session: Polling) -> None:
        poll = waits(session)
        with WebSocket(quiet.url, sid=session.sid) as websocket:
            websocket.send("2probe")
            assert websocket.receive() == "3probe"
            # The poll that is held must end, or the client cannot go on.
            assert poll.result().text == "6"
            websocket.send("5")
            websocket.send("40/custom,")
            assert websocket.until("40").startswith("40/custom,")
            websocket.send('42/custom,["message",1]')
            assert websocket.until("42") == '42/custom,["message-back",1]'

    def test_what_was_said_before_the_upgrade_is_not_lost(self, quiet: Daemon, session: Polling) -> None:
        session.post("40/custom,")
        session.until("40")
        with WebSocket(quiet.url, sid=session.sid) as websocket:
            websocket.send("2probe")
            assert websocket.receive() == "3probe"
            session.post('42/custom,["message",1]')
            websocket.send("5")
            assert websocket.until("42") == '42/custom,["message-back",1]'

    def upgraded(self, quiet: Daemon, session: Polling) -> Iterator[WebSocket]:
        with WebSocket(quiet.url, sid=session.sid) as websocket:
            websocket.send("2probe")
            assert websocket.receive() == "3probe"
            websocket.send("5")
            websocket.send("40/custom,")
            websocket.until("40")
            yield websocket

    def test_polls_of_an_upgraded_session_are_refused(self, quiet: Daemon, session: Polling) -> None:
        for websocket in self.upgraded(quiet, session):
            assert session.request().status == 400
            websocket.send('42/custom,["message",1]')
            assert websocket.until("42") == '42/custom,["message-back",1]'

    def test_a_second_websocket_of_an_upgraded_session_is_refused(self, quiet: Daemon, session: Polling) -> None:
        for websocket in self.upgraded(quiet, session):
            with pytest.raises((InvalidStatus, ConnectionClosed)), WebSocket(quiet.url, sid=session.sid) as second:
                second.send("2probe")
                second.receive()
            websocket.send('42/custom,["message",1]')
            assert websocket.until("42") == '42/custom,["message-back",1]'

    def test_a_probe_that_is_given_up_leaves_the_session(self, quiet: Daemon, session: Polling) -> None:
        with WebSocket(quiet.url, sid=session.sid) as websocket:
            websocket.send("2probe")
            assert websocket.receive() == "3probe"
        session.post("40/custom,")
        session.until("40")
        session.post('42/custom,["message",1]')
        assert session.until("42") == '42/custom,["message-back",1]'

    def test_a_wrong_probe_closes_the_websocket_and_leaves_the_session(self, quiet: Daemon, session: Polling) -> None:
        with WebSocket(quiet.url, sid=session.sid) as websocket:
            websocket.send("2nonsense")
            websocket.wait_closed()
        session.post("40/custom,")
        session.until("40")
        session.post('42/custom,["message",1]')
        assert session.until("42") == '42/custom,["message-back",1]'


class TestLimits:
    def test_polling_refuses_what_is_too_large_before_it_is_there(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon({"webSockets": {"options": {"destroy buffer size": 20_000}}})
        polling = Polling(daemon.url)
        assert polling.open()["maxPayload"] == 20_000
        assert polling.request("POST", "4" + "x" * 30_000).status in {400, 413}

    def test_websocket_refuses_what_is_too_large_before_it_is_there(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon({"webSockets": {"options": {"destroy buffer size": 20_000}}})
        with WebSocket(daemon.url) as websocket:
            websocket.open()
            before = daemon.rss()
            # Only the head of the frame with its length arrives: nothing of it may be waited for.
            websocket.connection.socket.sendall(b"\x81\xff" + (50_000_000).to_bytes(8, "big") + b"abcd")
            assert websocket.wait_closed() == 1009
            eventually(lambda: daemon.rss() < before + 10_000_000)
