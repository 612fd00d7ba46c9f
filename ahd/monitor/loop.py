"""How late the event loop is: a timer that is due again and again, and how late it comes."""

from __future__ import annotations

import asyncio

from ahd.alarm import BLOCKED
from ahd.monitor.durations import Durations

INTERVAL = 0.25
REMEMBERED = 5.0
"""Seconds for which it goes on counting so afterwards: who asks meets it only between two blocks."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopLag:
    """Measures from `start` to `stop`; `lags` has the figures in seconds."""

    def __init__(self) -> None:
        self.lags = Durations(BOUNDS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._blocked_at = float("-inf")
        self._blocked_for = 0.0

    def start(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._next()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def blocked(self) -> float:
        """For how many seconds the loop was blocked lately; 0 when it was not."""
        if self._loop is None:
            return 0.0
        now = self._loop.time()
        late = now - self._due
        if self._timer is not None and late >= BLOCKED:
            return late
        return self._blocked_for if now - self._blocked_at < REMEMBERED else 0.0

    def _next(self) -> None:
        assert self._loop is not None
        self._due = self._loop.time() + INTERVAL
        self._timer = self._loop.call_later(INTERVAL, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        # A clock of milliseconds may let it come a little early.
        late = max(now - self._due, 0.0)
        self.lags.add(late)
        if late >= BLOCKED:
            self._blocked_at, self._blocked_for = now, late
        self._next()
