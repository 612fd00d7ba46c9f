"""Whether the cache works."""

from __future__ import annotations

from typing import Any

from ahd.actions.action import ActionError, action
from ahd.actions.context import Context

EXPIRES_AFTER_MS = 5000


@action(
    name="cacheTest",
    description="Saves a value in the cache, loads it, and takes it away again.",
    output_example={
        "cacheTestResults": {
            "key": "k",
            "value": "v",
            "saveResp": True,
            "sizeResp": 1,
            "loadResp": {
                "key": "k",
                "value": "v",
                "expireTimestamp": 1700000005000,
                "createdAt": 1700000000000,
                "readAt": None,
            },
            "deleteResp": True,
        }
    },
)
async def cache_test(context: Context, key: str, value: Any) -> dict[str, Any]:
    cache = context.cache
    own_key = f"cacheTest_{key}"  # a client must not reach what other actions keep
    try:
        saved = await cache.save(own_key, value, EXPIRES_AFTER_MS)
    except (TypeError, ValueError) as error:
        raise ActionError(f"Error: value cannot be saved: {error}") from None
    size = await cache.size()
    loaded = await cache.load(own_key)
    deleted = await cache.destroy(own_key)
    return {
        "cacheTestResults": {
            "key": key,
            "value": value,
            "saveResp": saved,
            "sizeResp": size,
            "loadResp": None
            if loaded is None
            else {
                "key": key,
                "value": loaded.value,
                "expireTimestamp": loaded.expire_timestamp,
                "createdAt": loaded.created_at,
                "readAt": loaded.read_at,
            },
            "deleteResp": deleted,
        }
    }
