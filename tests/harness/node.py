"""Node and the real socket.io-client, seen from Python."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.daemon import ROOT
from tests.harness.process import Process
from tests.harness.waiting import DEADLINE

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".make" / "node"


def modules() -> Path:
    """The `node_modules` with what package.json beside this file names; installed by npm when it is not there yet."""
    wanted = (HERE / "package.json").read_text()
    installed = CACHE / "package.json"
    done = CACHE / ".installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        # Several test workers may come here at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            installed.write_text(wanted)
            command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=CACHE, check=True, timeout=180)
            done.write_text(wanted)
    return CACHE / "node_modules"


def environment() -> dict[str, str]:
    """What Node needs to find these modules from any directory."""
    return {**os.environ, "NODE_PATH": str(modules()), "NODE_NO_WARNINGS": "1"}


def run_node(script: str | Path, *arguments: str, timeout: float = 30.0, **env: str) -> str:
    """Run a file, or a snippet of CommonJS, to its end and return its stdout; a failure shows its stderr.

    The arguments begin at `process.argv[2]` in a file and at `process.argv[1]` in a snippet.
    """
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    source = [str(script)] if isinstance(script, Path) else ["-e", script, "--"]
    result = subprocess.run(
        [node, *source, *arguments], env={**environment(), **env}, capture_output=True, text=True, timeout=timeout
    )
    assert result.returncode == 0, f"node ended with {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def to_json(value: Any) -> Any:
    """Bytes as `{"$binary": base64}`, at any depth."""
    if isinstance(value, bytes):
        return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    return value


def from_json(value: Any) -> Any:
    """The opposite of `to_json`."""
    if isinstance(value, dict):
        if value.keys() == {"$binary"}:
            return base64.b64decode(value["$binary"])
        return {key: from_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_json(inner) for inner in value]
    return value


class NodeSocket:
    """One socket of socket.io-client.

    What it hears is kept in order; `expect` takes the first event that fits out of what is kept, or waits for it.
    """

    def __init__(self, process: NodeClients, name: str) -> None:
        self.process = process
        self.name = name
        self.heard: list[tuple[str, list[Any], float]] = []
        self.id = ""
        self.transport = ""

    def expect(self, event: str, predicate: Callable[..., Any] | None = None, deadline: float = DEADLINE) -> Any:
        """Take the first `event` for whose arguments `predicate` is true; its only argument, or the list of them."""

        def found() -> tuple[list[Any]] | None:
            self.process.sort()
            for index, (name, args, _) in enumerate(self.heard):
                if name == event and (predicate is None or predicate(*args)):
                    del self.heard[index]
                    return (args,)
            return None

        def what() -> str:
            return f"{event}; {self.name} has kept {self.heard[-20:]}"

        try:
            (args,) = self.process.wait_for(found, deadline, event)
        except AssertionError as error:
            raise AssertionError(f"{error}\nwaiting for {what()}") from None
        return args[0] if len(args) == 1 else args

    def events(self, event: str | None = None) -> list[Any]:
        """The first arguments of all events that are kept, in order; of one name if given. Nothing is taken."""
        with self.process.arrived:
            self.process.sort()
            return [args[0] if args else None for name, args, _ in self.heard if event is None or name == event]

    def forget(self) -> None:
        """Throw away what is kept."""
        with self.process.arrived:
            self.process.sort()
            self.heard.clear()

    def emit(self, event: str, *args: Any) -> None:
        self.process.command(self.name, "emit", event=event, args=to_json(list(args)), timeout=None)

    def call(self, event: str, *args: Any, timeout: float = DEADLINE) -> Any:
        """Emit, and return the acknowledgement: its only value, or the list of them."""
        return self.begin(event, *args, timeout=timeout)()

    def begin(self, event: str, *args: Any, timeout: float = DEADLINE) -> Callable[[], Any]:
        """Emit; what is returned waits for the acknowledgement as `call` does."""
        options = {"event": event, "args": to_json(list(args)), "timeout": int(timeout * 1000)}
        number = self.process.send(self.name, "emit", **options)

        def finish() -> Any:
            answer = self.process.result(number, timeout + 5, event)
            return answer[0] if len(answer) == 1 else answer

        return finish

    def ask(self, verb: str, data: Any = None, deadline: float = DEADLINE) -> Any:
        """Emit a verb of ahd without acknowledgement, and take the next `response`."""
        self.emit(verb, *([] if data is None else [data]))
        return self.expect("response", deadline=deadline)

    def state(self) -> dict[str, Any]:
        """`{id, connected, transport}` as the client sees it now."""
        state: dict[str, Any] = self.process.command(self.name, "state")
        return state

    def close(self) -> None:
        self.process.command(self.name, "close")

    def open(self) -> None:
        """Connect again after a close."""
        self.process.command(self.name, "open")

    def drop(self) -> None:
        """Break the connection below Socket.IO."""
        self.process.command(self.name, "drop")

    def wait_connected(self, deadline: float = DEADLINE, refused: bool = False) -> None:
        """Until it is up; a refusal fails at once, with its reason, unless it may be `refused` before it comes back."""

        def found() -> tuple[str, list[Any]] | None:
            self.process.sort()
            for index, (name, args, _) in enumerate(self.heard):
                if name == "connect" or (name == "connect_error" and not refused):
                    del self.heard[index]
                    return name, args
            return None

        name, args = self.process.wait_for(found, deadline, f"{self.name} is connected")
        assert name == "connect", f"{self.name} was refused: {args}"
        self.id, self.transport = args


class NodeClients(Process):
    """A Node process that holds any number of sockets."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node is not None, "node is not installed"
        self.sockets: dict[str, NodeSocket] = {}
        self._results: dict[int, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._sorted = 0
        super().__init__([node, str(HERE / "client.cjs")], name="node clients", env=environment(), stdin=True)

    def sort(self) -> None:
        """Hand out the lines that have come since the last time; the caller holds `arrived`."""
        for line in self.output[self._sorted :]:
            message = json.loads(line)
            if "id" in message:
                self._results[message["id"]] = message
            else:
                self.sockets[message["socket"]].heard.append(
                    (message["event"], from_json(message["args"]), message["time"])
                )
        self._sorted = len(self.output)

    def command(self, socket: str, do: str, deadline: float = DEADLINE, **fields: Any) -> Any:
        """Have a command done and return its result; an error of the client is an AssertionError."""
        return self.result(self.send(socket, do, **fields), deadline, f"{do} {fields}")

    def send(self, socket: str, do: str, **fields: Any) -> int:
        """Have a command done; the number by which `result` knows it."""
        number = next(self._numbers)
        assert self.popen.stdin is not None
        line = json.dumps({"id": number, "socket": socket, "do": do, **fields})
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()
        return number

    def result(self, number: int, deadline: float, what: str) -> Any:
        """What came of a command, once."""

        def found() -> dict[str, Any] | None:
            self.sort()
            return self._results.pop(number, None)

        result = self.wait_for(found, deadline, f"the result of {what}")
        assert "error" not in result, f"{what}: {result['error']}"
        return from_json(result["result"])

    def connect(self, url: str, *, wait: bool = True, **options: Any) -> NodeSocket:
        """Open a socket with socket.io-client's `options` (reconnection is off) and wait until it is up."""
        name = f"socket{len(self.sockets)}"
        socket = self.sockets[name] = NodeSocket(self, name)
        self.command(name, "connect", url=url, options=to_json(options))
        if wait:
            socket.wait_connected()
        return socket


if __name__ == "__main__":
    modules()
