"""Durations sorted into buckets: what a Prometheus histogram is made of, without its lock and look-ups."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable


class Durations:
    """Counts of durations by upper bound, and their sum, in seconds. Used on the loop alone."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def merge(self, others: Iterable[Durations]) -> Durations:
        """Add others of the same bounds to this one, and return it."""
        for other in others:
            self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
            self.total += other.total
        return self

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that), as the exposition format wants them."""
        found, below = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found
