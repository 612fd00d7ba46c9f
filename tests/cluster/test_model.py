"""Random use of three nodes agrees with a model; `make soak` does it for longer."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import StartNode
from tests.cluster.model import run
from tests.conftest import Connect
from tests.harness.redis import RedisServer


@pytest.mark.parametrize("seed", [20120101, 20130405])
def test_random_use(start_node: StartNode, connect: Connect, redis_server: RedisServer, seed: int) -> None:
    run(start_node, connect, redis_server, seed, clients=24, seconds=10, kills=1, outages=1)
