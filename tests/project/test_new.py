"""`ahd new`: the project runs at once, and its own test passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.harness.daemon import ROOT
from tests.harness.process import Process
from tests.harness.waiting import free_port

# Of what a shell says about ahd and pytest, nothing reaches the project.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("AHD_", "PYTEST_"))},
    "PYTHONPATH": str(ROOT),
}


def new(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ahd", "new", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=ENVIRONMENT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "my shop"
    done = new(directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(directory / "README.md") in done.stdout.splitlines()
    return directory


def test_its_own_tests_pass(project: Path) -> None:
    command = ["make", "test", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "etc/ahd.yaml is valid" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.smoke
def test_it_runs_at_once(project: Path) -> None:
    port = free_port()
    environment = {**ENVIRONMENT, "AHD_HTTPSERVER_PORT": str(port)}
    process = Process([sys.executable, "-m", "ahd", "--config", str(project / "etc" / "ahd.yaml")], env=environment)
    try:
        process.wait_for_log(f"listens on http://127.0.0.1:{port}")
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{url}/api/greet?name=Ann&times=2") as answer:
            assert json.load(answer)["greeting"] == "Hello, Ann! Hello, Ann!"
        with urllib.request.urlopen(f"{url}/") as answer:
            page = answer.read().decode()
        assert "ahsocket.js" in page
        with urllib.request.urlopen(f"{url}/page.js") as answer:
            assert "`me: ${message}`" in answer.read().decode()
    finally:
        process.popen.terminate()
        assert process.wait() == 0


def test_the_readme_names_the_project_and_its_commands(project: Path) -> None:
    readme = (project / "README.md").read_text()
    assert readme.startswith("# my shop\n")
    assert "make run" in readme
    assert "make test" in readme
    assert (project / ".gitignore").exists()
    assert "$(PYTHON)" in (project / "Makefile").read_text()


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    assert new(tmp_path).returncode == 0


@pytest.mark.parametrize("what", ["a file in it", "a file", "no way"])
def test_what_is_there_is_left_alone(tmp_path: Path, what: str) -> None:
    directory = tmp_path / "there"
    if what == "a file in it":
        directory.mkdir()
        (directory / "mine").write_text("mine")
        reason = "is not empty: name a new directory"
    elif what == "a file":
        directory.write_text("mine")
        reason = "is not a directory"
    else:
        (tmp_path / "file").write_text("mine")
        directory = tmp_path / "file" / "there"
        reason = "Not a directory"
    done = new(directory)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ahd new: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left in (["mine"], ["there"], ["file"])
