"""What is in the wheel, and that it runs without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ahd import __version__
from tests.harness.daemon import ROOT


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel that was just built."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"ahd-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def run(unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AHD_")}
    environment["PYTHONPATH"] = str(unpacked)
    command = [sys.executable, "-m", "ahd", *arguments]
    return subprocess.run(
        command, cwd=unpacked, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    "name",
    [
        "ahd/py.typed",
        "ahd/schema/ahd.schema.json",
        "ahd/client/ahsocket.js",
        "ahd/client/ahsocket.d.ts",
        "ahd/client/socket.io.js",
        "ahd/client/socket.io.min.js",
    ],
)
def test_wheel_holds(unpacked: Path, name: str) -> None:
    assert (unpacked / name).stat().st_size > 0 or name.endswith("py.typed")


def test_wheel_holds_nothing_else_of_the_tree(unpacked: Path) -> None:
    assert {entry.name for entry in unpacked.iterdir()} == {"ahd", f"ahd-{__version__}.dist-info"}


@pytest.mark.smoke
def test_the_command_runs_from_the_wheel(unpacked: Path) -> None:
    result = run(unpacked, "version")
    assert result.returncode == 0, result.stderr
    assert __version__ in result.stdout
    result = run(unpacked, "config", "--default")
    assert result.returncode == 0, result.stderr
    assert "httpServer:" in result.stdout
