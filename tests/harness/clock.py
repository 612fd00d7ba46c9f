"""Time that goes on when a test says so."""

from __future__ import annotations


class Clock:
    """Called, it tells `now`: epoch milliseconds."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now
