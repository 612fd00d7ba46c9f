"""One connection to Redis that carries everything, in one order: commands, their answers, and the says of others.

Redis answers and pushes on it in the order in which it did things (RESP3). What follows from one order: a say that
Redis published after a member had entered is delivered after the one who entered it knows of it; and one failure, not
two, ends both. Commands are sent in batches, one batch at a time: those that wait for the answer to the batch before
have certainly not been done when the connection is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from ahd.core.errors import StoreUnavailable

PATIENCE = 0.5
"""Seconds without a sign of life, while an answer is due, after which Redis counts as away."""

MAX_WAITING = 10_000
"""Commands that may wait to be sent. One more is refused: the store is slower than its users."""

MAX_BYTES = 32 << 20
"""Bytes of commands that may wait to be sent."""

_BATCH = 500

_AWAY = (
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.NoScriptError,
    exceptions.NoPermissionError,
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
)
_AWAY_WORDS = ("READONLY", "OOM ", "MISCONF", "NOREPLICAS", "BUSY ", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "NOSCRIPT")


class Unanswered(StoreUnavailable):
    """A command was sent and the connection lost before its answer came: it may have been done or not."""


class _Command:
    __slots__ = ("answer", "packed", "quick")

    def __init__(self, packed: bytes, answer: asyncio.Future[Any] | None, quick: bool) -> None:
        self.packed = packed
        self.answer = answer
        """None: what Redis has to say to it comes as a push."""
        self.quick = quick
        """Nothing depends on its answer being taken up before the next say is delivered."""


class Session:
    """One connection from its opening to its loss. `heard` takes what Redis pushes; it never raises."""

    def __init__(self, connection: AbstractConnection, heard: Callable[[list[Any]], None]) -> None:
        self._connection = connection
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Command] = deque()
        self._waiting_bytes = 0
        self._flight: deque[_Command] = deque()
        self._wake = asyncio.Event()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._sign_of_life = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def send(self, *words: Any, quick: bool = False) -> asyncio.Future[Any]:
        """Send a command; its answer. StoreUnavailable: it was not sent, or is `Unanswered`, or Redis cannot now."""
        answer = self._loop.create_future()
        self._enqueue(_Command(_packed(words), answer, quick))
        return answer

    def tell(self, *words: Any) -> None:
        """Send a command that is answered by a push (SUBSCRIBE and its kind)."""
        self._enqueue(_Command(_packed(words), None, True))

    async def run(self) -> str:
        """Carry commands and pushes until the connection is lost; why it was."""
        tasks = [self._loop.create_task(self._write()), self._loop.create_task(self._read())]
        try:
            return await self._lost
        finally:
            self.lose("the connection was closed")
            if self._timer is not None:
                self._timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._fail()
            try:
                await self._connection.disconnect(nowait=True)
                await asyncio.sleep(0)  # the transport closes in the loop's next turn
            except (exceptions.RedisError, OSError):
                pass

    def lose(self, reason: str) -> None:
        """Give the connection up."""
        if not self._lost.done():
            self._lost.set_result(reason)

    @property
    def lost(self) -> bool:
        return self._lost.done()

    def _enqueue(self, command: _Command) -> None:
        if self._lost.done():
            raise StoreUnavailable(self._lost.result())
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + len(command.packed) > MAX_BYTES:
            raise StoreUnavailable("too much waits for Redis")
        self._waiting.append(command)
        self._waiting_bytes += len(command.packed)
        self._wake.set()

    async def _write(self) -> None:
        waiting, flight = self._waiting, self._flight
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if flight:
                    continue
                batch: list[bytes] = []
                while waiting and len(batch) < _BATCH:
                    command = waiting.popleft()
                    batch.append(command.packed)
                    self._waiting_bytes -= len(command.packed)
                    if command.answer is not None:
                        flight.append(command)
                if flight:
                    self._watch()
                await self._connection.send_packed_command(b"".join(batch), check_health=False)
                if not flight and waiting:
                    self._wake.set()
        except (exceptions.RedisError, OSError) as error:
            self.lose(_reason(error))

    async def _read(self) -> None:
        read, flight, push = self._connection.read_response, self._flight, hiredis.PushNotification
        error: Exception | None
        try:
            while True:
                error = None
                try:
                    answer = await read(timeout=math.inf, push_request=True)
                except exceptions.ResponseError as refusal:
                    error = refusal
                self._sign_of_life = self._loop.time()
                if error is None and isinstance(answer, push):
                    self._heard(answer)
                    continue
                if error is not None and _means_away(error):
                    raise error
                command = flight.popleft()
                if not flight and self._waiting:
                    self._wake.set()
                assert command.answer is not None
                if not command.answer.done():
                    if error is None:
                        command.answer.set_result(answer)
                    else:
                        command.answer.set_exception(error)
                if not command.quick:
                    # Whoever waits for this answer goes on before the next say is delivered.
                    await asyncio.sleep(0)
        except (exceptions.RedisError, OSError, IndexError) as error:
            self.lose(_reason(error))

    def _watch(self) -> None:
        self._sign_of_life = self._loop.time()
        if self._timer is None:
            self._arm(PATIENCE)

    def _arm(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._check)

    def _check(self) -> None:
        self._timer = None
        if not self._flight:
            return
        now = self._loop.time()
        remaining = self._sign_of_life + PATIENCE - now
        if now - self._due > PATIENCE / 5:
            # This process itself was held up: what has arrived meanwhile is read first.
            self._arm(PATIENCE / 5)
        elif remaining > 0:
            self._arm(remaining)
        else:
            self.lose(f"no answer within {PATIENCE} s")

    def _fail(self) -> None:
        """Nothing more comes: those who wait are told."""
        reason = self._lost.result()
        for command in self._flight:
            if command.answer is not None and not command.answer.done():
                command.answer.set_exception(Unanswered(reason))
        for command in self._waiting:
            if command.answer is not None and not command.answer.done():
                command.answer.set_exception(StoreUnavailable(reason))
        for command in (*self._flight, *self._waiting):
            if command.answer is not None and not command.answer.cancelled():
                command.answer.exception()  # seen: somebody may have stopped waiting
        self._flight.clear()
        self._waiting.clear()


def _packed(words: tuple[Any, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(words)
    return packed


def _means_away(error: Exception) -> bool:
    return isinstance(error, _AWAY) or any(word in str(error) for word in _AWAY_WORDS)


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0].partition(" script: ")[0] or type(error).__name__
