"""The servers that are measured: what they are installed from, how they are started and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.harness.waiting import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".make" / "bench"
PYTHON_PACKAGES = ("python-socketio>=5.18,<6", "tornado", "uvicorn", "uvloop", "httptools", "websockets")
NODE_PACKAGES = ("socket.io@~4.8.1",)
SERVER_CPU, LOAD_CPU = 0, 1

ECHO = """from typing import Any

from ahd import action


@action(description="Gives back what it was given", output_example={"payload": "x"})
async def echo(payload: Any) -> dict[str, Any]:
    return {"payload": payload}
"""


@dataclass(frozen=True)
class Server:
    """A command to start; its port is in the environment as PORT."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def once(name: str, *commands: list[str]) -> None:
    """Run commands in the cache unless they have been run before as they stand."""
    CACHE.mkdir(parents=True, exist_ok=True)
    mark = CACHE / f".{name}"
    wanted = repr(commands)
    if not mark.exists() or mark.read_text() != wanted:
        for command in commands:
            subprocess.run(command, cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
        mark.write_text(wanted)


def install() -> None:
    """The peers, from npm and of Python, and the generator, with gcc; into .make/bench."""
    stamp = str((HERE / "sioload.c").stat().st_mtime_ns)
    source = str(HERE / "sioload.c")
    once(f"generator-{stamp}", ["gcc", "-O2", "-Wall", "-o", "sioload", source])
    try:
        once(f"tls-{stamp}", ["gcc", "-O2", "-Wall", "-DTLS", "-o", "sioload-tls", source, "-lssl", "-lcrypto"])
    except subprocess.CalledProcessError:
        print("no TLS rows: OpenSSL's headers are not installed (Debian: libssl-dev)", file=sys.stderr)
    (CACHE / "package.json").write_text('{"private": true}')
    once("node", ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", *NODE_PACKAGES])
    once(
        "python",
        [sys.executable, "-m", "venv", "python"],
        ["python/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PYTHON_PACKAGES],
    )


def ahd(name: str, port: int, tls: tuple[Path, Path] | None) -> Server:
    """ahd as its users start it; requests are not logged and coming and going is not said, as with the peers."""
    directory = CACHE / name
    (directory / "actions").mkdir(parents=True, exist_ok=True)
    (directory / "actions" / "echo.py").write_text(ECHO)
    web: dict[str, object] = {"port": port}
    if tls is not None:
        web |= {"secure": True, "keyFile": str(tls[0]), "certFile": str(tls[1])}
    config = {
        "httpServer": web,
        "general": {"simultaneousActions": 100},
        "actions": {"modules": ["./actions"]},
        "chat": {"announce": False},
        "log": {"format": "json", "logRequests": False},
    }
    (directory / "ahd.yaml").write_text(yaml.safe_dump(config))
    return Server(name, (sys.executable, "-m", "ahd", "--config", str(directory / "ahd.yaml")), ROOT)


def node(tls: tuple[Path, Path] | None) -> Server:
    """Node's socket.io; its optional native add-on is not installed, as with a plain `npm install socket.io`."""
    environment = {"NODE_ENV": "production", "NODE_PATH": str(CACHE / "node_modules")}
    if tls is not None:
        environment |= {"KEY": str(tls[0]), "CERT": str(tls[1])}
    return Server("node", ("node", str(HERE / "peers" / "node.js")), CACHE, environment)


def python_socketio(kind: str) -> Server:
    """python-socketio under uvicorn or Tornado, as they come."""
    command = (str(CACHE / "python" / "bin" / "python"), str(HERE / "peers" / "python_socketio.py"), kind)
    return Server(kind, command, CACHE)


def make(name: str, port: int, tls: tuple[Path, Path] | None) -> Server:
    """A server by its name in the table."""
    if name == "ahd":
        return ahd(name, port, tls)
    return node(tls) if name == "node" else python_socketio(name)


@contextmanager
def running(name: str, tls: tuple[Path, Path] | None = None) -> Iterator[tuple[int, int]]:
    """A server on a core of its own: its port and its process. It is ended afterwards."""
    port = free_port()
    server = make(name, port, tls)
    environment = {**os.environ, **server.environment, "PORT": str(port)}
    log = CACHE / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *server.command],
            cwd=server.directory, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while True:
                with closing(socket.socket()) as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{name} does not listen:\n{log.read_text()[-2000:]}")
                time.sleep(0.05)
            time.sleep(0.5)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
