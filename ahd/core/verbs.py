"""What a client may say: one function a verb, for every transport, and the dispatcher that answers each exactly once.

A verb is counted when it arrives; its reply carries that count whatever order replies finish in. The verbs of one
connection are worked through in order: while one waits for the store, those after it stand in the connection's
backlog. Actions only start in order; they may overlap, and so may says that follow each other. With a store whose
methods never suspend, everything here runs without a task and without a suspension.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from ahd.core import errors
from ahd.core.connection import Answer, Connection
from ahd.core.driver import Raised, new_driver, suspended
from ahd.core.errors import Refused, StoreUnavailable
from ahd.core.hits import Hits
from ahd.core.interfaces import Actions, Spawn
from ahd.core.message import JsonObject, failed, ok, welcome
from ahd.core.pace import Bucket
from ahd.core.permissions import ENTER, LISTEN, VIEW, Holder, Permissions
from ahd.core.permissions import SAY as SPEAK
from ahd.core.rooms import Rooms
from ahd.core.watching import Meter, Observe

logger = logging.getLogger("ahd.verbs")

@dataclass(frozen=True, slots=True)
class Words:
    """What the file says a connection is told, and how much may wait.

    `backlog`: verbs of one connection that may stand behind one that waits for the store.
    """

    welcome_message: str
    default_room: str
    server_error_message: str
    backlog: int


async def say(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{message}`: say it in the current room."""
    if verbs.permissions is not None:
        verbs.permissions.check(connection, SPEAK, connection.room)
    await verbs.rooms.say(connection, data.get("message"))
    return ok()


