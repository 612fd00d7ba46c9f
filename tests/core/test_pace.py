"""How fast a client may send, against a model: what passed in every stretch of time is never more than promised."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahd.core.hits import PAUSE, Hits
from ahd.core.pace import Bucket, Pace

RATES = st.floats(0.01, 100_000)
BURSTS = st.integers(1, 1000)
# Waits from nothing to many bursts, with many messages at one moment.
WAITS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 100)), min_size=1, max_size=300)
START = st.floats(0, 1e7)


def test_a_rate_of_zero_is_no_limit() -> None:
    assert Pace.of(0, 5) is None


@given(RATES, BURSTS, START, WAITS)
def test_no_stretch_of_time_has_more_than_the_rate_and_a_burst(
    rate: float, burst: int, start: float, waits: list[float]
) -> None:
    pace = Pace.of(rate, burst)
    assert pace is not None
    bucket, now, passed = Bucket(pace), start, []
    for wait in waits:
        now += wait
        if bucket.take(now):
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + (passed[last] - passed[first]) * rate
            # Half a message for what a clock of many digits cannot tell.
            assert last - first + 1 <= allowed + 0.5 + 1e-6 * allowed + rate * 1e-8 * (1 + start * 1e-7)


@given(RATES, BURSTS, START)
def test_a_whole_burst_passes_at_once_and_not_one_more(rate: float, burst: int, start: float) -> None:
    pace = Pace.of(rate, burst)
    assert pace is not None
    bucket = Bucket(pace)
    assert all(bucket.take(start) for _ in range(burst))
    assert not bucket.take(start)


@given(st.floats(0.01, 1000), BURSTS, st.floats(0, 1e5), WAITS)
def test_who_keeps_to_the_rate_is_never_refused(rate: float, burst: int, start: float, waits: list[float]) -> None:
    pace = Pace.of(rate, burst)
    assert pace is not None
    bucket, now = Bucket(pace), start
    for wait in waits:
        now += 1 / rate + wait
        assert bucket.take(now)
    assert bucket.refused == 0


@given(st.floats(0.1, 1000), st.integers(1, 50), st.floats(0, 1e5), st.integers(1, 20))
def test_what_was_refused_is_forgotten_when_the_bucket_is_full_again(
    rate: float, burst: int, start: float, patience: int
) -> None:
    pace = Pace.of(rate, burst, patience)
    assert pace is not None
    bucket = Bucket(pace)
    for _ in range(burst + patience):
        bucket.take(start)
    assert (bucket.refused, bucket.exhausted) == (patience, False)
    back = bucket.retry_after(start)
    assert 1000 <= back <= 60_000
    bucket.take(start)
    assert bucket.refused == patience + 1
    assert bucket.exhausted is True
    # A single message that passes later excuses nothing: only keeping still for a whole burst does.
    later = start + 1.01 / rate
    assert bucket.take(later)
    assert bucket.exhausted is (burst > 1)
    later += (burst + 1) / rate
    assert bucket.take(later)
    assert (bucket.refused, bucket.exhausted) == (0, False)


def test_without_patience_nobody_is_closed() -> None:
    pace = Pace.of(1, 1)
    assert pace is not None
    bucket = Bucket(pace)
    assert [bucket.take(5.0) for _ in range(1000)].count(True) == 1
    assert not bucket.exhausted


def test_hits_are_all_counted_and_seldom_logged(caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    hits = Hits(lambda: now[0])
    with caplog.at_level(logging.WARNING, "ahd.limits"):
        for _ in range(500):
            hits.hit("messageRate", "%s sends too many messages", "a", connection="a")
        hits.hit("waitingVerbs", "too many wait")
        now[0] += PAUSE
        hits.hit("messageRate", "%s sends too many messages", "b")
    assert hits.counts["messageRate"] == 501
    assert [(record.limit, record.times) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("messageRate", 1), ("waitingVerbs", 1), ("messageRate", 500),
    ]  # fmt: skip
    assert caplog.records[0].getMessage() == "a sends too many messages (1 since the last line about it)"
    assert caplog.records[0].connection == "a"  # type: ignore[attr-defined]
