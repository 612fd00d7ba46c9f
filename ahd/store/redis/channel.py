"""A channel of the system for another use than says, such as Socket.IO's client manager."""

from __future__ import annotations

from collections.abc import Callable

from ahd.store.redis.bus import RedisBus
from ahd.store.redis.link import RedisLink


class RedisChannel:
    """It outlives outages: what is published while Redis is away is not heard, that is all."""

    def __init__(self, link: RedisLink, bus: RedisBus, name: bytes) -> None:
        self.name = name.decode()
        self._link = link
        self._bus = bus
        self._name = name

    async def publish(self, message: bytes) -> None:
        # Plain publish/subscribe in a Cluster too: who speaks from outside knows no slots.
        await self._link.command("PUBLISH", self._name, message, quick=True)

    def listen(self, heard: Callable[[bytes], None]) -> None:
        self._bus.listen(self._name, heard)
