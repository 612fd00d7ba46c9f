"""The way to Redis that lasts: connects, notices that Redis is away, tries again, and has everything put back.

While Redis is away every command fails at once; only the attempts to connect go on, at most four a second.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError

from ahd.core.errors import StoreUnavailable
from ahd.store.redis.address import Connect
from ahd.store.redis.stream import PATIENCE, Session

logger = logging.getLogger("ahd.store")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.4
"""Seconds between attempts to connect."""

TAKEN_FOR_DEAD = "this node was taken for dead"
"""Why a connection is given up that is in order: others have announced this node's members as left."""

DONE_TOO_LATE = "Redis did it too late"
"""Why a connection is given up on which Redis refused what it was asked long ago."""

GIVEN_UP = 2 * PATIENCE
"""Seconds after which a change is not made any more: whoever asked has been refused by then."""

RESTORE_TIMEOUT = 5.0
"""Seconds in which subscriptions and presence must have been put back on a new connection."""


class RedisLink:
    """`restore` puts everything back on a new session before others may use it; `heard` takes what Redis pushes.

    `gone` is told each time Redis has become away, with the reason.
    """

    def __init__(self, connect: Connect, sharded: bool) -> None:
        self._connect = connect
        self.sharded = sharded
        """Channels belong to slots of a Cluster."""
        self.restore: Callable[[Session], Awaitable[None]]
        self.heard: Callable[[list[Any]], None]
        self.gone: Callable[[str], None]
        self.reason: str | None = "not connected yet"
        """Why Redis is away, or None."""
        self.outages = 0
        """How often it was away since the start."""
        self.last_loss = ""
        """Why the connection before this one was lost."""
        self.lost_at = 0
        """When that was, by Redis's clock."""
        self._session: Session | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._told: set[str] = set()
        self._away_since = time.monotonic()
        self._up_since = 0.0
        self._clock_offset = 0.0

    async def open(self, patience: float) -> None:
        """Begin to connect; waits for the first attempt to be over, at most `patience` seconds."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        try:
            await asyncio.wait_for(self._settled.wait(), patience)
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Disconnect. Again is no error."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        self._session = None
        self._settled.clear()
        self.reason = "the store is closed"

    def up_for(self) -> float:
        """Seconds since which the connection has stood without a break; 0 while away."""
        return 0.0 if self._session is None else time.monotonic() - self._up_since

    def away_for(self) -> float:
        """Seconds since which Redis is away; 0 while it is not."""
        return 0.0 if self._session is not None else time.monotonic() - self._away_since

    def command(self, *words: Any, quick: bool = False) -> Awaitable[Any]:
        """Send a command (see Session.send); StoreUnavailable at once while Redis is away."""
        if self._session is None:
            raise StoreUnavailable(self.reason or "")
        return self._session.send(*words, quick=quick)

    def tell(self, *words: Any) -> None:
        """Send a command that is answered by a push."""
        if self._session is None:
            raise StoreUnavailable(self.reason or "")
        self._session.tell(*words)

    def told_time(self, now: int) -> None:
        """Take up what Redis's clock says now, in epoch milliseconds."""
        self._clock_offset = now - time.monotonic() * 1000

    def deadline(self, seconds: float) -> int:
        """What Redis's clock will say so many seconds from now."""
        return int(time.monotonic() * 1000 + self._clock_offset + seconds * 1000)

    def lose(self, reason: str) -> None:
        """Give the connection up and put everything back on a new one."""
        if self._session is not None:
            self._session.lose(reason)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            reason = await self._attempt()
            if self.reason is None:
                self._away(reason)
                pause = FIRST_PAUSE
            else:
                self._tell(reason)
                self.reason = reason
            self._settled.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _attempt(self) -> str:
        """Connect, put everything back and serve until the connection is lost; why it was, or why there was none."""
        try:
            connection = await self._connect()
        except (RedisError, OSError, TimeoutError) as error:
            return str(error) or "no connection within 1 s"
        session = Session(connection, self.heard)
        serving = asyncio.get_running_loop().create_task(session.run())
        try:
            try:
                async with asyncio.timeout(RESTORE_TIMEOUT):
                    await self.restore(session)
            except (StoreUnavailable, RedisError, OSError, TimeoutError) as error:
                session.lose(str(error) or "what was there could not be put back in time")
                return await serving
            if not session.lost:
                self._up(session)
            reason = await serving
            self._session = None
            return reason
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _up(self, session: Session) -> None:
        seconds = self.away_for()
        self._session, self.reason, self._up_since = session, None, time.monotonic()
        self._settled.set()
        told = bool(self._told)
        self._told.clear()
        if told:
            logger.info(
                "Redis is back after %.1f s", seconds, extra={"event": "storeBack", "seconds": round(seconds, 3)}
            )

    def _away(self, reason: str) -> None:
        self._session, self.reason, self._away_since = None, reason, time.monotonic()
        self.last_loss, self.lost_at = reason, self.deadline(0)
        self.outages += 1
        self._tell(reason)
        self.gone(reason)

    def _tell(self, reason: str) -> None:
        """Log why Redis is away, each reason once an outage."""
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("Redis is away: %s", reason, extra={"event": "storeAway", "reason": reason})
