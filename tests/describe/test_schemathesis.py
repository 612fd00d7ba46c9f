"""schemathesis reads the served document and finds no answer of the real server that it does not describe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from tests.conftest import StartDaemon

CONFIG = {
    "log": {"logRequests": False},
    "general": {"actionTimeout": 2},
    "commonWeb": {"routes": {"get": [{"path": "/users/:id", "action": "user"}]}},
}


EVERYTHING_BUT = ("--exclude-path", "/api/sleepTest", "--exclude-path", "/api/chat", "--exclude-path", "/api/keep")
"""What sleeps as long as it is told takes its time until the time-out; the others have a run of their own."""
UNSAYABLE = (
    *("--include-path", "/api/chat", "--include-path", "/api/keep"),
    *("--exclude-checks", "positive_data_acceptance,negative_data_rejection"),
)
"""What a schema cannot say: which parameters go together, that a file needs a body, that a form has no null."""


@pytest.mark.timeout(240)
def test_schemathesis_has_no_finding(start_daemon: StartDaemon, tmp_path: Path) -> None:
    folder = tmp_path / "offered"
    folder.mkdir()
    (folder / "offered.py").write_text((Path(__file__).parent / "offered.py").read_text())
    daemon = start_daemon({**CONFIG, "actions": {"modules": [str(folder)]}})
    url = f"{daemon.url}/api/openapi.json"
    document = httpx.get(url).json()
    validate(document)
    assert "/api/kinds" in document["paths"]
    program = str(Path(sys.executable).with_name("schemathesis"))
    for selection in (EVERYTHING_BUT, UNSAYABLE):
        command = [
            *(program, "run", url, "--seed", "1", "--max-examples", "25", "--phases", "coverage,fuzzing"),
            *("--no-color", "--request-timeout", "10", "--suppress-health-check", "all", *selection),
        ]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
        assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
        print("\n".join(ran.stdout.strip().splitlines()[-6:]))
