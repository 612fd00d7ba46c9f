"""What stands for the transport of a connection that is lost.

A protocol that keeps its transport keeps all of it (under TLS some 40 KiB outside of Python's memory) until the garbage
collector comes by, since a connection and those who know it know each other.
"""

from __future__ import annotations

import asyncio
from typing import Any


class _Gone(asyncio.Transport):
    """Takes everything and does nothing."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        """Lost."""

    def close(self) -> None:
        """It is."""

    def abort(self) -> None:
        """It is."""

    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""


GONE = _Gone()
