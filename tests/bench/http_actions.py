"""Over HTTP: an echo with two validated inputs and a file of 4 KiB, beside FastAPI on uvicorn and actionhero."""

from __future__ import annotations

from functools import partial

from tests.bench.load import sioload
from tests.bench.row import Result, Row
from tests.bench.servers import install, install_actionhero, running

ECHO, FILE = "/api/typedEcho?text=hello&number=42", "/public/file.bin"
PATHS = {("actionhero", ECHO): "/api/echo?text=hello&number=42"}
CONNECTIONS = 32


def measure(path: str, peer: str, seconds: float, rate: float) -> Result:
    """Kept-alive connections, each with one request in flight."""
    with running(peer) as (port, pid):
        where = ("--path", PATHS.get((peer, path), path), "--reply", "*" + ("hello" if path is ECHO else "200 OK"))
        return sioload(("echo", "--proto", "http", "-n", str(CONNECTIONS), *where), port, pid, seconds)


def both() -> None:
    install()
    install_actionhero()


ROWS = (
    Row(
        "http-action", "HTTP action, two validated inputs, 32 connections", partial(measure, ECHO), 1.5,
        peers=("ahd", "fastapi", "actionhero"), base="fastapi", install=both,
    ),
    Row("http-file", "HTTP, a file of 4 KiB", partial(measure, FILE), 1, peers=("ahd", "fastapi"), base="fastapi"),
)  # fmt: skip
