"""What the configuration says about transports, seen by clients."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import socketio
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import Connect, StartDaemon
from tests.harness.certificates import self_signed
from tests.harness.daemon import Daemon
from tests.harness.raw import Polling, WebSocket, request


def options(**values: Any) -> dict[str, Any]:
    """A configuration with these `webSockets.options`; `_` stands for a space."""
    return {"webSockets": {"options": {key.replace("_", " "): value for key, value in values.items()}}}


def refused(url: str, **keywords: Any) -> None:
    """A WebSocket handshake must be refused before it opens."""
    with pytest.raises((InvalidStatus, ConnectionClosed)), WebSocket(url, **keywords) as websocket:
        websocket.receive()


class TestSelection:
    def test_only_websocket(self, start_daemon: StartDaemon, connect: Connect) -> None:
        daemon = start_daemon(options(transports=["websocket"]))
        assert Polling(daemon.url).request().status == 400
        connect(daemon.url, transports=["websocket"]).expect("welcome")
        client = connect(daemon.url, transports=["polling"], wait=False)
        client.expect("connect_error")

    @pytest.mark.parametrize("names", [["xhr-polling"], ["jsonp-polling"], ["polling"], ["htmlfile", "xhr-polling"]])
    def test_only_polling(self, start_daemon: StartDaemon, connect: Connect, names: list[str]) -> None:
        daemon = start_daemon(options(transports=names))
        polling = Polling(daemon.url)
        assert polling.open()["upgrades"] == []
        refused(daemon.url)
        refused(daemon.url, sid=polling.sid)
        client = connect(daemon.url)
        client.expect("welcome")
        assert client.call("detailsView")["status"] == "OK"
        assert client.state()["transport"] == "polling"

    def test_resource(self, start_daemon: StartDaemon, connect: Connect) -> None:
        daemon = start_daemon(options(resource="/live"))
        connect(daemon.url, path="/live").expect("welcome")
        assert "pingInterval" not in request(f"{daemon.url}/socket.io/?EIO=4&transport=polling").text

    def test_no_server_at_all(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon({"webSockets": {"enable": False}})
        assert "pingInterval" not in request(f"{daemon.url}/socket.io/?EIO=4&transport=polling").text
        refused(daemon.url)


class TestPolling:
    def test_a_poll_with_nothing_to_say_ends_with_noop(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(options(transports=["xhr-polling"], polling_duration=0.5))
        polling = Polling(daemon.url)
        polling.connect()
        polling.until("42")
        for _ in range(3):
            start = time.monotonic()
            assert polling.poll() == ["6"]
            assert 0.4 < time.monotonic() - start < 1.5
        # The session lives on.
        polling.post('421["detailsView"]')
        assert polling.until("431").startswith('431[{"context":"response"')

    def test_the_duration_has_nothing_to_do_with_the_heartbeat(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(
            options(transports=["xhr-polling"], polling_duration=0.4, heartbeat_interval=1, heartbeat_timeout=1)
        )
        polling = Polling(daemon.url)
        polling.connect()
        polling.until("42")
        packets: list[str] = []
        end = time.monotonic() + 3.2
        while time.monotonic() < end:
            arrived = polling.poll()
            packets += arrived
            if "2" in arrived:
                polling.post("3")
        assert packets.count("2") in {2, 3}
        assert packets.count("6") >= 4
        assert set(packets) == {"2", "6"}

    def test_a_poll_that_was_given_up_ends_the_session(self, start_daemon: StartDaemon, connect: Connect) -> None:
        """Packets may have gone with it, and nobody could tell: the client has to know."""
        daemon = start_daemon(options(transports=["xhr-polling"]))
        other = connect(daemon.url)
        other.expect("welcome")
        polling = Polling(daemon.url)
        sid = polling.connect()["sid"]
        polling.until("42")
        with pytest.raises(TimeoutError):
            polling.poll(timeout=0.2)
        assert other.expect("say", lambda say: "left" in say["message"])["from"] == sid
        assert polling.request("POST", '421["detailsView"]').status == 400

    def test_jsonp(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(options(transports=["websocket", "jsonp-polling"]))
        address = f"{daemon.url}/socket.io/?EIO=4&transport=polling&j=7"

        def poll(session: str = "") -> str:
            answer = request(address + session)
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith(("text/javascript", "application/javascript"))
            found = re.fullmatch(r"___eio\[7\]\((.*)\);", answer.text, re.S)
            assert found is not None, answer.text
            text: str = json.loads(found.group(1))
            return text

        handshake = poll()
        assert handshake.startswith("0{")
        session = "&sid=" + json.loads(handshake[1:])["sid"]

        def post(packet: str) -> None:
            # As a form in a page: the value is escaped once more for what the form does to line ends.
            body = "d=" + quote(packet.replace("\\n", "\\\\n"))
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = request(address + session, "POST", body, headers)
            assert (answer.status, answer.text.lower()) == (200, "ok")

        post("40")
        text = poll(session)
        assert text.startswith("40{")
        while "welcome" not in text:
            text += poll(session)
        post('420["say",{"message":"two\\nlines </script> \u2028 ü"}]')
        while "430" not in text:
            text += poll(session)
        assert '"status":"OK"' in text

    def test_jsonp_only_where_it_is_asked_for(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon()
        assert request(f"{daemon.url}/socket.io/?EIO=4&transport=polling&j=7").status == 400

    @pytest.mark.parametrize("index", ["x", "1;alert(1)", "-1", "7]("])
    def test_jsonp_answers_no_other_name(self, start_daemon: StartDaemon, index: str) -> None:
        daemon = start_daemon(options(transports=["jsonp-polling"]))
        answer = request(f"{daemon.url}/socket.io/?EIO=4&transport=polling&j={quote(index)}")
        assert answer.status == 400 or "alert" not in answer.text
        assert f"___eio[{index}]" not in answer.text


class TestSecure:
    @pytest.fixture
    def secure(self, start_daemon: StartDaemon, tmp_path: Path) -> Daemon:
        key_file, cert_file = self_signed(tmp_path)
        return start_daemon({"httpServer": {"secure": True, "keyFile": str(key_file), "certFile": str(cert_file)}})

    @pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="/".join)
    def test_every_transport(self, secure: Daemon, connect: Connect, transports: list[str]) -> None:
        assert secure.url.startswith("https://")
        clients = [connect(secure.url, transports=transports, rejectUnauthorized=False) for _ in range(2)]
        for client in clients:
            client.expect("welcome")
            if len(transports) == 2:
                client.expect("upgrade")
        message = "x" * 200_000
        assert clients[0].call("say", {"message": message[:60_000]})["status"] == "OK"
        assert clients[1].expect("say", lambda say: say["context"] == "user" and len(say["message"]) == 60_000)

    def test_plain_http_is_no_harm(self, secure: Daemon) -> None:
        plain = secure.url.replace("https", "http")
        with pytest.raises(OSError):
            request(plain)
        assert request(f"{secure.url}/socket.io/?EIO=4&transport=polling").status == 200


class TestOrigins:
    def origin(self, daemon: Daemon, origin: str) -> int:
        """The status of a handshake from a page of that origin; both transports must agree."""
        headers = {"Origin": origin}
        status = Polling(daemon.url, headers=headers).request().status
        if status == 200:
            with WebSocket(daemon.url, headers=headers) as websocket:
                websocket.open()
        else:
            refused(daemon.url, headers=headers)
        return status

    def test_same_origin_by_default(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon()
        assert self.origin(daemon, daemon.url) == 200
        assert self.origin(daemon, "http://evil.example") in {400, 403}
        assert self.origin(daemon, f"http://127.0.0.1:{daemon.port + 1}") in {400, 403}
        assert self.origin(daemon, "null") in {400, 403}
        # No page at all.
        assert Polling(daemon.url).request().status == 200

    def test_any(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(options(origins="*:*"))
        assert self.origin(daemon, "http://anybody.example:99") == 200
        answer = Polling(daemon.url, headers={"Origin": "http://anybody.example"}).request()
        assert answer.headers["Access-Control-Allow-Origin"] in {"*", "http://anybody.example"}

    def test_host_and_port(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(options(origins="good.example:8000"))
        assert self.origin(daemon, "http://good.example:8000") == 200
        assert self.origin(daemon, "https://good.example:8000") == 200
        assert self.origin(daemon, "http://good.example:8001") in {400, 403}
        assert self.origin(daemon, "http://good.example.evil.example:8000") in {400, 403}

    def test_preflight(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon(options(origins="good.example:80"))
        headers = {"Origin": "http://good.example", "Access-Control-Request-Method": "POST"}
        answer = request(f"{daemon.url}/socket.io/?EIO=4&transport=polling", "OPTIONS", None, headers)
        assert answer.status in {200, 204}
        assert answer.headers["Access-Control-Allow-Origin"] == "http://good.example"


class TestEvents:
    def test_blacklist(self, start_daemon: StartDaemon, connect: Connect) -> None:
        daemon = start_daemon(options(blacklist=["say", "quit"]))
        client = connect(daemon.url)
        client.emit("say", {"message": "unheard"})
        client.emit("quit")
        assert client.call("detailsView")["messageCount"] == 1
        assert client.events("response") == []

    @pytest.mark.parametrize("namespace", ["/custom", "/admin"])
    def test_namespaces_are_refused_unless_listed(
        self, start_daemon: StartDaemon, connect: Connect, namespace: str
    ) -> None:
        daemon = start_daemon(options(namespaces=["/custom"]))
        client = connect(daemon.url + namespace, wait=False)
        if namespace == "/custom":
            client.wait_connected()
        else:
            assert client.expect("connect_error")["message"] == "Invalid namespace"


@pytest.mark.smoke
@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="/".join)
def test_the_python_client(start_daemon: StartDaemon, transports: list[str]) -> None:
    daemon = start_daemon()
    with socketio.SimpleClient() as first, socketio.SimpleClient() as second:
        first.connect(daemon.url, transports=transports)
        assert first.receive(timeout=10)[0] == "welcome"
        second.connect(daemon.url, transports=transports)
        assert second.receive(timeout=10)[0] == "welcome"
        event, said = first.receive(timeout=10)
        assert (event, said["from"], said["message"]) == ("say", second.sid, "I have entered the room")
        answer = second.call("say", {"message": "from Python"}, timeout=10)
        assert answer == {"context": "response", "status": "OK", "messageCount": 1}
        event, said = first.receive(timeout=10)
        assert (event, said["message"]) == ("say", "from Python")
        first.emit("roomView")
        event, view = first.receive(timeout=10)
        assert (event, view["roomStatus"]["membersCount"]) == ("response", 2)


@pytest.mark.parametrize("path", ["/socket.io/1/", "/socket.io/1/?t=1353000000000", "/socket.io/1/websocket/123"])
def test_a_client_of_2012_is_told_what_to_use(start_daemon: StartDaemon, path: str) -> None:
    daemon = start_daemon()
    answer = request(daemon.url + path)
    assert answer.status == 400
    assert "socket.io-client" in answer.text
    assert "4" in answer.text


def test_a_port_that_is_taken_is_one_clear_line(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    second = start_daemon({"httpServer": {"port": daemon.port}}, wait=False)
    assert second.wait() == 1
    lines = [line for line in second.log().splitlines() if str(daemon.port) in line]
    assert len(lines) == 1, second.log()
    assert "in use" in lines[0]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it(start_daemon: StartDaemon, connect: Connect, name: str) -> None:
    import signal

    daemon = start_daemon({"shutdown": {"drain": 0.2}})
    client = connect(daemon.url)
    client.expect("welcome")
    daemon.signal(getattr(signal, name))
    assert daemon.wait() == 0
    said = client.expect("say", lambda say: say.get("bye") == "bye")
    assert set(said) == {"bye", "reason", "context", "retryAfter"}
    assert said["reason"] == "server shutdown"
    closing = client.expect("closing")
    assert closing == {
        "code": "shutdown", "reason": "server shutdown", "reconnect": True, "retryAfter": said["retryAfter"],
        "context": "api",
    }  # fmt: skip
    assert client.expect("disconnect") == "transport close"
