"""The daemon over HTTP as its users meet it: with TLS, with a plugin's handlers, in a room with Socket.IO."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import Connect, StartDaemon

PLUGIN = """
from tornado.web import RequestHandler

class Mine(RequestHandler):
    def get(self, rest):
        self.write("from Tornado: " + rest)

def plug(app):
    app.tornado.add_handlers(".*", [("/mine/(.*)", Mine)])
    app.site.leave("/mine")
"""


def test_http_and_socket_io_clients_in_one_room(start_daemon: StartDaemon, connect: Connect) -> None:
    daemon = start_daemon()
    for transports in (["websocket"], ["polling"]):
        socket = connect(daemon.url, transports=transports)
        socket.expect("welcome")
        with httpx.Client(base_url=daemon.url) as http:

            def chat(http: httpx.Client = http, **params: str) -> dict[str, Any]:
                answer: dict[str, Any] = http.get("/api/chat", params=params).json()
                return answer

            view = chat(method="roomView")
            own = view["requestorInformation"]["id"]
            assert set(view["roomStatus"]["members"]) == {socket.id, own}
            assert socket.expect("say", lambda say, own=own: say["from"] == own)["message"] == "I have entered the room"
            assert set(socket.ask("roomView")["roomStatus"]["members"]) == {socket.id, own}
            socket.ask("say", {"message": {"to": "all"}})
            heard = chat(method="messages")["messages"]
            assert [(say["from"], say["message"], say["context"]) for say in heard] == [
                (socket.id, {"to": "all"}, "user")
            ]
            assert chat(method="say", message="hello")["status"] == "OK"
            assert socket.expect("say")["message"] == "hello"
            assert chat(method="quit")["left"] is True
            assert socket.expect("say")["message"] == "I have left the room"
        socket.close()


def test_curl_over_tls(start_daemon: StartDaemon, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    daemon = start_daemon({"httpServer": {"secure": True, "certFile": str(cert), "keyFile": str(key)}})
    with httpx.Client(base_url=daemon.url, verify=ssl.create_default_context(cafile=str(cert))) as http:
        assert http.get("/api/status").headers["set-cookie"].endswith("; Secure")
        for _ in range(3):
            answer = http.post("/api/cacheTest", json={"key": "k", "value": "v"})
            assert answer.json()["cacheTestResults"]["saveResp"] is True
        upload = http.post("/api/status", files={"file": ("large", b"x" * 5_000_000)})
        assert upload.json()["requestorInformation"]["receivedParams"]["file"]["size"] == 5_000_000
        assert http.post("/api/status", content=b"x" * 20_000_000).status_code == 413


def test_a_plugin_may_add_tornado_handlers(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "web_plugin.py").write_text(PLUGIN)
    daemon = start_daemon(
        {"general": {"plugins": ["web_plugin:plug"]}},
        env={"PYTHONPATH": f"{Path(__file__).resolve().parents[2]}:{tmp_path}"},
    )
    with httpx.Client(base_url=daemon.url) as http:
        for _ in range(2):
            assert http.get("/mine/a").text == "from Tornado: a"
            assert http.get("/api/status").status_code == 200


def test_the_shipped_page_is_told_where_socket_io_is(start_daemon: StartDaemon, tmp_path: Path) -> None:
    daemon = start_daemon({"webSockets": {"options": {"resource": "/rt"}}})
    for path in ("/server.json", "/public/server.json"):
        assert httpx.get(f"{daemon.url}{path}").json() == {"resource": "/rt"}
    assert httpx.get(f"{daemon.url}/server.json/more").status_code == 404
    assert httpx.post(f"{daemon.url}/server.json").headers["allow"] == "GET, HEAD, OPTIONS"
    own = start_daemon({"commonWeb": {"flatFileDirectory": str(tmp_path)}})
    assert httpx.get(f"{own.url}/server.json").status_code == 404, (
        "the names below a user's own directory are the user's"
    )


def test_requests_and_their_parameters_are_logged(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"log": {"filteredParams": ["password"]}})
    answer = httpx.get(f"{daemon.url}/api/randomNumber?password=hunter2&a=1")
    assert answer.status_code == 200
    assert httpx.get(f"{daemon.url}/api/none").status_code == 404
    line = daemon.wait_for_event("webRequest", path="/api/randomNumber")
    assert (line["method"], line["status"], line["address"]) == ("GET", 200, "127.0.0.1")
    assert line["requestID"] == answer.headers["x-request-id"]
    assert httpx.get(f"{daemon.url}/").status_code == 200
    assert "requestID" not in daemon.wait_for_event("webRequest", path="/")
    assert daemon.wait_for_event("webRequest", path="/api/none")["status"] == 404
    line = daemon.wait_for_event("request", verb="action")
    assert line["params"]["a"] == "1"
    assert "hunter2" not in daemon.log()
