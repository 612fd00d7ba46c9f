"""How often each bound was reached: all of it counted, seldom logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ahd.core.pace import Bucket

logger = logging.getLogger("ahd.limits")

LIMITS = (
    "messageRate", "refusedMessages", "requestRate", "connections", "connectionsPerAddress", "headSize", "headTimeout",
    "bodyTimeout", "namespaceTimeout", "upgradeTimeout", "waitingVerbs", "waitingCalls", "simultaneousActions",
    "listeningRooms", "maxMessageSize", "max_http_buffer_size", "maxLineLength", "maxBodySize",
)  # fmt: skip
"""The names of the bounds: the keys that set them. docs/limits.md has a row for each."""
PAUSE = 10.0
"""Seconds between two log lines about one bound: who floods the server must not flood its log."""


class Hits:
    """`counts`: by the name of the bound, one of LIMITS. `now`: seconds that do not go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.counts = dict.fromkeys(LIMITS, 0)
        self._now = now
        self._logged: dict[str, tuple[float, int]] = {}

    def hit(self, limit: str, what: str, *about: object, connection: str = "") -> None:
        """Count one; log `what % about` unless there was a line about the same bound a moment ago."""
        count = self.counts[limit] = self.counts[limit] + 1
        now = self._now()
        at, before = self._logged.get(limit, (-PAUSE, 0))
        if now - at < PAUSE:
            return
        self._logged[limit] = now, count
        extra = {"event": "limited", "limit": limit, "times": count - before}
        if connection:
            extra["connection"] = connection
        logger.warning("%s (%d since the last line about it)", what % about, count - before, extra=extra)

    def too_fast(self, bucket: Bucket, client: str, now: float) -> int | None:
        """Count a message that was refused; milliseconds after which to come back for a client that is to be closed."""
        self.hit("messageRate", "%s sends too many messages", client, connection=client)
        if not bucket.exhausted:
            return None
        self.hit("refusedMessages", "%s goes on sending too many messages, and is closed", client, connection=client)
        return bucket.retry_after(now)
