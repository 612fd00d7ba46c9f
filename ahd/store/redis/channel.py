"""A channel of the system for another use than says, such as Socket.IO's client manager."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from ahd.store.redis.bus import RedisBus
from ahd.store.redis.link import RedisLink

logger = logging.getLogger("ahd.store")

MAX_WAITING = 10_000
"""Messages that may wait for their reader; the oldest go first."""


class Channel:
    """Messages are bytes. It outlives outages: what is published while Redis is away is not heard, that is all."""

    def __init__(self, link: RedisLink, bus: RedisBus, name: bytes) -> None:
        self.name = name.decode()
        self._link = link
        self._name = name
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self.dropped = 0
        """Messages that were thrown away because their reader was too slow."""
        bus.listen(name, self._heard)

    async def publish(self, message: bytes | str) -> None:
        """Publish to all nodes, this one included. StoreUnavailable: nobody has heard it."""
        # Plain publish/subscribe in a Cluster too: who speaks from outside knows no slots.
        await self._link.command("PUBLISH", self._name, message, quick=True)

    async def messages(self) -> AsyncIterator[bytes]:
        """What is published, without an end."""
        while True:
            yield await self._waiting.get()

    def _heard(self, message: bytes) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
            if not self.dropped % 1000:
                logger.warning("messages in %s are dropped", self.name, extra={"event": "channelFull"})
            self.dropped += 1
        self._waiting.put_nowait(message)
