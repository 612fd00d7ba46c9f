"""`ahd console` against a daemon that asks for tokens."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from ahd.console.commands import shows_token
from tests.auth.minting import ANN, TOKENS
from tests.conftest import StartDaemon
from tests.console.test_console import COMMAND, ENVIRONMENT, addresses, console
from tests.harness.daemon import Daemon

CONFIG = {"auth": {"required": True, "tokens": TOKENS}, "tcpServer": {"enable": True}}


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    return start_shared_daemon(CONFIG)


def test_the_token_of_a_file(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(ANN + "\n")
    for address in addresses(daemon):
        code, out, err = console(*address, "--token-file", str(file), lines="roomView\n")
        assert code == 0, err
        assert "Welcome" in out
        assert '"membersCount": 1' in out


def test_the_token_of_the_environment(daemon: Daemon) -> None:
    for address in addresses(daemon):
        environment = {**ENVIRONMENT, "CONSOLE_TOKEN": ANN}
        done = subprocess.run(
            [*COMMAND, *address], input="roomView\n", capture_output=True, text=True, timeout=30, env=environment
        )
        assert done.returncode == 0, done.stderr


def test_a_bad_token_and_none(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("not-a-token-of-this-server")
    for address in addresses(daemon):
        code, out, err = console(*address, "--token-file", str(file), lines="roomView\n")
        assert (code, out) == (1, "")
        assert "the token is not valid" in err
        assert "not-a-token" not in err
    code, _, err = console(daemon.url, lines="roomView\n")
    assert code == 1
    assert "authentication is required" in err
    code, out, _ = console(daemon.address("socket"), lines=f"authenticate {ANN}\nroomView\n")
    assert code == 0
    assert "the server asks for a token" in out


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file or directory"), ("", "there is no token in it"), ("two words", "there is no token in it")],
)
def test_a_file_without_a_token(daemon: Daemon, tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    code, _, err = console(daemon.url, "--token-file", str(file))
    assert code == 2
    assert err == f"ahd console: {file}: {reason}\n"


def test_a_token_that_is_typed_is_not_shown_and_not_kept(daemon: Daemon, tmp_path: Path) -> None:
    main, side = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*COMMAND, daemon.address("socket"), "--token"],
        stdin=side,
        stdout=side,
        stderr=side,
        env=environment,
        start_new_session=True,
    )
    os.close(side)
    seen = b""
    steps = [(b"Token: ", ANN), (b"Welcome", f"authenticate {ANN}"), (b"OK", "quit")]
    try:
        for wanted, line in steps:
            while wanted not in seen:
                seen += os.read(main, 65536)
            if line != "quit":
                shown, seen = seen, b""
                assert ANN.encode() not in shown
            os.write(main, line.encode() + b"\r")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    history = (tmp_path / "ahd" / "console-history").read_text()
    assert "quit" in history
    assert ANN not in history


@pytest.mark.parametrize(
    ("line", "shows"),
    [
        ("authenticate x", True),
        ("  authenticate x", True),
        ('{"auth": {"token": "x"}}', True),
        ('{"verb": "authenticate", "data": {"token": "x"}}', True),
        ("say authenticate", False),
        ("", False),
        ("status", False),
    ],
)
def test_which_lines_are_not_kept(line: str, shows: bool) -> None:
    assert shows_token(line) is shows
