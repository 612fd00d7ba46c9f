"""One timer for the heartbeats of all connections: a wheel of buckets, each a set of what is due at about that time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)


class Due(Protocol):
    """What a wheel holds. `slot` is the wheel's own mark: the bucket it stands in, or -1."""

    slot: int


class Wheel:
    """Calls `due(item)` once at about the time that `put` was given, never early, at most `grain` seconds late.

    An item stands in one bucket at a time; `put` again moves it. `start` and `stop` belong to the running loop.
    """

    def __init__(self, grain: float, due: Callable[[Due], None]) -> None:
        self.grain = grain
        self._due = due
        self._buckets: dict[int, set[Due]] = {}
        self._turned = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to turn."""
        self._loop = asyncio.get_running_loop()
        self._turned = int(self._loop.time() / self.grain)
        self._timer = self._loop.call_later(self.grain, self._turn)

    def stop(self) -> None:
        """Turn no more; what is held stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def put(self, item: Due, delay: float) -> None:
        """Hold an item for `delay` seconds, instead of whatever it was held for."""
        assert self._loop is not None, "the wheel has not been started"
        slot = max(math.ceil((self._loop.time() + delay) / self.grain), self._turned + 1)
        if item.slot == slot:
            return
        self.take(item)
        item.slot = slot
        bucket = self._buckets.get(slot)
        if bucket is None:
            bucket = self._buckets[slot] = set()
        bucket.add(item)

    def take(self, item: Due) -> None:
        """Let an item go; one that is not held is no error."""
        bucket = self._buckets.get(item.slot)
        item.slot = -1
        if bucket is not None:
            bucket.discard(item)

    def _turn(self) -> None:
        assert self._loop is not None
        now = int(self._loop.time() / self.grain)
        # A clock that stood still for long (a suspended machine) has many empty slots behind it: look at those in use.
        slots = range(self._turned + 1, now + 1)
        if len(slots) > len(self._buckets):
            late = sorted(slot for slot in self._buckets if slot <= now)
        else:
            late = [slot for slot in slots if slot in self._buckets]
        self._turned = now
        for slot in late:
            for item in self._buckets.pop(slot):
                item.slot = -1
                try:
                    self._due(item)
                except Exception:
                    logger.exception("a heartbeat failed")
        self._timer = self._loop.call_later(self.grain, self._turn)
