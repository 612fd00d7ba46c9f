"""Fixtures of all tests; what they do is in tests/harness."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import Daemon
from tests.harness.node import NodeClients, NodeSocket
from tests.harness.redis import RedisServer

StartDaemon = Callable[..., Daemon]
Connect = Callable[..., NodeSocket]


@contextmanager
def daemons(directory: Path) -> Iterator[StartDaemon]:
    """What `start_daemon` is; with a directory of its own."""
    started: list[tuple[Daemon, bool]] = []

    def start(
        config: dict[str, Any] | str | None = None,
        *,
        allow_traceback: bool = False,
        wait: bool = True,
        name: str = "",
        **options: Any,
    ) -> Daemon:
        name = name or f"ahd{len(started) or ''}"
        daemon = Daemon({} if config is None else config, directory / name, name=name, **options)
        started.append((daemon, allow_traceback))
        if wait:
            daemon.wait_until_listening()
        return daemon

    try:
        yield start
    finally:
        # All are asked before any is waited for: several nodes then drain at the same time.
        for daemon, _ in started:
            if daemon.running:
                daemon.signal(signal.SIGCONT)
                daemon.popen.terminate()
        problems = [problem for daemon, allow in started for problem in ended(daemon, allow)]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def ended(daemon: Daemon, allow_traceback: bool) -> Iterator[str]:
    """What is wrong with the end of a daemon that has been asked to stop."""
    try:
        daemon.stop()
        if not allow_traceback:
            daemon.assert_clean()
        left = daemon.group()
        assert not left, f"{daemon.name} left processes behind: {left}"
    except AssertionError as error:
        yield str(error)
    finally:
        daemon.kill()
        # Shown when the test fails.
        print(f"--- {daemon.name}\n{daemon.log()[-20000:]}")


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start daemons: `start_daemon({"section": {"key": value}}, env=…)`; each waits until it is listening.

    `allow_traceback=True` is for tests in which an action raises; `wait=False` for those in which it must not start.
    At the end every one must stop by itself, leave no process behind and have logged no traceback.
    """
    with daemons(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDaemon]:
    """`start_daemon` for fixtures that all tests of a module share."""
    with daemons(tmp_path_factory.mktemp("shared")) as start:
        yield start


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One ahd with the default configuration."""
    return start_daemon()


@pytest.fixture
def node_clients() -> Iterator[NodeClients]:
    """A Node process for sockets of socket.io-client."""
    process = NodeClients()
    yield process
    process.kill()


@pytest.fixture
def connect(node_clients: NodeClients) -> Connect:
    """Connect socket.io-client: `connect(daemon.url, transports=["websocket"])`."""
    return node_clients.connect


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of this test's own."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()
