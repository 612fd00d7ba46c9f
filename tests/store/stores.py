"""Stores as the application makes them, for tests that have no daemon."""

from __future__ import annotations

from typing import Any

import orjson

import ahd.config
from ahd.store.redis import RedisStore
from tests.harness.redis import RedisServer


def redis_store(server: RedisServer, **section: Any) -> RedisStore:
    """A store of a node of its own; `section` is laid over the section redis of the file."""
    section = {"enable": True, "port": server.port, **section}
    if "url" in section:
        del section["port"]
    config = ahd.config.loads(orjson.dumps({"redis": section}).decode(), {})
    return RedisStore(
        config.redis,
        orjson.dumps,
        orjson.loads,
        announce=True,
        max_entries=1000,
        max_size=100_000,
    )
