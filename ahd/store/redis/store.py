"""The store in Redis: puts its parts together and back after an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ahd.config.model import Config, Redis
from ahd.core.message import Encode, Say
from ahd.store.memory import MemoryCache
from ahd.store.redis import scripts
from ahd.store.redis.address import connector, database
from ahd.store.redis.bus import RedisBus
from ahd.store.redis.cache import RedisCache
from ahd.store.redis.channel import RedisChannel
from ahd.store.redis.link import RedisLink
from ahd.store.redis.names import Names
from ahd.store.redis.nodes import RedisNodes
from ahd.store.redis.presence import RedisPresence
from ahd.store.redis.stream import Session

logger = logging.getLogger("ahd.store")

FIRST_PATIENCE = 1.0
"""Seconds that `open` waits for Redis before it goes on without."""

EXIT_AFTER = 3.0
"""Seconds that Redis may be away before `outage: exit` ends the process."""


class RedisStore:
    """Cache, presence, bus and nodes of one system of nodes.

    `announce` is `chat.announce`; `max_entries` and `max_size` bound the cache.
    """

    immediate = False

    def __init__(
        self,
        config: Redis,
        encode: Encode,
        decode: Callable[[bytes], Any],
        *,
        announce: bool,
        max_entries: int,
        max_size: int,
    ) -> None:
        sharded = bool(config.options["cluster"])
        self._names = names = Names(config.prefix, 0 if sharded else database(config), sharded)
        self._link = link = RedisLink(connector(config, names), sharded)
        local = config.outage == "local"
        stand_in = MemoryCache(encode, decode, max_entries, max_size) if local else None
        self.nodes = RedisNodes(link, names, encode, decode, announce)
        self.bus = RedisBus(link, names, self.nodes.id, local, encode, decode)
        self.presence = RedisPresence(link, self.bus, names, self.nodes.id, local, announce, encode)
        self.cache = RedisCache(link, names, encode, decode, max_entries, max_size, stand_in)
        self._exit = config.outage == "exit"
        self._lost: Callable[[str], None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._open = False
        link.restore = self._restore
        link.heard = self.bus.pushed
        link.gone = self._gone

    async def open(self, deliver: Callable[[Say], None], lost: Callable[[str], None] | None = None) -> None:
        self.bus.deliver = deliver
        self._lost = lost
        self._open = True
        await self._link.open(FIRST_PATIENCE)
        self.nodes.start()
        if self._link.reason is not None:
            self._gone(self._link.reason)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._stop_giving_up()
        await self.nodes.close()
        await self._link.close()
        self.presence.clear()
        self.bus.clear()

    def away(self) -> str | None:
        return self._link.reason

    def channel(self, name: str) -> RedisChannel:
        return RedisChannel(self._link, self.bus, self._names.shared(name))

    async def _restore(self, session: Session) -> None:
        await asyncio.gather(*[session.send("SCRIPT", "LOAD", script.text) for script in scripts.ALL])
        await self.bus.restore(session)
        state, known = await self.nodes.join(session)
        await self.nodes.others_hear(session, state)
        await self.presence.restore(session, state, known)
        self._stop_giving_up()

    def _gone(self, reason: str) -> None:
        if self._exit and self._giving_up is None:
            self._giving_up = asyncio.get_running_loop().call_later(EXIT_AFTER, self._give_up)

    def _give_up(self) -> None:
        reason = self._link.reason or "it was away for too long"
        logger.error(
            "Redis is away, and redis.outage is exit: %s", reason, extra={"event": "storeLost", "reason": reason}
        )
        if self._lost is not None:
            self._lost(reason)

    def _stop_giving_up(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


def make(config: Config, encode: Encode, decode: Callable[[bytes], Any]) -> RedisStore:
    """The store that a configuration asks for."""
    limits = config.limits
    return RedisStore(
        config.redis,
        encode,
        decode,
        announce=config.chat.announce,
        max_entries=limits.cache_entries,
        max_size=limits.cache_size,
    )
