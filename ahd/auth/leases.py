"""One timer for all tokens that expire while their connections are open."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is looked at again, as somebody may have set it."""
SWEEP_AT = 1000
"""Leases of clients that have gone are thrown away when there are so many, and when twice as many are held."""


class Lease(Protocol):
    """A connection whose token expires: `expires_at` is in epoch seconds and may be put off; `gone` ends the lease."""

    @property
    def gone(self) -> bool: ...
    @property
    def expires_at(self) -> float | None: ...

    def expire(self) -> None:
        """Close it. Must not raise."""


class Leases:
    """Expires each lease within a second of its time. `start` and `stop` belong to the running loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lease]] = []
        self._numbers = count()
        self._sweep_at = SWEEP_AT
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.get_running_loop()
        self._set()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None
        self._heap.clear()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, lease: Lease) -> None:
        """Hold a lease; one that does not expire is no error."""
        if lease.expires_at is None:
            return
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if not entry[2].gone]
            heapq.heapify(self._heap)
            self._sweep_at = max(SWEEP_AT, 2 * len(self._heap))
        heapq.heappush(self._heap, (lease.expires_at, next(self._numbers), lease))
        if self._heap[0][2] is lease:
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._loop is not None:
            delay = min(max(self._heap[0][0] - time.time(), 0), LONGEST_SLEEP)
            self._timer = self._loop.call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        now = time.time()
        while self._heap and self._heap[0][0] <= now:
            lease = heapq.heappop(self._heap)[2]
            if lease.gone or lease.expires_at is None:
                continue
            if lease.expires_at > now:  # it has shown another token since
                heapq.heappush(self._heap, (lease.expires_at, next(self._numbers), lease))
            else:
                lease.expire()
        self._set()