async def room_view(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{}`: who is in the current room."""
    room = connection.room
    if verbs.permissions is not None:
        verbs.permissions.check(connection, VIEW, room)
    return ok(room=room, roomStatus=await verbs.rooms.view(room))


async def room_change(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{room}`: make another room the current one."""
    room = verbs.rooms.name(data.get("room"))
    if verbs.permissions is not None:
        verbs.permissions.check(connection, ENTER, room)
    await verbs.rooms.change(connection, room)
    return ok(room=room)


async def listen_to_room(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{room}`: hear a room without being in it."""
    room = verbs.rooms.name(data.get("room"))
    if verbs.permissions is not None:
        verbs.permissions.check(connection, LISTEN, room)
    await verbs.rooms.listen(connection, room)
    return ok(room=room)


async def silence_room(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{room}`: hear it no more."""
    room = verbs.rooms.name(data.get("room"))
    await verbs.rooms.silence(connection, room)
    return ok(room=room)


async def details_view(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{}`: what the server knows of this connection."""
    return ok(details=connection.details())


Verb = Callable[["Verbs", Connection, JsonObject], Coroutine[Any, Any, JsonObject]]

VERBS: Mapping[str, Verb] = {
    "say": say,
    "roomView": room_view,
    "roomChange": room_change,
    "listenToRoom": listen_to_room,
    "silenceRoom": silence_room,
    "detailsView": details_view,
}
"""The verbs that answer from the server itself; `action` is the application's."""

ACTION = "action"
SAY = "say"
TEXT_ACTION = "textAction"
"""`action` from a transport on which parameters are text; no event of docs/protocol.md."""
CALLS = frozenset({ACTION, TEXT_ACTION})
FAREWELLS = frozenset({"quit", "exit", "close"})
LIMITS = {errors.TOO_MANY_ROOMS: "listeningRooms", errors.MESSAGE_TOO_LARGE: "maxMessageSize"}
"""Errors that a bound is the reason of."""
NAMES = frozenset({*VERBS, ACTION, *FAREWELLS})
"""Every event of docs/protocol.md that a client may send."""


class Verbs:
    """Takes what clients say. `spawn` runs a coroutine in a task of its own; `immediate` is the store's."""

    def __init__(
        self, rooms: Rooms, actions: Actions, words: Words, immediate: bool, spawn: Spawn, hits: Hits | None = None
    ) -> None:
        self.rooms = rooms
        self.table = dict(VERBS)
        """What is answered here; a server adds what only its clients may say, once, before it starts."""
        self._actions = actions
        self.words = words
        self._immediate = immediate
        self._spawn = spawn
        self._driver = new_driver()
        self.hits = Hits() if hits is None else hits
        self.meter: Meter | None = None
        """Set before the first connection, and before `observe`."""
        self.observe = None
        self.permissions: Permissions | None = None
        """The rules that verbs are held to, if there are any. Actions are the runner's."""

    def admits(self, client: Holder) -> bool:
        """Whether a client may enter the default room; one that may not cannot be opened."""
        return self.permissions is None or self.permissions.allow(client, ENTER, self.words.default_room)

    @property
    def observe(self) -> Observe | None:
        """Told of every reply; then every reply is timed."""
        return self._observe

    @observe.setter
    def observe(self, observe: Observe | None) -> None:
        self._observe = observe
        self.timed = observe is not None or self.meter is not None
        """Whether the next answer is timed."""

    def time_next(self) -> None:
        """Time the next answer."""
        self.timed = True

    def open(self, connection: Connection) -> None:
        """A new client is there: put it in the default room and welcome it.

        What it says before it has been welcomed waits its turn. A store that is away closes the connection.
        """
        if self.meter is not None:
            connection.tally = self.meter.tally(connection.kind)
        self._advance(connection, self._open(connection))

    def closed(self, connection: Connection) -> None:
        """A client has gone: it hears nothing from now on and leaves its room. Again is no error."""
        if connection.gone:
            return
        connection.gone = connection.watched = True
        self.rooms.hush(connection)
        connection.backlog = None
        if not connection.busy and not connection.saying:
            self._advance(connection, self.rooms.leave(connection))

    def receive(self, connection: Connection, verb: str, data: Any, answer: Answer) -> None:
        """Take one verb of `NAMES` or `table`: count it and answer it exactly once, now or later.

        Never raises, never waits.
        """
        if connection.watched:
            if connection.gone:
                return
            bucket = connection.bucket
            if bucket is not None and not bucket.take(monotonic()) and verb not in FAREWELLS:
                self._refuse(connection, bucket, verb, data, answer)
                return
        if verb in FAREWELLS:
            connection.link.close(errors.CLIENT_QUIT)
            return
        connection.count = count = connection.count + 1
        if connection.busy or connection.backlog or (connection.saying and not self._may_overlap(connection, verb)):
            self._postpone(connection, verb, data, count, answer)
        else:
            self._take(connection, verb, data, count, answer)

    def too_fast(self, connection: Connection, verb: str, data: Any, answer: Answer) -> bool:
        """Whether a verb that a server takes itself has come too fast; it is answered then."""
        bucket = connection.bucket
        if bucket is None or bucket.take(monotonic()):
            return False
        self._refuse(connection, bucket, verb, data, answer)
        return True

    def _refuse(self, connection: Connection, bucket: Bucket, verb: str, data: Any, answer: Answer) -> None:
        """Answer a verb that came too fast; who goes on for too long is closed."""
        connection.count += 1
        self._reply(connection, verb, data, connection.count, answer, 0.0, failed(errors.TOO_MANY_MESSAGES))
        back = self.hits.too_fast(bucket, connection.id, monotonic())
        if back is not None:
            connection.link.close(errors.FLOODING, back)

    def _take(self, connection: Connection, verb: str, data: Any, count: int, answer: Answer) -> None:
        reply: JsonObject
        started = self._begin_timing() if self.timed else 0.0
        if data is None:
            data = {}
        if data.__class__ is not dict:
            reply = failed(errors.DATA_NOT_OBJECT)
        elif verb in CALLS:
            actions = self._actions
            if verb == ACTION:
                if not connection.sticky:
                    connection.given = data
                    connection.defaults = actions.default_params
                outcome = actions.run(connection, data.get("action"), data)
            else:
                params = connection.called(data)
                outcome = actions.run(connection, params.get("action"), params, True)
            if not isinstance(outcome, dict):
                outcome.then(partial(self._reply, connection, verb, data, count, answer, started))
                return
            reply = outcome
        elif self._immediate:
            reply = self._now(self._outcome(connection, verb, data))
        else:
            told = self._told(connection, verb, data, count, answer, started)
            if verb == SAY:
                # Says do not wait for each other: the bus keeps the order in which it is given them, and those that
                # wait together travel together.
                connection.saying += 1
                self._spawn(self._said(connection, told))
            else:
                self._advance(connection, told)
            return
        self._reply(connection, verb, data, count, answer, started, reply)

    def _now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns that never suspends."""
        driver = new_driver() if self._driver.gi_running else self._driver
        result = driver.send(work)
        if suspended(driver):
            self._driver = new_driver()
            raise RuntimeError("a store that calls itself immediate has suspended")
        if isinstance(result, Raised):
            raise result.error
        return result

    async def _told(
        self, connection: Connection, verb: str, data: JsonObject, count: int, answer: Answer, started: float
    ) -> None:
        reply = await self._outcome(connection, verb, data)
        self._reply(connection, verb, data, count, answer, started, reply)

    def _reply(
        self,
        connection: Connection,
        verb: str,
        data: Any,
        count: int,
        answer: Answer,
        started: float,
        reply: JsonObject,
    ) -> None:
        """Hand out the one reply to a verb, and count it. `started` is 0 for what is not timed."""
        reply["messageCount"] = count
        try:
            answer(reply)
        except Exception:  # it has no JSON form, and nothing of it was sent
            logger.exception("the reply to %s failed", verb, extra={"event": "replyFailed", "verb": verb})
            reply = self._server_error()
            reply["messageCount"] = count
            answer(reply)
        tally = connection.tally
        if tally is not None:
            if "error" in reply:
                self._failed(connection, verb, data, reply)
            elif verb in CALLS:
                tally.actions[data["action"]].n += 1
            else:
                tally.verbs[verb].n += 1
        if started:
            self._took(connection, verb, data, reply, time.perf_counter() - started)

    def _failed(self, connection: Connection, verb: str, data: Any, message: JsonObject) -> None:
        if self.meter is not None:
            self.meter.failed(connection, ACTION if verb == TEXT_ACTION else verb, data, message)

    def _begin_timing(self) -> float:
        if self._observe is None and self.meter is not None:
            self.timed = False
            self.meter.rest()
        return time.perf_counter()

    def _took(self, connection: Connection, verb: str, data: Any, message: JsonObject, seconds: float) -> None:
        if verb == TEXT_ACTION:
            verb = ACTION
        if self._observe is not None:
            self._observe(connection, verb, data, message, seconds)
        if self.meter is not None:
            self.meter.took(verb, data, seconds)

    async def _outcome(self, connection: Connection, verb: str, data: JsonObject) -> JsonObject:
        """Run one verb; the only `except` of its path."""
        try:
            return await self.table[verb](self, connection, data)
        except Refused as refused:
            limit = LIMITS.get(refused.sentence)
            if limit is not None:
                self.hits.hit(limit, "%s: %s", connection.id, refused.sentence, connection=connection.id)
            return failed(refused.sentence)
        except StoreUnavailable:
            return failed(errors.STORE_UNAVAILABLE)
        except Exception:
            logger.exception("the verb %s failed", verb, extra={"event": "verbFailed", "verb": verb})
            return self._server_error()

    def _server_error(self) -> JsonObject:
        return failed(f"Error: {self.words.server_error_message}")

    async def _said(self, connection: Connection, told: Coroutine[Any, Any, None]) -> None:
        try:
            await told
        finally:
            connection.saying -= 1
            if not connection.busy and (connection.backlog or not connection.saying):
                self._next(connection)

    def _may_overlap(self, connection: Connection, verb: str) -> bool:
        """Whether a verb need not wait for the says that are on their way."""
        saying = connection.saying
        return not saying or (verb == SAY and saying < self.words.backlog)

    async def _open(self, connection: Connection) -> None:
        words = self.words
        try:
            await self.rooms.enter(connection, words.default_room)
        except StoreUnavailable:
            connection.link.close(errors.STORE_LOST)
            return
        if not connection.gone:
            connection.link.send("welcome", welcome(words.welcome_message, words.default_room))

    def _advance(self, connection: Connection, work: Coroutine[Any, Any, None]) -> None:
        """Do work in the connection's turn: on the spot when it cannot suspend, else in a task that holds the turn."""
        if self._immediate:
            self._now(work)
            return
        connection.busy = True
        self._spawn(self._in_turn(connection, work))

    async def _in_turn(self, connection: Connection, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            connection.busy = False
            self._next(connection)

    def _next(self, connection: Connection) -> None:
        if connection.gone:
            self._advance_leave(connection)
            return
        backlog = connection.backlog
        while backlog and not (connection.busy or connection.gone) and self._may_overlap(connection, backlog[0][0]):
            verb, data, count, answer = backlog.popleft()
            self._take(connection, verb, data, count, answer)
        if not backlog:
            connection.backlog = None

    def _advance_leave(self, connection: Connection) -> None:
        if connection.id in self.rooms.here():
            self._advance(connection, self.rooms.leave(connection))

    def _postpone(self, connection: Connection, verb: str, data: Any, count: int, answer: Answer) -> None:
        backlog = connection.backlog
        if backlog is None:
            backlog = connection.backlog = deque()
        if len(backlog) >= self.words.backlog:
            self._reply(connection, verb, data, count, answer, 0.0, failed(errors.TOO_MANY_PENDING))
            self.hits.hit("waitingVerbs", "too many verbs of %s wait", connection.id, connection=connection.id)
        else:
            backlog.append((verb, data, count, answer))
