"""Fixtures for faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon, merged

ACTS = Path(__file__).parent / "acts.py"


@pytest.fixture
def start_acting(start_daemon: StartDaemon) -> StartDaemon:
    """`start_daemon` with the actions of acts.py."""

    def start(config: dict[str, Any] | None = None, **options: Any) -> Daemon:
        return start_daemon(merged({"actions": {"modules": [str(ACTS)]}}, config or {}), **options)

    return start
