"""A Redis of the test's own."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import redis

from tests.harness.process import Process
from tests.harness.waiting import eventually, free_port


class RedisServer:
    """redis-server (or valkey-server) on a free port; it keeps nothing on disk, so a stop loses everything."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it (again, on the same port) and wait until it answers."""
        command = shutil.which("redis-server") or shutil.which("valkey-server")
        assert command is not None, "neither redis-server nor valkey-server is installed"
        self.directory.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = Process([command, *options, "--dir", str(self.directory)], name="redis-server")

        def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        eventually(answers, what="redis-server answers")

    def client(self) -> redis.Redis:
        """A connection to look into it; close it, or use it as a context manager."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)

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
