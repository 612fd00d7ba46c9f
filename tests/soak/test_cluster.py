"""300 clients on three nodes, killed at random, for minutes. SEED and SECONDS in the environment choose."""

from __future__ import annotations

import os
import random

import pytest

from tests.cluster.conftest import StartNode, start_node
from tests.cluster.model import run
from tests.conftest import Connect

__all__ = ["start_node"]


@pytest.mark.timeout(0)
def test_random_use_for_long(start_node: StartNode, connect: Connect) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    seconds = float(os.environ.get("SECONDS", "180"))
    print(f"SEED={seed}")
    run(start_node, connect, seed, clients=300, seconds=seconds, kills=max(int(seconds / 30), 1))
