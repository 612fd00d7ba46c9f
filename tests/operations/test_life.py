"""From start to end: what does not start is told in one line, what ends does so in time, whatever hangs."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.certificates import self_signed
from tests.harness.daemon import ROOT, Daemon
from tests.harness.raw import WebSocket, request, unverified
from tests.harness.waiting import accepts, eventually, free_port, measured


def plugin(folder: Path, text: str) -> dict[str, str]:
    """The environment in which `tested:plugin` is a plugin with this code."""
    (folder / "tested.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(folder)))}


SLOW_START = """
import asyncio
def plugin(app):
    open_store = app.store.open
    async def slow(*args):
        await asyncio.sleep(SECONDS)
        await open_store(*args)
    app.store.open = slow
"""


class TestStart:
    @pytest.mark.parametrize("part", ["web", "socket", "monitor"])
    def test_a_port_in_use(self, start_daemon: StartDaemon, tmp_path: Path, part: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            ports = {name: taken if name == part else free_port() for name in ("web", "socket", "monitor")}
            config = {
                "httpServer": {"port": ports["web"]},
                "tcpServer": {"enable": True, "port": ports["socket"]},
                "monitor": {"enable": True, "port": ports["monitor"]},
            }
            daemon = start_daemon(config, wait=False)
            assert daemon.wait() == 1
        failures = [line for line in map(json.loads, daemon.lines) if line["level"] == "error"]
        told = f"the {part} server cannot listen: 127.0.0.1, port {taken}: address already in use"
        assert [line["message"] for line in failures] == [told]

    def test_what_has_started_is_stopped(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        path = tmp_path / "web.sock"
        with socket.create_server(("127.0.0.1", 0)) as other:
            tcp = {"enable": True, "port": other.getsockname()[1]}
            config = {"httpServer": {"unixSocket": str(path)}, "tcpServer": tcp, "log": {"format": "json"}}
            daemon = start_daemon(json.dumps(config), wait=False)
            assert daemon.wait() == 1
        assert len(daemon.events("listening")) == 1
        assert not path.exists()

    def test_a_unix_socket_in_use(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        path = tmp_path / "web.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            config = {"httpServer": {"unixSocket": str(path)}, "log": {"format": "json"}}
            daemon = start_daemon(json.dumps(config), wait=False)
            assert daemon.wait() == 1
        message = daemon.events("startFailed")[0]["message"]
        assert message == f"the web server cannot listen: {path}: address already in use"
        assert path.exists()

    def test_a_plugin_that_raises(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        env = plugin(tmp_path, "def plugin(app):\n    raise RuntimeError('no such luck')\n")
        daemon = start_daemon({"general": {"plugins": ["tested:plugin"]}}, env=env, wait=False)
        assert daemon.wait() == 78
        line = daemon.log().splitlines()[0]
        assert line.endswith(".yaml:7:5: general.plugins[0]: tested:plugin: RuntimeError: no such luck")

    def test_a_store_that_fails_otherwise_than_by_being_away(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        code = "def plugin(app):\n    async def bad(*args):\n        raise KeyError('here')\n    app.store.open = bad\n"
        config = {"general": {"plugins": ["tested:plugin"]}}
        daemon = start_daemon(config, env=plugin(tmp_path, code), wait=False)
        assert daemon.wait() == 1
        assert daemon.events("startFailed")[0]["message"] == "the store cannot be opened: KeyError: 'here'"

    def test_told_to_end_before_it_is_up(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        env = plugin(tmp_path, SLOW_START.replace("SECONDS", "30"))
        daemon = start_daemon({"general": {"plugins": ["tested:plugin"]}}, env=env, wait=False)
        daemon.wait_for_event("starting")
        with measured() as seconds:
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            print(f"ended in {seconds():.2f} s")
            assert seconds() < 3
        assert not daemon.events("listening")

    def test_a_reload_before_it_is_up_waits_until_it_is(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        env = plugin(tmp_path, SLOW_START.replace("SECONDS", "1"))
        config: dict[str, Any] = {"general": {"plugins": ["tested:plugin"]}}
        daemon = start_daemon(config, env=env, wait=False)
        daemon.wait_for_event("starting")
        config["general"]["welcomeMessage"] = "changed"
        daemon.write_config(config)
        daemon.signal(signal.SIGHUP)
        assert daemon.wait_for_event("reloaded")["changes"] == ["general.welcomeMessage"]
        assert daemon.events("listening")[0]["time"] <= daemon.events("reloaded")[0]["time"]


HANGING = """
import asyncio, time
from ahd import action

