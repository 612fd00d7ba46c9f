"""What the README and docs/ say holds: the first project runs as printed, and every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.harness.daemon import ROOT
from tests.harness.process import Process
from tests.harness.waiting import free_port

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = {"yaml": "ahd.yaml", "python": "actions/add.py", "html": "public/index.html"}


def environment(port: int) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AHD_")}
    return {**clean, "PYTHONPATH": str(ROOT), "AHD_HTTPSERVER_PORT": str(port)}


@pytest.fixture
def first_project(tmp_path: Path) -> Path:
    for language, name in FILES.items():
        [block] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(block)
    return tmp_path


def test_the_first_project_runs_as_printed(first_project: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ahd", "--config", str(first_project / "ahd.yaml")]
    process = Process(command, env=environment(port))
    try:
        process.wait_for_log(f"listens on http://127.0.0.1:{port}")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/add?a=1&b=2") as answer:
            assert json.load(answer)["sum"] == 3
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read().decode() == (first_project / "public/index.html").read_text()
    finally:
        process.stop()


def test_a_port_in_use_is_one_plain_line(first_project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ahd", "--config", str(first_project / "ahd.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment(port))
    assert done.returncode == 1
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["message"].lower() == f"the web server cannot listen: 127.0.0.1, port {port}: address already in use"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_links_every_page() -> None:
    linked = set(re.findall(r"\(docs/([^)#]+)\)", README))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}
