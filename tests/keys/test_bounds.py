"""Proves chat, limits, log and shutdown."""

from __future__ import annotations

import pytest

from tests.keys.limits import LIMITS
from tests.keys.proving import Proof, Room, prove, room
from tests.keys.web import CHAT, LOG, SHUTDOWN

__all__ = ["room"]


@pytest.mark.parametrize("proof", [*CHAT, *LIMITS, *LOG, *SHUTDOWN], ids=str)
def test_the_key_changes_what_the_daemon_does(proof: Proof, room: Room) -> None:
    prove(proof, room)
