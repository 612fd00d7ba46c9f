"""The servers that are measured: what they are installed from, how they are started and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.harness.certificates import self_signed
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".make" / "bench"
PYTHON_PACKAGES = ("python-socketio>=5.18,<6", "tornado", "uvicorn", "uvloop", "httptools", "websockets", "fastapi")
NODE_PACKAGES = ("socket.io@~4.8.1",)
NPM = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
SERVER_CPU, LOAD_CPU = 0, 1
MONITORED = "ahd-monitored"
"""ahd that counts and times what it answers."""

ECHO = """from typing import Any

from ahd import action


@action(description="Gives back what it was given", output_example={"payload": "x"})
async def echo(payload: Any) -> dict[str, Any]:
    return {"payload": payload}


@action(description="Two inputs, looked at and given back", output_example={"text": "hello", "number": 42})
async def typedEcho(text: str, number: int) -> dict[str, Any]:
    return {"text": text, "number": number}
"""


@dataclass(frozen=True)
class Server:
    """A command to start; its port is in the environment as PORT, and a Redis of its own as REDIS_URL if it asks."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    redis: bool = False


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
    """The peers that most rows need, from npm and of Python, and the generator, with gcc; into .make/bench."""
    stamp = str((HERE / "sioload.c").stat().st_mtime_ns)
    source = str(HERE / "sioload.c")
    once(f"generator-{stamp}", ["gcc", "-O2", "-Wall", "-o", "sioload", source])
    try:
        once(f"tls-{stamp}", ["gcc", "-O2", "-Wall", "-DTLS", "-o", "sioload-tls", source, "-lssl", "-lcrypto"])
    except subprocess.CalledProcessError:
        print("the TLS rows will fail: OpenSSL's headers are not installed (Debian: libssl-dev)", file=sys.stderr)
    (CACHE / "package.json").write_text('{"private": true}')
    once("node", [*NPM, *NODE_PACKAGES])
    once(
        "python",
        [sys.executable, "-m", "venv", "python"],
        ["python/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PYTHON_PACKAGES],
    )


def install_actionhero() -> None:
    """actionhero; a row that compares with it says why when it cannot be installed."""
    try:
        once("actionhero", [*NPM, "--prefix", "actionhero", "actionhero@29"])
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"actionhero cannot be installed: {error}", file=sys.stderr)


def files() -> Path:
    """A directory with a file of 4 KiB."""
    directory = CACHE / "files"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "file.bin").write_bytes(os.urandom(4096))
    return directory


def tcp_port(port: int) -> int:
    """Where an ahd of this port listens for lines."""
    return port + 1


def ahd(port: int, tls: tuple[Path, Path] | None, tcp: bool, monitor: bool = False) -> Server:
    """ahd as its users start it; requests are not logged and coming and going is not said, as with the peers."""
    directory = CACHE / "ahd"
    (directory / "actions").mkdir(parents=True, exist_ok=True)
    (directory / "actions" / "echo.py").write_text(ECHO)
    web: dict[str, object] = {"port": port}
    if tls is not None:
        web |= {"secure": True, "keyFile": str(tls[0]), "certFile": str(tls[1])}
    config = {
        "httpServer": web,
        "general": {"simultaneousActions": 100},
        "actions": {"modules": ["./actions"]},
        "commonWeb": {"flatFileDirectory": str(files())},
        "tcpServer": {"enable": tcp, "port": tcp_port(port)},
        "monitor": {"enable": monitor, "port": 0},
        "chat": {"announce": False},
        "log": {"format": "json", "logRequests": False},
    }
    (directory / "ahd.yaml").write_text(yaml.safe_dump(config))
    return Server("ahd", (sys.executable, "-m", "ahd", "--config", str(directory / "ahd.yaml")), ROOT)


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


def actionhero() -> Server:
    """actionhero as it comes, for production, on a Redis of its own."""
    modules = CACHE / "actionhero" / "node_modules"
    assert (modules / "actionhero").is_dir(), "it could not be installed"
    environment = {"NODE_ENV": "production", "NODE_PATH": str(modules), "PROJECT_ROOT": str(CACHE / "actionhero")}
    return Server("actionhero", ("node", str(HERE / "peers" / "actionhero.js")), CACHE, environment, redis=True)


def fastapi() -> Server:
    command = (str(CACHE / "python" / "bin" / "python"), str(HERE / "peers" / "fast_api.py"))
    return Server("fastapi", command, CACHE, {"FILES": str(files())})


def make(name: str, port: int, tls: tuple[Path, Path] | None, tcp: bool) -> Server:
    """A server by its name in the table."""
    if name in ("ahd", MONITORED):
        return ahd(port, tls, tcp, name == MONITORED)
    if name == "node":
        return node(tls)
    others = {"actionhero": actionhero, "fastapi": fastapi}
    return others[name]() if name in others else python_socketio(name)


@contextmanager
def running(name: str, *, tls: bool = False, tcp: bool = False) -> Iterator[tuple[int, int]]:
    """A server on a core of its own: its port and its process. It is ended afterwards.

    `tcp`: ahd listens for lines too, at `tcp_port`.
    """
    port = free_port()
    server = make(name, port, self_signed(CACHE) if tls else None, tcp)
    environment = {**os.environ, **server.environment, "PORT": str(port)}
    log = CACHE / f"{name}.log"
    with ExitStack() as stack:
        if server.redis:
            store = RedisServer(CACHE / "redis")
            store.start()
            stack.callback(store.stop)
            environment["REDIS_URL"] = store.url
        output = stack.enter_context(log.open("w"))
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *server.command],
            cwd=server.directory, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(end, process)
        deadline = time.monotonic() + 20
        while not accepts(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{name} does not listen:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        time.sleep(0.5)
        yield port, process.pid


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; after five seconds it is made to."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
