"""Proves webSockets."""

from __future__ import annotations

import pytest

from tests.keys.proving import Proof, Room, prove, room
from tests.keys.sockets import OPTIONS, SECTION

__all__ = ["room"]


@pytest.mark.parametrize("proof", [*SECTION, *OPTIONS], ids=str)
def test_the_key_changes_what_the_daemon_does(proof: Proof, room: Room) -> None:
    prove(proof, room)
