"""How fast a client may send: so many messages a second for long, so many at once. PURE: the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two messages for long (`interval`), how far ahead of that a client may be (`tolerance`), and how
    many refused messages end its connection (`patience`; 0: none do)."""

    interval: float
    tolerance: float
    patience: int = 0

    @classmethod
    def of(cls, rate: float, burst: int, patience: int = 0) -> Pace | None:
        """`rate` messages a second, `burst` of them at once; None for a rate of 0, which is no limit."""
        if not rate:
            return None
        interval = 1 / rate
        # Half an interval takes up what adding fractions loses.
        return cls(interval, (burst - 0.5) * interval, patience)


class Bucket:
    """What one client may still send. `refused`: messages refused since the bucket was full last."""

    __slots__ = ("_due", "_interval", "_tolerance", "pace", "refused")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.refused = 0
        # Here as well, for they are looked at with every message.
        self._interval = pace.interval
        self._tolerance = pace.tolerance
        # When the bucket will be full again; in the past, it is.
        self._due = 0.0

    def take(self, now: float) -> bool:
        """Whether a message that comes at `now` (seconds of any clock that does not go back) may pass."""
        due = self._due
        if due <= now:
            self._due = now + self._interval
            self.refused = 0
        elif due - now > self._tolerance:
            self.refused += 1
            return False
        else:
            self._due = due + self._interval
        return True

    @property
    def exhausted(self) -> bool:
        """Whether so much was refused that the connection is to end."""
        return 0 < self.pace.patience < self.refused

    def next_after(self, now: float) -> int:
        """Whole seconds after which one more may pass."""
        return max(ceil(self._due - now - self._tolerance), 1)

    def retry_after(self, now: float) -> int:
        """Milliseconds after which a whole burst may pass again: at least a second, at most a minute."""
        return round(min(max(self._due - now, 1.0), 60.0) * 1000)
