"""Stores as the application makes them, for tests that have no daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

import ahd.config
from ahd.store.redis import RedisStore


def redis_store(section: Mapping[str, Any]) -> RedisStore:
    """A store of a node of its own, with the section `redis` of a file."""
    config = ahd.config.loads(orjson.dumps({"redis": section}).decode(), {})
    return RedisStore(
        config.redis,
        orjson.dumps,
        orjson.loads,
        announce=True,
        max_entries=1000,
        max_size=100_000,
    )
