"""Runs actions: exactly one answer to each call, whatever the action does.

A plain function runs in a thread; an async one whose code never waits runs on the spot; any other is a task, which on
Python 3.12 and later begins at once and is a task only from its first wait on.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ahd.actions.action import Action
from ahd.actions.context import Context, Services
from ahd.actions.threads import Job, Threads
from ahd.core import errors
from ahd.core.connection import Answer, Connection
from ahd.core.driver import Raised, new_driver, suspended
from ahd.core.errors import Code, Refused, StoreUnavailable
from ahd.core.hits import Hits
from ahd.core.message import JsonObject
from ahd.core.permissions import CALL, Permissions

logger = logging.getLogger("ahd.actions")

EAGER = sys.version_info >= (3, 12)

UNENCODABLE = (TypeError, ValueError, RecursionError)
"""What `answer` raises for a reply that has no JSON form."""


class Failure(dict[str, Any]):
    """The reply to a call that failed; `code` says what kind of failure it is, for HTTP's status and for counting."""

    __slots__ = ("code",)

    def __init__(self, sentence: str, code: Code) -> None:
        super().__init__(context="response", error=sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says of running actions; `Runner.settings` may be replaced while it runs.

    `limit` and `offset` are the defaults of those parameters, `simultaneous` how many actions of one connection may be
    under way, `timeout` seconds.
    """

    limit: int
    offset: int
    simultaneous: int
    timeout: float
    server_error_message: str


class Call:
    """One action under way. Implements `ahd.core.interfaces.Pending`."""

    __slots__ = ("action", "answer", "begun", "connection", "ended", "job", "reply", "task", "timer")

    def __init__(self, action: Action, connection: Connection) -> None:
        self.action = action
        self.connection = connection
        self.answer: Answer | None = None
        self.reply: JsonObject | None = None
        self.ended: Callable[[], None] | None = None
        self.begun = False
        self.job: Job | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def then(self, answer: Answer) -> None:
        """Have `answer` called with the reply."""
        self.answer = answer

    def end(self, reply: JsonObject) -> None:
        """Give the one reply; what comes after the first is dropped."""
        if self.reply is None:
            self.reply = reply
            if self.answer is not None and not self.connection.gone:
                self.answer(reply)


class Runner:
    """The actions of a registry, ready to be called. Implements `ahd.core.interfaces.Actions`.

    `running` is how many are under way now, `started` how many calls there were since the start.
    """

    def __init__(
        self,
        actions: Mapping[str, Action],
        services: Services,
        settings: Settings,
        threads: Threads,
        hits: Hits | None = None,
    ) -> None:
        self._hits = Hits() if hits is None else hits
        self._actions = actions
        self._services = services
        self._threads = threads
        self._calls: set[Call] = set()
        self._drive = new_driver()
        self._closing = False
        self._idle: asyncio.Event | None = None
        self.permissions: Permissions | None = None
        """The rules that say who may call what, if there are any."""
        self.settings = settings

    @property
    def settings(self) -> Settings:
        """What holds for the calls from now on."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        self._simultaneous = settings.simultaneous
        self.default_params: Mapping[str, Any] = {"limit": settings.limit, "offset": settings.offset}
        """The parameters that every call has, whether they are given or not. Shared: replace, never change."""

    @property
    def running(self) -> int:
        """How many actions are under way, those in threads that have been answered for with a time-out included."""
        return len(self._calls)

    def call(
        self,
        connection: Connection,
        name: Any,
        params: Mapping[str, Any],
        answer: Answer,
        text: bool = False,
        method: str = "",
        ended: Callable[[], None] | None = None,
    ) -> bool:
        """As `run`, and answer exactly once, now or later.

        The result is whether the action may outlive its answer, or the connection: then `ended` is called, once, when
        nothing of it runs any more. It must not raise.
        """
        reply = self.run(connection, name, params, text, method)
        if isinstance(reply, dict):
            self._reply(answer, reply)
            return False
        reply.ended = ended
        reply.then(partial(self._reply, answer))
        return True

    def run(
        self, connection: Connection, name: Any, params: Mapping[str, Any], text: bool = False, method: str = ""
    ) -> JsonObject | Call:
        """Run an action with parameters for this call alone; `connection.params` stays what it is.

        `text`: strings were born as text (a query, words of a line) and are read as what the action asks for. `method`
        is HTTP's. The reply is a new object: the action's, or a `Failure`.
        """
        connection.total_actions += 1
        if self._closing:
            return Failure(errors.SHUTTING_DOWN, Code.SHUTTING_DOWN)
        if connection.pending >= self._simultaneous:
            id = connection.id
            self._hits.hit("simultaneousActions", "too many actions of %s are under way", id, connection=id)
            return Failure(errors.TOO_MANY_PENDING, Code.TOO_MANY)
        action = self._actions.get(name) if name.__class__ is str else None
        if action is None:
            refused = errors.unknown_action(None if name == "" else name)
            return Failure(refused.sentence, refused.code)
        if self.permissions is not None and not self.permissions.allow(connection, CALL, action.name):
            return Failure(errors.NOT_ALLOWED, Code.NOT_ALLOWED)
        context = None
        if action.context is not None:
            loop = asyncio.get_running_loop() if action.style == "thread" else None
            context = Context(connection, self._services, action.name, method, loop)
        begin = action.begin_text if text else action.begin
        try:
            begun = begin({**self.default_params, **params} if action.paged else params, context)
        except BaseException as error:
            return self._failure(action, error)
        if action.style != "direct":
            return self._start(Call(action, connection), begun)
        drive = self._drive
        if drive.gi_running:  # an action has called this one
            drive = new_driver()
        result = drive.send(begun)
        if result.__class__ is dict and "error" not in result:
            reply = {"context": "response", **result}
            if "context" in result:
                reply["context"] = "response"
            return reply
        if suspended(drive):
            self._drive = new_driver()
            return self._failure(action, RuntimeError("it waited although there is no await in it"))
        return self._failure(action, result.error) if isinstance(result, Raised) else self._outcome(action, result)

    async def drain(self, timeout: float) -> bool:
        """Refuse new calls and wait at most `timeout` seconds for those under way; whether all have ended."""
        self._closing = True
        if self._calls:
            self._idle = asyncio.Event()
            try:
                await asyncio.wait_for(self._idle.wait(), timeout)
            except TimeoutError:
                return False
        return True

    def cut(self) -> None:
        """Refuse new calls and answer for those under way: tasks are cancelled, threads go on unheard. Idempotent."""
        self._closing = True
        if names := sorted({call.action.name for call in self._calls if call.reply is None}):
            logger.warning("actions cut short: %s", ", ".join(names), extra={"event": "actionsCut"})
        for call in list(self._calls):
            self._give_up(call, Failure(errors.SHUTTING_DOWN, Code.SHUTTING_DOWN))

    async def stop(self) -> None:
        """Cut short what is under way, and leave threads behind.

        Returns when the tasks have ended, or after a second for those that will not. Idempotent.
        """
        self.cut()
        tasks = [call.task for call in self._calls if call.task is not None and not call.task.done()]
        self._threads.close()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        if left := sorted({call.action.name for call in self._calls}):
            logger.warning("actions that do not end: %s", ", ".join(left), extra={"event": "actionsLeft"})

    def _start(self, call: Call, begin: Callable[[], Any]) -> JsonObject | Call:
        """Begin an action that may take its time; its reply if it has not."""
        loop = asyncio.get_running_loop()
        call.connection.pending += 1
        self._calls.add(call)
        if call.action.style == "thread":
            work = partial(contextvars.copy_context().run, self._in_thread, call, begin, loop)
            call.job = self._threads.submit(work)
            if call.job is None:
                self._leave(call)
                self._hits.hit("waitingCalls", "too many calls wait for a thread")
                return Failure(errors.TOO_MANY_PENDING, Code.TOO_MANY)
        else:
            task = _task(self._in_task(call, begin), loop)
            if call.reply is not None:
                return call.reply
            call.task = task
        call.timer = loop.call_later(self._settings.timeout, self._time_out, call)
        return call

    async def _in_task(self, call: Call, begin: Callable[[], Any]) -> None:
        call.begun = True
        try:
            result = await begin()
        except BaseException as error:
            if isinstance(error, GeneratorExit) and asyncio._get_running_loop() is None:
                raise  # the loop is gone, and with it whoever waits
            self._end(call, None, error)
        else:
            self._end(call, result, None)

    def _in_thread(self, call: Call, begin: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        result, failure = None, None
        try:
            result = begin()
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(self._end, call, result, failure)
        except RuntimeError:
            pass  # the loop is closed: the server has gone before the action

    def _end(self, call: Call, result: Any, error: BaseException | None) -> None:
        """An action has returned or raised."""
        self._leave(call)
        if error is None:
            reply = self._outcome(call.action, result)
        elif call.reply is not None and isinstance(error, asyncio.CancelledError):
            return
        else:
            reply = self._failure(call.action, error)
        call.end(reply)

    def _time_out(self, call: Call) -> None:
        name, timeout = call.action.name, self._settings.timeout
        begun = call.job is None or call.job.started
        text = "the action %s took longer than %g s" if begun else "no thread was free for the action %s within %g s"
        extra = {"event": "actionTimedOut" if begun else "noThreadFree", "action": name}
        logger.warning(text, name, timeout, extra=extra)
        self._give_up(call, Failure(errors.TOOK_TOO_LONG, Code.TIMED_OUT))

    def _give_up(self, call: Call, reply: Failure) -> None:
        """Answer for an action and end it if that is possible; one that goes on keeps its place among the pending."""
        call.end(reply)
        if call.task is not None:
            call.task.cancel()
            if not call.begun:
                self._leave(call)
        elif call.job is not None and self._threads.withdraw(call.job):
            self._leave(call)

    def _leave(self, call: Call) -> None:
        """An action is not under way any more."""
        if call not in self._calls:
            return
        self._calls.discard(call)
        call.connection.pending -= 1
        if call.timer is not None:
            call.timer.cancel()
        if call.ended is not None:
            call.ended()
        if self._idle is not None and not self._calls:
            self._idle.set()

    def _outcome(self, action: Action, result: Any) -> JsonObject:
        """The reply for what an action returned."""
        if result is None:
            result = {}
        elif not isinstance(result, dict):
            if inspect.iscoroutine(result):
                result.close()
            kind = type(result).__name__
            return self._failure(action, TypeError(f"it returned {kind} instead of a dict"))
        reply = {
            "context": "response",
            **result,
        }
        reply["context"] = "response"
        if "error" in reply:
            reply = self._failure(action, ValueError("it returned the key error; raise ahd.ActionError(…) instead"))
        return reply

    def _failure(self, action: Action, error: BaseException) -> Failure:
        """The reply for what an action raised; whatever the client must not read is logged."""
        if isinstance(error, Refused):
            return Failure(error.sentence, error.code)
        if isinstance(error, StoreUnavailable):
            return Failure(errors.STORE_UNAVAILABLE, Code.STORE_AWAY)
        logger.error(
            "the action %s failed", action.name, exc_info=error, extra={"event": "actionFailed", "action": action.name}
        )
        return self._server_error()

    def _server_error(self) -> Failure:
        return Failure(f"Error: {self._settings.server_error_message}", Code.SERVER_ERROR)

    def _reply(self, answer: Answer, reply: JsonObject) -> None:
        """Hand a reply out; one that cannot be encoded is replaced by the server error."""
        try:
            answer(reply)
        except UNENCODABLE:
            logger.exception("a reply has no JSON form", extra={"event": "replyNotJson"})
            try:
                answer(self._server_error())
            except Exception:
                logger.exception("a reply could not be handed out", extra={"event": "replyFailed"})
        except Exception:
            logger.exception("a reply could not be handed out", extra={"event": "replyFailed"})


def _task(work: Any, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    if EAGER:
        return asyncio.Task(work, loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
    return loop.create_task(work)
