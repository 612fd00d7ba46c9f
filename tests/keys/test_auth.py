"""Proves auth."""

from __future__ import annotations

import pytest

from tests.keys.auth import PROOFS
from tests.keys.proving import Proof, Room, prove, room

__all__ = ["room"]


@pytest.mark.parametrize("proof", PROOFS, ids=str)
def test_the_key_changes_what_the_daemon_does(proof: Proof, room: Room) -> None:
    prove(proof, room)
