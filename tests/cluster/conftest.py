"""Nodes: daemons that share the test's Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.redis import RedisServer

StartNode = Callable[..., Daemon]


@pytest.fixture
def start_node(start_daemon: StartDaemon, redis_server: RedisServer) -> StartNode:
    """Start a node: `start_node(redis={…}, chat={…})`; keywords are sections of the file."""

    def start(*, options: dict[str, Any] | None = None, **sections: Any) -> Daemon:
        redis = {"enable": True, "port": redis_server.port, **sections.pop("redis", {})}
        return start_daemon({"redis": redis, "log": {"logRequests": False}, **sections}, **(options or {}))

    return start