@action(description="never ends")
async def waits() -> dict:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@action(description="never ends, in a thread")
def stands() -> dict:
    while True:
        time.sleep(3600)
"""


@pytest.fixture
def hanging(start_daemon: StartDaemon, tmp_path: Path) -> Daemon:
    """A daemon with two actions under way that never end and cannot be stopped, at the end of their time-out."""
    (tmp_path / "acts").mkdir()
    (tmp_path / "acts" / "hanging.py").write_text(HANGING)
    return start_daemon(
        {
            "general": {"actionTimeout": 0.3},
            "actions": {"modules": [str(tmp_path / "acts")]},
            "shutdown": {"drain": 0.1, "timeout": 4},
        }
    )


class TestEnd:
    def test_actions_that_never_end_are_left_behind(self, hanging: Daemon) -> None:
        with WebSocket(hanging.url) as client:
            client.connect()
            for name in ("waits", "stands"):
                client.send(f'42["action",{{"action":"{name}"}}]')
                answer = json.loads(client.until('42["response"')[2:])[1]
                assert answer["error"] == "Error: the action took too long"
            with measured() as seconds:
                hanging.signal(signal.SIGTERM)
                assert hanging.wait() == 0
                print(f"ended in {seconds():.2f} s of 4")
                assert seconds() < 4
        assert [line["message"] for line in hanging.events("actionsLeft")] == ["actions that do not end: stands, waits"]

    def test_a_second_signal_ends_it_at_once(self, hanging: Daemon) -> None:
        hanging.write_config({**hanging.config, "shutdown": {"drain": 20, "timeout": 25}})
        hanging.signal(signal.SIGHUP)
        hanging.wait_for_event("reloaded")
        with WebSocket(hanging.url) as client:
            client.connect()
            client.send('42["action",{"action":"stands"}]')
            client.until('42["response"')
            hanging.signal(signal.SIGTERM)
            hanging.wait_for_event("draining")
            with measured() as seconds:
                hanging.signal(signal.SIGTERM)
                assert hanging.wait() == 1
                print(f"ended {seconds():.3f} s after the second signal")
                assert seconds() < 0.5
        assert hanging.events("endedAtOnce")

    @pytest.mark.parametrize("signals", [1, 2])
    def test_a_loop_that_stands_still_does_not_keep_it(
        self, start_daemon: StartDaemon, tmp_path: Path, signals: int
    ) -> None:
        (tmp_path / "blocks.py").write_text(
            "import time\nfrom ahd import action\n\n@action(description='x')\nasync def blocks() -> dict:\n"
            "    time.sleep(3600)\n    return {}\n"
        )
        daemon = start_daemon(
            {"actions": {"modules": [str(tmp_path / "blocks.py")]}, "shutdown": {"drain": 0, "timeout": 1}}
        )
        with WebSocket(daemon.url) as client:
            client.connect()
            client.send('42["action",{"action":"blocks"}]')
            assert "blocks.py:6 blocks" in daemon.wait_for_event("loopBlocked")["message"]
            with measured() as seconds:
                for _ in range(signals):
                    daemon.signal(signal.SIGTERM)
                    time.sleep(0.1)  # two at once are one to the kernel
                assert daemon.wait() == 1
                print(f"{signals} signals: ended in {seconds():.2f} s")
                assert seconds() < (2.5 if signals == 1 else 0.8)
        assert daemon.events("endedAtOnce")

    def test_what_is_asked_by_who_has_just_connected_is_answered(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon()
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=5) as client:
            request(daemon.url + "/")  # this one has been accepted too, then
            daemon.signal(signal.SIGTERM)
            eventually(lambda: not accepts(daemon.port))
            client.sendall(b"GET /api/randomNumber HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in answer
        assert daemon.wait() == 0

    def test_handshakes_while_it_drains(self, start_daemon: StartDaemon) -> None:
        """On a connection that was there before, since new ones are not accepted any more."""
        daemon = start_daemon({"shutdown": {"drain": 3, "timeout": 6}})
        stays = WebSocket(daemon.url)
        stays.connect()
        stays.until('42["welcome"')
        stays.send('42["action",{"action":"sleepTest","sleepDuration":1500}]')
        polling, upgrading = (http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=5) for _ in range(2))
        for kept in (polling, upgrading):
            kept.request("GET", "/api/randomNumber")
            kept.getresponse().read()
        daemon.signal(signal.SIGTERM)
        daemon.wait_for_event("draining")
        eventually(lambda: not accepts(daemon.port))
        upgrade = {
            "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }  # fmt: skip
        for kept, transport, headers in ((polling, "polling", {}), (upgrading, "websocket", upgrade)):
            kept.request("GET", f"/socket.io/?EIO=4&transport={transport}", headers=headers)
            answer = kept.getresponse()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.headers["Connection"] == "close"
        assert json.loads(stays.until('42["response"')[2:])[1]["sleepDuration"] == 1500
        assert '"bye":"bye"' in stays.until('42["say"')
        for client in (stays, polling, upgrading):
            client.close()
        assert daemon.wait() == 0


class TestReload:
    def test_while_it_drains_it_is_ignored(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon({"shutdown": {"delay": 1, "drain": 0, "timeout": 5}})
        daemon.signal(signal.SIGTERM)
        daemon.wait_for_event("draining")
        daemon.write_config({**daemon.config, "general": {"welcomeMessage": "new"}})
        daemon.signal(signal.SIGHUP)
        assert daemon.wait_for_event("reloadIgnored")["message"] == "not reloaded: the server is shutting down"
        assert daemon.wait() == 0
        assert not daemon.events("reloaded")

    def test_the_last_of_many_counts(self, start_daemon: StartDaemon) -> None:
        daemon = start_daemon()
        with WebSocket(daemon.url) as client:
            client.connect()
            for number in range(20):
                daemon.write_config({"general": {"welcomeMessage": f"number {number}"}})
                daemon.signal(signal.SIGHUP)
            eventually(lambda: daemon.events("configurationChanged")[-1]["message"].endswith("'number 19'"))
            client.send('42["roomView"]')
            client.until('42["response"')
        assert not daemon.events("reloadRefused")

    def test_certificates_are_read_again_and_nobody_is_dropped(self, start_daemon: StartDaemon, tmp_path: Path) -> None:
        files = self_signed(tmp_path)
        secure = {"secure": True, "keyFile": str(files.key_file), "certFile": str(files.cert_file)}
        other = self_signed(tmp_path, "other")
        lines = {"enable": True, "secure": True, "keyFile": str(other.key_file), "certFile": str(other.cert_file)}
        daemon = start_daemon({"httpServer": secure, "tcpServer": lines})

        def shown(port: int) -> str:
            return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)

        def renew(name: str, into: Any) -> str:
            fresh = self_signed(tmp_path, name)
            into.key_file.write_bytes(fresh.key_file.read_bytes())
            into.cert_file.write_bytes(fresh.cert_file.read_bytes())
            return fresh.cert_file.read_text()

        before = shown(daemon.port), shown(daemon.tcp_port)
        with WebSocket(daemon.url) as client, socket.create_connection(("127.0.0.1", daemon.tcp_port), 5) as plain:
            client.connect()
            with unverified().wrap_socket(plain) as tcp:
                # One good pair and one bad: neither is taken up.
                good = renew("second", files)
                other.cert_file.write_text("nothing\n")
                daemon.signal(signal.SIGHUP)
                assert "a certificate cannot be used" in daemon.wait_for_event("reloadRefused")["reason"]
                assert (shown(daemon.port), shown(daemon.tcp_port)) == before
                fresh = renew("third", other)
                daemon.signal(signal.SIGHUP)
                daemon.wait_for_event("reloaded")
                after = shown(daemon.port), shown(daemon.tcp_port)
                assert [text.split() for text in after] == [good.split(), fresh.split()]
                client.send('42["roomView"]')
                client.until('42["response"')
                tcp.sendall(b"detailsView\r\n")
                heard = b""
                while b"messageCount" not in heard:
                    heard += tcp.recv(4096)
        assert request(daemon.url + "/").status == 200
