"""The store in Redis, shared by all nodes. Imported only when `redis.enable` is true.

`names` and `scripts` say what stands in Redis; `address` finds it, `stream` is one connection to it and `link` the one
that lasts; `bus`, `presence`, `cache` and `nodes` implement ahd.core.interfaces, and `store` puts them together.
"""

from ahd.store.redis.store import RedisStore, make

__all__ = ["RedisStore", "make"]
