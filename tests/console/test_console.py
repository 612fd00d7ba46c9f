"""`ahd console` as a process of its own, against the daemon."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect, StartDaemon
from tests.harness.daemon import ROOT, Daemon
from tests.harness.waiting import DEADLINE, free_port

COMMAND = [sys.executable, "-m", "ahd", "console"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def console(*arguments: str, lines: str = "", timeout: float = 30) -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, *arguments], input=lines, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def both(start_daemon: StartDaemon) -> Daemon:
    return start_daemon({"tcpServer": {"enable": True}})


def addresses(daemon: Daemon) -> list[tuple[str, ...]]:
    return [(daemon.address("socket"),), (daemon.url,), (daemon.url, "--transport", "websocket")]


def test_a_script(both: Daemon) -> None:
    for address in addresses(both):
        code, out, _ = console(
            *address, "--json", lines="roomChange den\n\nsleepTest sleepDuration=20\nsay hi\nroomView\n"
        )
        events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
        assert events[0]["event"] == "welcome"
        replies = [event["data"] for event in events if event["event"] == "response"][:4]
        assert [reply["messageCount"] for reply in replies] == [1, 2, 3, 4]
        assert replies[1]["sleepDuration"] == 20
        assert replies[3]["roomStatus"]["membersCount"] == 1
        assert code == 0


def test_an_error_in_a_reply_makes_the_script_fail(both: Daemon) -> None:
    for address in addresses(both):
        code, out, _ = console(*address, lines="nope\nrandomNumber\n")
        assert code == 1
        assert "error: Error: nope is not a known action." in out
        assert '"randomNumber"' in out


def test_sticky_parameters_over_tcp(both: Daemon) -> None:
    code, out, _ = console(both.address("socket"), lines="paramAdd key=k\nparamAdd value=some text\ncacheTest\n")
    assert code == 0
    assert '"value": "some text"' in out
    code, out, _ = console(both.url, lines="paramAdd key=k\n")
    assert code == 1
    assert "error: paramAdd works over tcp:// and tls:// only" in out


def test_says_are_shown_as_they_come(both: Daemon, connect: Connect) -> None:
    for address in addresses(both):
        process = subprocess.Popen(
            [*COMMAND, *address, "--follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert "Hello!" in process.stdout.readline()
        process.stdin.close()
        client = connect(both.url)
        client.expect("welcome")
        client.emit("say", {"message": "heard?"})
        heard = [process.stdout.readline() for _ in range(2)]
        assert "I have entered the room" in heard[0]
        assert heard[1].endswith(": heard?\n")
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()
        client.close()


def test_what_cannot_be_reached_is_one_line() -> None:
    port = free_port()
    for scheme in ("http", "https", "tcp", "tls"):
        code, out, err = console(f"{scheme}://127.0.0.1:{port}", lines="status\n")
        assert (code, out) == (1, "")
        assert err.startswith(f"ahd console: cannot connect to {scheme}://127.0.0.1:{port}: ")
        assert err.count("\n") == 1


def test_what_does_not_speak_the_protocol_is_one_line(both: Daemon) -> None:
    tcp = both.address("socket")
    for address in (tcp.replace("tcp", "http"), tcp.replace("tcp", "tls"), both.url + "/nothing/here"):
        code, _, err = console(address, lines="status\n")
        assert code == 1
        assert err.startswith(f"ahd console: cannot connect to {address}: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["ftp://x"], ["tcp://"], ["tcp://h:x"], ["http://h", "--ca", "/nowhere"]])
def test_wrong_usage(arguments: list[str]) -> None:
    code, out, err = console(*arguments)
    assert (code, out) == (2, "")
    assert "ahd console" in err


class Terminal:
    """The console on a pseudo-terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        pid, self.fd = pty.fork()
        if pid == 0:
            environment = {**ENVIRONMENT, "TERM": "xterm", "XDG_STATE_HOME": str(home), "PROMPT_TOOLKIT_NO_CPR": "1"}
            os.execve(COMMAND[0], [*COMMAND, *arguments], environment)
        self.pid = pid
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str) -> None:
        end = time.monotonic() + DEADLINE * 2
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} is not in {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.seen, self.seen
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def wait(self) -> int:
        end = time.monotonic() + DEADLINE
        while True:
            assert time.monotonic() < end, "the console has not ended"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    if not os.read(self.fd, 65536):
                        break
                except OSError:
                    break
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_terminal(both: Daemon, connect: Connect, tmp_path: Path) -> None:
    for address in (both.address("socket"), both.url):
        terminal = Terminal(tmp_path, address)
        terminal.expect("Hello!")
        terminal.expect(">")
        terminal.type("randomN")
        client = connect(both.url)
        client.expect("welcome")
        # What comes is shown, and the line that is being typed is still there.
        terminal.expect("I have entered the room")
        terminal.expect("randomN")
        terminal.type("umber\r")
        terminal.expect('"randomNumber"')
        terminal.expect(">")
        terminal.type("\x1b[A\r")
        terminal.expect('"randomNumber"')
        terminal.expect(">")
        terminal.type("\x04")
        assert terminal.wait() == 0
        client.close()
    assert "randomNumber" in (tmp_path / "ahd" / "console-history").read_text()


def test_a_terminal_completes_and_helps(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ahd import action\n\n@action\nasync def greetAll() -> dict:\n    return {}\n"
    )
    daemon = start_daemon({"tcpServer": {"enable": True}, "actions": {"modules": [str(tmp_path / "mine.py")]}})
    for address in (daemon.address("socket"), daemon.url):
        terminal = Terminal(tmp_path, address)
        terminal.expect(">")
        # A verb, and an action of the server's own.
        terminal.type("roomV\t")
        terminal.expect("iew")
        terminal.type("\r")
        terminal.expect('"membersCount": 1')
        terminal.expect(">")
        terminal.type("greetA\t")
        terminal.expect("ll")
        # Ctrl-C throws the line away, and nothing else.
        terminal.type("\x03")
        terminal.expect(">")
        terminal.type("help\r")
        terminal.expect("roomChange ROOM")
        terminal.expect(">")
        terminal.type("nope\r")
        terminal.expect("error: Error: nope is not a known action.")
        terminal.expect(">")
        terminal.type("quit\r")
        assert terminal.wait() == 0
    terminal = Terminal(tmp_path, daemon.url, "--json")
    terminal.expect('{"event": "welcome", "data": {"welcome": "Hello! Welcome to the ahd api", ')
    terminal.expect(">")
    terminal.type("detailsView\r")
    terminal.expect('{"event": "response", "data": {"context": "response", "status": "OK", "details": ')
    terminal.expect(">")
    terminal.type("\x04")
    assert terminal.wait() == 0


def test_a_terminal_whose_server_goes(start_daemon: StartDaemon, tmp_path: Path) -> None:
    daemon = start_daemon({"tcpServer": {"enable": True}})
    terminal = Terminal(tmp_path, daemon.address("socket"))
    terminal.expect(">")
    daemon.stop()
    terminal.expect("the server says goodbye: server shutdown")
    terminal.expect("the server has closed the connection")
    assert terminal.wait() == 1
