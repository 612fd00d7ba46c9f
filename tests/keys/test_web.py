"""Proves commonWeb."""

from __future__ import annotations

import pytest

from tests.keys.proving import Proof, Room, prove, room
from tests.keys.web import COMMON_WEB

__all__ = ["room"]


@pytest.mark.parametrize("proof", COMMON_WEB, ids=str)
def test_the_key_changes_what_the_daemon_does(proof: Proof, room: Room) -> None:
    prove(proof, room)
