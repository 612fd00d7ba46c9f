"""Who counts as one address, and what fits in, against a model."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahd.core.errors import CROWDED, CROWDED_ADDRESS
from ahd.core.hits import Hits
from ahd.core.pace import Pace
from ahd.servers import crowd
from ahd.servers.crowd import AddressPaces, Crowd, whose
from ahd.servers.proxies import Trusted


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix", ""),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_whose(address: str, key: str) -> None:
    assert whose(address) == key


def limits(total: int, each: int) -> Any:
    return SimpleNamespace(connections=total, connections_per_address=each)


ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "unix"])


@given(st.integers(0, 6), st.integers(0, 3), st.lists(st.tuples(st.booleans(), ADDRESSES), max_size=60))
def test_nobody_too_many_gets_in_and_everybody_else_does(total: int, each: int, steps: list[tuple[bool, str]]) -> None:
    hits = Hits()
    hall = Crowd(limits(total, each), hits)
    inside: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for comes, address in steps:
        if not comes:
            if inside[address]:
                inside[address] -= 1
                hall.leave(address)
            continue
        same = sum(count for other, count in inside.items() if whose(other) == whose(address))
        why = hall.refusal(address)
        if total and inside.total() >= total:
            assert why is CROWDED
            refused["connections"] += 1
        elif each and address != "unix" and same >= each:
            assert why is CROWDED_ADDRESS
            refused["connectionsPerAddress"] += 1
        else:
            assert why is None
            hall.enter(address)
            inside[address] += 1
    assert hall.count == inside.total()
    assert Counter(hits.counts) == refused
    # Nothing is remembered of those who have gone.
    for address, count in inside.items():
        for _ in range(count):
            hall.leave(address)
    assert (hall.count, hall._by_address) == (0, {})


def test_other_limits_hold_for_the_next() -> None:
    hall = Crowd(limits(0, 1), Hits())
    hall.enter("192.0.2.1")
    assert hall.refusal("192.0.2.1") is CROWDED_ADDRESS
    hall.configure(limits(0, 0))
    assert hall.refusal("192.0.2.1") is None
    hall.configure(limits(1, 0))
    assert hall.refusal("192.0.2.2") is CROWDED


def test_each_address_has_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "ADDRESSES", 2)
    now = [100.0]
    pace = Pace.of(0.5, 2)
    assert pace is not None
    paces = AddressPaces(pace, Hits(), lambda: now[0])
    assert [paces.refusal("192.0.2.1") for _ in range(3)] == [None, None, 1]
    assert [paces.refusal("2001:db8::1"), paces.refusal("2001:db8::2"), paces.refusal("2001:db8::3")] == [None, None, 1]
    assert [paces.refusal("unix") for _ in range(9)] == [None] * 9
    now[0] += 2
    assert [paces.refusal("192.0.2.1"), paces.refusal("192.0.2.1")] == [None, 1]
    # A third address makes room for itself: memory is bounded.
    assert paces.refusal("192.0.2.3") is None
    assert len(paces._buckets) == 2


@pytest.mark.parametrize(
    ("entries", "peer", "expected"),
    [
        ([], "127.0.0.1", False),
        ([], "unix", False),
        (["unix"], "unix", True),
        (["unix"], "127.0.0.1", False),
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "192.0.2.1", False),
        (["10.0.0.0/8"], "unix", False),
    ],
)
def test_whose_socket_is_a_proxys(entries: list[str], peer: str, expected: bool) -> None:
    assert Trusted(entries).is_proxy(peer) is expected
