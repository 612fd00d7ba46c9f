"""The cache in Redis, shared by all nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ahd.core.errors import StoreUnavailable
from ahd.core.interfaces import Cache, Cached
from ahd.core.message import Encode
from ahd.store.redis import scripts
from ahd.store.redis.link import RedisLink
from ahd.store.redis.names import Names
from ahd.store.redis.scripts import Script


class RedisCache:
    """At most `max_entries` values (the one unused for longest goes first), each of at most `max_size` bytes.

    All values together are bounded by Redis's own `maxmemory`. `stand_in`: takes over while Redis is away; what it
    holds is not taken back.
    """

    def __init__(
        self,
        link: RedisLink,
        names: Names,
        encode: Encode,
        decode: Callable[[bytes], Any],
        max_entries: int,
        max_size: int,
        stand_in: Cache | None,
    ) -> None:
        self._link = link
        self._names = names
        self._encode = encode
        self._decode = decode
        self._max_entries = max_entries
        self._max_size = max_size
        self._stand_in = stand_in

    async def save(self, key: str, value: Any, expire_time_ms: int | None = None) -> bool:
        text = self._encode(value)
        name = _name(key)
        if len(name) + len(text) > self._max_size:
            raise ValueError(f"larger than the whole cache ({len(name) + len(text)} of {self._max_size} bytes)")
        time_to_live: int | str = "" if expire_time_ms is None else int(expire_time_ms)
        try:
            await self._run(scripts.SAVE, name, text, time_to_live, self._max_entries)
        except StoreUnavailable:
            return await self._instead().save(key, value, expire_time_ms)
        return True

    async def load(self, key: str) -> Cached | None:
        try:
            found = await self._run(scripts.LOAD, _name(key))
        except StoreUnavailable:
            return await self._instead().load(key)
        if found is None:
            return None
        text, created, expires, read = found
        return Cached(
            self._decode(text), None if expires == b"+inf" else int(expires), int(created), int(read) if read else None
        )

    async def destroy(self, key: str) -> bool:
        try:
            return bool(await self._run(scripts.DESTROY, _name(key)))
        except StoreUnavailable:
            return await self._instead().destroy(key)

    async def size(self) -> int:
        try:
            return int(await self._run(scripts.SIZE))
        except StoreUnavailable:
            return await self._instead().size()

    def _instead(self) -> Cache:
        if self._stand_in is None:
            raise StoreUnavailable(self._link.reason or "Redis is away")
        return self._stand_in

    def _run(self, script: Script, *arguments: Any) -> Awaitable[Any]:
        return self._link.command("EVALSHA", script.sha, 1, self._names.leases, self._names.root, *arguments)


def _name(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
