"""Every key of the schema has a proof; `ahd check` tells of the names of 0.9 that do nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ahd.config.schema import load_schema, resolve
from tests.harness.daemon import ROOT
from tests.keys import auth, limits, listening, monitor, sockets, store, web

SCHEMA = load_schema()
PROOFS = [
    *listening.PROOFS,
    *sockets.SECTION,
    *sockets.OPTIONS,
    *web.COMMON_WEB,
    *web.CHAT,
    *limits.LIMITS,
    *web.LOG,
    *web.SHUTDOWN,
    *monitor.PROOFS,
    *store.PROOFS,
    *auth.PROOFS,
]

IGNORED = {
    "match origin protocol": True,
    "flash policy server": True,
    "flash policy port": 10843,
    "destroy upgrade": True,
    "client store expiration": 15,
    "heartbeats": True,
}
"""Options that change nothing: a line of the check says so."""
REFUSED = {
    "authorization": True,
    "logger": True,
    "static": True,
    "store": True,
    "browser client handler": True,
    "heartbeats": False,
}
AS_ALWAYS = {
    "browser client": "mapped: socket.io.js is served",
    "browser client cache": "mapped: socket.io.js is kept in memory",
    "destroy upgrade": "ignored",
    "flash policy server": "ignored",
    "heartbeats": "mapped: always so",
    "log": "mapped: Socket.IO logs",
    "match origin protocol": "ignored",
    "allow_upgrades": "mapped: polling clients may upgrade",
    "http_compression": "mapped: answers to polls are compressed",
}
"""Settings that switch on what is on without them (options of their names switch it off), or that are ignored."""


def keys(part: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key that holds a value; of an object with named keys: of these."""
    part = resolve(SCHEMA, part)
    if part.get("x-secret") or "properties" not in part:
        yield path
        return
    for name, below in part["properties"].items():
        yield from keys(below, (*path, name))


def test_every_key_has_a_proof() -> None:
    proved = {proof.path for proof in PROOFS}
    told = {("webSockets", "options", name) for name in (*IGNORED, *REFUSED)}
    missing = [".".join(path) for path in keys(SCHEMA) if path not in proved | told]
    assert not missing, f"keys without a proof that they change what the daemon does: {missing}"


def test_every_setting_has_a_proof() -> None:
    names = resolve(SCHEMA, SCHEMA["properties"]["webSockets"])["properties"]["settings"]["items"]["enum"]
    proved = {proof.note for proof in sockets.SECTION if proof.path == ("webSockets", "settings")}
    missing = [name for name in names if name not in proved and name not in AS_ALWAYS]
    assert not missing, f"settings without a proof: {missing}"


def check(config: dict[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "ahd.yaml"
    file.write_text(yaml.safe_dump(config))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ahd", "check", "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


def test_the_check_tells_of_options_that_change_nothing(tmp_path: Path) -> None:
    done = check({"webSockets": {"options": IGNORED}}, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name in IGNORED:
        outcome = "mapped: always so" if name == "heartbeats" else "ignored"
        assert any(line.startswith(f"{name}: {outcome}") for line in lines), (name, lines)


def test_the_check_tells_of_settings_that_change_nothing(tmp_path: Path) -> None:
    done = check({"webSockets": {"settings": list(AS_ALWAYS)}}, tmp_path)
    assert done.returncode == 0, done.stderr
    for name, outcome in AS_ALWAYS.items():
        assert any(line.startswith(f"{name}: {outcome}") for line in done.stdout.splitlines()), (name, done.stdout)


def test_options_that_are_functions_and_objects_are_refused(tmp_path: Path) -> None:
    done = check({"webSockets": {"options": REFUSED}}, tmp_path)
    assert done.returncode == 78
    for name in REFUSED:
        assert f"webSockets.options.{name}: " in done.stderr, json.dumps([name, done.stderr])
