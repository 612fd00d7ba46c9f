"""Tells the log of what hinders the whole process: an event loop that stands still, and where; no descriptors left.
Ends the process when its time is over, whatever its loop is at.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Final

logger = logging.getLogger("ahd")

BLOCKED: Final = 1.0
"""Seconds of lag from which on the loop counts as blocked."""
BEAT: Final = 0.25
SHOWN: Final = 8
"""Calls of the stack that are logged, the innermost first."""


class Alarm:
    """Watches from `start` to `stop`, both called in the loop. A thread tells of a loop that stands, as that cannot.

    `late` is called in that thread when the time given to `end_within` is over.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._end = float("inf")
        self._beaten = 0.0
        self._told = 0.0  # when the loop was last seen turning before the standstill that is told of
        self._timer: asyncio.TimerHandle | None = None
        self._thread = 0
        self._full = False

    def start(self) -> None:
        """Begin, in the running loop and its thread."""
        self._thread = threading.get_ident()
        self._beat()
        threading.Thread(target=self._watch, name="ahd-alarm", daemon=True).start()

    def stop(self) -> None:
        """Tell of nothing more; the time to end still counts."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end_within(self, seconds: float) -> None:
        """Begin to count the time to end. May be called by a signal's handler: takes no lock."""
        self._end = min(self._end, time.monotonic() + seconds)

    # -- in the loop

    def _beat(self) -> None:
        now = time.monotonic()
        if self._told:
            seconds, self._told = round(now - self._told, 1), 0.0
            logger.warning(
                "the event loop turns again after %.1f s", seconds, extra={"event": "loopFreed", "seconds": seconds}
            )
        self._beaten = now
        self._look_for_descriptors()
        self._timer = asyncio.get_running_loop().call_later(BEAT, self._beat)

    def _look_for_descriptors(self) -> None:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self._full:
                self._full = True
                reason = os.strerror(error.errno).lower()
                text = "no file descriptor is left (%s): new clients are turned away; raise the limit (LimitNOFILE)"
                logger.error(text, reason, extra={"event": "descriptorsGone"})
        else:
            if self._full:
                self._full = False
                logger.warning("there are file descriptors again", extra={"event": "descriptorsBack"})

    # -- in the thread

    def _watch(self) -> None:
        slept = time.monotonic()
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            if now >= self._end:
                self._late()
            # When this thread did not get on either, the whole process stood, and no place in it is to blame.
            awake, slept = now - slept < BLOCKED, now
            beaten = self._beaten
            if awake and now - beaten >= BLOCKED + BEAT and not self._told and self._timer is not None:
                self._told = beaten
                self._tell(now - beaten)

    def _tell(self, seconds: float) -> None:
        frame: FrameType | None = sys._current_frames().get(self._thread)
        calls = [
            f"{call.filename}:{call.lineno} {call.name}" for call in reversed(traceback.extract_stack(frame)[-SHOWN:])
        ]
        del frame
        where = calls[0] if calls else "an unknown place"
        logger.error(
            "the event loop has stood still for %.1f s, in %s", seconds, where,
            extra={"event": "loopBlocked", "seconds": round(seconds, 1), "where": calls},
        )  # fmt: skip
