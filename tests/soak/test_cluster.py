"""300 clients on three nodes, killed at random as is Redis, for minutes. SEED and SECONDS in the environment choose."""

from __future__ import annotations

import os
import random

import pytest

from tests.cluster.conftest import StartNode, start_node
from tests.cluster.model import run
from tests.conftest import Connect
from tests.harness.redis import RedisServer

__all__ = ["start_node"]


@pytest.mark.timeout(0)
def test_random_use_for_long(start_node: StartNode, connect: Connect, redis_server: RedisServer) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    seconds = float(os.environ.get("SECONDS", "180"))
    print(f"SEED={seed}")
    times = max(int(seconds / 30), 1)
    run(start_node, connect, redis_server, seed, clients=300, seconds=seconds, kills=times, outages=times // 2)
