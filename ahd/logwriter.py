"""Log lines to stderr, without ever waiting long for whoever takes them.

A full disk, a closed pipe and a pipe that nobody reads cost lines, and nothing else: how many is told by `lost`, and
in the log itself as soon as it can be written again.
"""

from __future__ import annotations

import logging
import os
import select
import sys
from typing import Final

_PATIENCE: Final = 50
"""Milliseconds to wait for a reader that kept up so far; one that did not is not waited for."""
_PIECE: Final = 4096
"""Bytes that a pipe takes at once when it is ready (PIPE_BUF)."""


class LogWriter(logging.Handler):
    """Writes each record as one line to `sys.stderr`'s descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        """Lines that could not be written since the start."""
        self._told = 0
        self._torn = False
        self._late = False
        self._descriptor: int | None = None
        self._poll: select.poll | None = None
        try:
            self._descriptor = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):
            return  # stderr is no file, as under a test's capture
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as lost; never raises."""
        try:
            if self.lost > self._told and self._write(self._notice()):
                self._told = self.lost
            if not self._write(self.format(record)):
                self.lost += 1
        except Exception:
            self.lost += 1  # a record that cannot be formatted: what it tells of must go on

    def _notice(self) -> str:
        count = self.lost - self._told
        text = f"{count} log line{'' if count == 1 else 's'} could not be written"
        extra = {"event": "logLinesLost", "lines": count}
        return self.format(logging.makeLogRecord(
            {"name": "ahd", "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, **extra}
        ))  # fmt: skip

    def _write(self, text: str) -> bool:
        data = f"{text}\n".encode("utf-8", "backslashreplace")
        if self._descriptor is None:
            sys.stderr.write(text + "\n")
            return True
        # What was written of a line that was lost stays there: the next one begins on a line of its own.
        left = memoryview(b"\n" + data if self._torn else data)
        whole = len(left)
        while left:
            if not self._ready():
                break
            try:
                left = left[os.write(self._descriptor, left[:_PIECE]) :]
            except OSError:
                break
        if left:
            self._torn = self._torn or len(left) < whole
        else:
            self._torn = False
        return not left

    def _ready(self) -> bool:
        assert self._poll is not None
        ready = bool(self._poll.poll(0 if self._late else _PATIENCE))
        self._late = not ready
        return ready
