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
    "general": {"actionTimeout": 0.2},
    "commonWeb": {"routes": {"get": [{"path": "/users/:id", "action": "user"}]}},
}
SETTINGS = """
# What sleeps as long as it is told is answered for with a time-out, which is a status of a server's error.
[[operations]]
include-path = "/api/sleepTest"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 504]

# OpenAPI 3.1 cannot say of a query that `message` belongs to the method `say` and `room` to others.
[[operations]]
include-path = "/api/chat"
checks.positive_data_acceptance.expected-statuses = ["2xx", 422]

# Every method calls an action; those that bring no body as a rule are not described for one that needs a file.
[[operations]]
include-path = "/api/keep"
checks.allow_header_conformance.enabled = false
checks.unsupported_method.enabled = false
"""
"""The documented answers that schemathesis would not expect; every operation is tested."""


@pytest.mark.timeout(240)
def test_schemathesis_has_no_finding(start_daemon: StartDaemon, tmp_path: Path) -> None:
    folder = tmp_path / "offered"
    folder.mkdir()
    (folder / "offered.py").write_text((Path(__file__).parent / "offered.py").read_text())
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    daemon = start_daemon({**CONFIG, "actions": {"modules": [str(folder)]}})
    url = f"{daemon.url}/api/openapi.json"
    document = httpx.get(url).json()
    validate(document)
    assert {"/api/kinds", "/api/keep", "/api/chat", "/api/sleepTest"} <= document["paths"].keys()
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", url, "--seed", "1", "--max-examples", "25"),
        *("--phases", "coverage,fuzzing", "--no-color", "--request-timeout", "10", "--suppress-health-check", "all"),
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    print("\n".join(ran.stdout.strip().splitlines()[-6:]))
