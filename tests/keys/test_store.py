"""Proves redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.places import Tls
from tests.keys import store
from tests.keys.proving import Proof, Room, prove, room

__all__ = ["room"]


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    yield
    store.stop()


@pytest.mark.parametrize("proof", store.PROOFS, ids=str)
def test_the_key_changes_what_the_daemon_does(proof: Proof, room: Room) -> None:
    if proof.path[-1].startswith("tls") and (reason := Tls.lacking()):
        pytest.skip(reason)
    prove(proof, room)
