"""Exactly one answer to each call, whatever the action does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import ahd
from ahd.actions.runner import Failure, Runner
from ahd.actions.threads import Threads
from ahd.core.errors import Code, Refused, StoreUnavailable
from ahd.core.verbs import TEXT_ACTION
from tests.actions.conftest import DEADLINE, SETTINGS, Caller, MakeRunner, described

SERVER_ERROR = {"context": "response", "error": "Error: broken"}


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.002)


async def add(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b}


async def add_later(a: float, b: float = 0) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"sum": a + b}


def add_in_thread(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b, "main": threading.current_thread() is threading.main_thread()}


async def test_an_action_that_does_not_wait_is_answered_on_the_spot(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add))
    caller.start("add", a=1, b=2)
    assert caller.replies == [{"context": "response", "sum": 3}]
    assert caller.connection.total_actions == 1
    assert caller.connection.pending == 0


async def test_an_action_that_waits_is_answered_later(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add_later))
    caller.start("add_later", a=1, b=2)
    assert caller.replies == []
    assert caller.connection.pending == caller.runner.running == 1
    assert await caller.wait() == [{"context": "response", "sum": 3}]
    assert caller.connection.pending == caller.runner.running == 0


async def test_a_plain_function_runs_in_a_thread(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add_in_thread))
    caller.start("add_in_thread", a=1)
    assert caller.replies == []
    assert await caller.wait() == [{"context": "response", "sum": 1, "main": False}]
    assert caller.connection.pending == 0


@pytest.mark.parametrize(
    ("params", "error", "code"),
    [
        ({}, "Error: {no action} is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": None}, "Error: {no action} is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": ""}, "Error: {no action} is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": "nope"}, "Error: nope is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": 5}, "Error: 5 is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": ["add"]}, "Error: ['add'] is not a known action.", Code.UNKNOWN_ACTION),
        ({"action": "add"}, "Error: a is a required parameter for this action", Code.BAD_INPUT),
        ({"action": "add", "a": None}, "Error: a is a required parameter for this action", Code.BAD_INPUT),
        ({"action": "add", "a": "1"}, "Error: a must be a number", Code.BAD_INPUT),
        ({"action": "add", "a": True}, "Error: a must be a number", Code.BAD_INPUT),
    ],
)
async def test_refusals(make_runner: MakeRunner, params: dict[str, Any], error: str, code: Code) -> None:
    caller = Caller(make_runner(add))
    caller.start(**params)
    assert caller.replies == [{"context": "response", "error": error}]
    (reply,) = caller.replies
    assert isinstance(reply, Failure)
    assert reply.code is code
    assert caller.connection.total_actions == 1
    assert caller.connection.pending == 0


# Parameters


async def test_the_params_become_the_connections_with_limit_and_offset(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add))
    assert dict(caller.connection.params) == {"limit": 100, "offset": 0}
    data = {"action": "add", "a": 1, "undeclared": [1], "limit": 7}
    caller.verbs.receive(caller.connection, "action", data, caller.answer)
    assert caller.replies == [{"context": "response", "sum": 1, "messageCount": 1}]
    assert caller.connection.details()["params"] == {**data, "limit": 7, "offset": 0}
    assert caller.connection.params == {**data, "limit": 7, "offset": 0}
    assert data == {"action": "add", "a": 1, "undeclared": [1], "limit": 7}, "the caller's object is left alone"
    caller.verbs.receive(caller.connection, "action", {"action": "nope", "b": 1}, caller.answer)
    assert caller.connection.details()["params"] == {"action": "nope", "b": 1, "limit": 100, "offset": 0}
    assert caller.runner.default_params == {"limit": 100, "offset": 0}


async def test_an_action_can_declare_limit_and_offset(make_runner: MakeRunner) -> None:
    async def page(limit: int, offset: int) -> dict[str, Any]:
        return {"page": [limit, offset]}

    caller = Caller(make_runner(page))
    caller.start("page")
    caller.start("page", limit=3)
    caller.start("page", limit="3")
    assert [reply.get("page") for reply in caller.replies] == [[100, 0], [3, 0], None]


async def test_sticky_params_stay_and_text_is_read(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add), "socket")
    caller.connection.sticky = True
    caller.connection.params = sticky = {**caller.connection.params, "a": "1", "b": "2.5"}
    verbs, connection = caller.verbs, caller.connection
    verbs.receive(connection, "action", {"action": "add", "a": 1}, caller.answer)
    verbs.receive(connection, "action", {"action": "add", "a": "1"}, caller.answer)
    assert connection.params is sticky
    verbs.receive(connection, TEXT_ACTION, {"action": "add"}, caller.answer)
    assert caller.replies == [
        {"context": "response", "sum": 1, "messageCount": 1},
        {"context": "response", "error": "Error: a must be a number", "messageCount": 2},
        {"context": "response", "sum": 3.5, "messageCount": 3},
    ]
    assert connection.params == {**sticky, "action": "add"}
    assert connection.total_actions == 3


async def test_call_leaves_the_connections_params_alone(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add), "web")
    caller.runner.call(caller.connection, "add", {"a": "1", "b": "2"}, caller.answer, text=True)
    caller.runner.call(caller.connection, "add", {"a": "1", "b": "2"}, caller.answer)
    assert caller.replies == [
        {"context": "response", "sum": 3},
        {"context": "response", "error": "Error: a must be a number"},
    ]
    assert caller.connection.params is caller.runner.default_params


# What an action may return and raise

STYLES = ["direct", "task", "thread"]


def in_style(style: str, body: Any) -> Any:
    """An action with this body in one of the three ways of running."""

    async def direct() -> Any:
        return body()

    async def task() -> Any:
        await asyncio.sleep(0)
        return body()

    def thread() -> Any:
        return body()

    made = described({"direct": direct, "task": task, "thread": thread}[style], name="it")
    assert made.style == style
    return made


def raising(error: BaseException) -> Any:
    def body() -> Any:
        raise error

    return body


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("body", "reply", "logged"),
    [
        (lambda: {"x": 1}, {"context": "response", "x": 1}, None),
        (lambda: None, {"context": "response"}, None),
        (lambda: {}, {"context": "response"}, None),
        (lambda: {"status": "fine"}, {"context": "response", "status": "fine"}, None),
        (lambda: {"context": "mine", "x": 1}, {"context": "response", "x": 1}, None),
        (lambda: {"error": "mine"}, SERVER_ERROR, "the key error"),
        (lambda: [1], SERVER_ERROR, "it returned list instead of a dict"),
        (lambda: "x", SERVER_ERROR, "it returned str instead of a dict"),
        (lambda: add(1), SERVER_ERROR, "it returned coroutine instead of a dict"),
        (lambda: {"x": object()}, SERVER_ERROR, "no JSON form"),
        (lambda: {"x": float("nan")}, SERVER_ERROR, "no JSON form"),
        (lambda: {"x": {1j: 1}}, SERVER_ERROR, "no JSON form"),
        (raising(KeyError("secret")), SERVER_ERROR, "KeyError: 'secret'"),
        (raising(TypeError("secret")), SERVER_ERROR, "TypeError: secret"),
        (raising(SystemExit(3)), SERVER_ERROR, "SystemExit: 3"),
        (raising(KeyboardInterrupt()), SERVER_ERROR, "KeyboardInterrupt"),
        (raising(asyncio.CancelledError()), SERVER_ERROR, "CancelledError"),
        (raising(StopIteration(1)), SERVER_ERROR, "StopIteration"),
        (raising(TimeoutError()), SERVER_ERROR, "TimeoutError"),
        (raising(ahd.ActionError("sold out")), {"context": "response", "error": "sold out"}, None),
        (raising(Refused("no", Code.NOT_ALLOWED)), {"context": "response", "error": "no"}, None),
        (raising(StoreUnavailable()), {"context": "response", "error": "the store is unavailable"}, None),
    ],
)
async def test_outcomes(
    make_runner: MakeRunner,
    caplog: pytest.LogCaptureFixture,
    style: str,
    body: Any,
    reply: Any,
    logged: str | None,
) -> None:
    caller = Caller(make_runner(in_style(style, body), add))
    with caplog.at_level(logging.INFO):
        assert await caller.ask("it") == reply
    if logged is None:
        assert not caplog.records
    else:
        assert logged in caplog.text
        assert [record.name for record in caplog.records] == ["ahd.actions"]
        assert "secret" not in str(reply)
    assert await caller.ask("add", a=1) == {"context": "response", "sum": 1}, "the server goes on"
    assert len(caller.replies) == 2
    assert caller.connection.pending == caller.runner.running == 0


async def test_the_result_of_an_action_is_not_changed(make_runner: MakeRunner) -> None:
    kept = {"x": 1}

    async def share() -> dict[str, Any]:
        return kept

    caller = Caller(make_runner(share))
    caller.start("share")
    caller.replies[0]["messageCount"] = 1
    assert kept == {"x": 1}


async def test_an_answer_that_fails_in_any_way_does_not_reach_the_caller(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(add)
    caller = Caller(runner)
    calls: list[Any] = []

    def never(reply: Any) -> None:
        calls.append(reply)
        raise TypeError("no JSON")

    def broken(reply: Any) -> None:
        calls.append(reply)
        raise OSError("gone")

    runner.call(caller.connection, "add", {"a": 1}, never)
    assert calls == [{"context": "response", "sum": 1}, SERVER_ERROR]
    runner.call(caller.connection, "add", {"a": 1}, broken)
    assert len(calls) == 3
    assert caplog.text.count("a reply could not be handed out") == 2


async def test_an_exception_is_logged_with_its_traceback_and_action(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(make_runner(in_style("direct", raising(KeyError("secret")))))
    await caller.ask("it")
    (record,) = caplog.records
    assert record.__dict__["event"] == "actionFailed"
    assert record.__dict__["action"] == "it"
    assert "Traceback" in caplog.text


# Limits


async def test_too_many_pending(make_runner: MakeRunner) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    runner = make_runner(wait, add, settings=replace(SETTINGS, simultaneous=2))
    caller, other = Caller(runner), Caller(runner)
    for _ in range(3):
        caller.start("wait")
    assert caller.replies == [{"context": "response", "error": "you have too many pending requests"}]
    assert caller.replies[0].code is Code.TOO_MANY  # type: ignore[attr-defined]
    assert (caller.connection.pending, caller.connection.total_actions) == (2, 3)
    other.start("add", a=1)
    assert other.replies == [{"context": "response", "sum": 1}], "the limit is each connection's own"
    gate.set()
    await caller.wait(3)
    assert caller.connection.pending == 0
    assert await caller.ask("add", a=1) == {"context": "response", "sum": 1}


async def test_settings_can_be_replaced(make_runner: MakeRunner) -> None:
    runner = make_runner(add, in_style("direct", raising(ValueError())))
    caller = Caller(runner)
    runner.settings = replace(SETTINGS, limit=5, offset=6, server_error_message="sorry")
    caller.verbs.receive(caller.connection, "action", {"action": "it"}, caller.answer)
    assert caller.replies == [{"context": "response", "error": "Error: sorry", "messageCount": 1}]
    assert caller.connection.params == {"action": "it", "limit": 5, "offset": 6}


async def test_the_line_for_threads_is_bounded(make_runner: MakeRunner) -> None:
    gate = threading.Event()

    def block() -> None:
        gate.wait(DEADLINE)

    runner = make_runner(block, threads=Threads(1, 2))
    caller = Caller(runner)
    try:
        for _ in range(4):
            caller.start("block")
        assert caller.replies == [{"context": "response", "error": "you have too many pending requests"}]
        assert caller.connection.pending == 3
    finally:
        gate.set()
    await caller.wait(4)
    assert caller.connection.pending == 0


# Time-outs

SHORT = replace(SETTINGS, timeout=0.05)
TOOK_TOO_LONG = {"context": "response", "error": "Error: the action took too long"}


async def test_a_task_that_takes_too_long_is_cancelled(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    caller = Caller(make_runner(hang, settings=SHORT))
    reply = await caller.ask("hang")
    assert reply == TOOK_TOO_LONG
    assert reply.code is Code.TIMED_OUT  # type: ignore[attr-defined]
    await until(lambda: caller.runner.running == 0)
    assert ended == ["cancelled"]
    assert caller.connection.pending == 0
    assert [record.__dict__["event"] for record in caplog.records] == ["actionTimedOut"]


async def test_a_task_that_refuses_to_be_cancelled_keeps_its_place(make_runner: MakeRunner) -> None:
    gate = asyncio.Event()

    async def stubborn() -> dict[str, Any]:
        try:
            await asyncio.sleep(DEADLINE)
        except asyncio.CancelledError:
            await gate.wait()
        return {"late": True}

    caller = Caller(make_runner(stubborn, settings=SHORT))
    assert await caller.ask("stubborn") == TOOK_TOO_LONG
    await asyncio.sleep(0)
    assert caller.connection.pending == 1
    gate.set()
    await until(lambda: caller.connection.pending == 0)
    assert caller.replies == [TOOK_TOO_LONG]


async def test_a_task_that_fails_while_it_is_cancelled_is_logged_and_not_answered_again(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    async def clumsy() -> None:
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            raise KeyError("in the end")

    caller = Caller(make_runner(clumsy, settings=SHORT))
    await caller.ask("clumsy")
    await until(lambda: caller.runner.running == 0)
    assert caller.replies == [TOOK_TOO_LONG]
    assert "in the end" in caplog.text


async def test_a_thread_that_takes_too_long_keeps_its_place_until_it_ends(make_runner: MakeRunner) -> None:
    gate = threading.Event()

    def hang() -> dict[str, Any]:
        gate.wait(DEADLINE)
        return {"late": True}

    caller = Caller(make_runner(hang, settings=SHORT))
    assert await caller.ask("hang") == TOOK_TOO_LONG
    assert caller.connection.pending == 1
    gate.set()
    await until(lambda: caller.connection.pending == 0)
    assert caller.replies == [TOOK_TOO_LONG]


async def test_a_call_that_never_got_its_thread_is_withdrawn_in_time(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    ran: list[int] = []

    def block(n: int) -> None:
        ran.append(n)
        gate.wait(DEADLINE)

    caller = Caller(make_runner(block, settings=SHORT, threads=Threads(1, 5)))
    try:
        caller.start("block", n=1)
        caller.start("block", n=2)
        assert await caller.wait(2) == [TOOK_TOO_LONG] * 2
        assert [record.message for record in caplog.records] == [
            "the action block took longer than 0.05 s", "no thread was free for the action block within 0.05 s"
        ]  # fmt: skip
        assert caller.connection.pending == 1
    finally:
        gate.set()
    await until(lambda: caller.connection.pending == 0)
    assert ran == [1]


async def test_a_time_out_of_nothing_still_gives_one_answer(make_runner: MakeRunner) -> None:
    caller = Caller(make_runner(add_later, settings=replace(SETTINGS, timeout=0)))
    for _ in range(5):
        caller.start("add_later", a=1)
    await caller.wait(5)
    await until(lambda: caller.runner.running == 0)
    assert len(caller.replies) == 5
    assert caller.connection.pending == 0


# Clients that go, and the end


@pytest.mark.parametrize("style", ["task", "thread"])
@pytest.mark.parametrize("fails", [False, True])
async def test_nobody_is_answered_who_has_gone(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture, style: str, fails: bool
) -> None:
    body = raising(KeyError("late")) if fails else (lambda: {"x": 1})
    caller = Caller(make_runner(in_style(style, body)))
    caller.start("it")
    caller.connection.gone = True
    await until(lambda: caller.runner.running == 0)
    assert caller.replies == []
    assert ("late" in caplog.text) is fails


async def test_drain_waits_for_what_runs_and_takes_nothing_new(make_runner: MakeRunner) -> None:
    gate = asyncio.Event()

    async def wait() -> dict[str, Any]:
        await gate.wait()
        return {"done": True}

    caller = Caller(make_runner(wait, add))
    caller.start("wait")
    draining = asyncio.ensure_future(caller.runner.drain(DEADLINE))
    await asyncio.sleep(0)
    refused = await caller.ask("add", a=1)
    assert refused == {"context": "response", "error": "the server is shutting down"}
    assert refused.code is Code.SHUTTING_DOWN  # type: ignore[attr-defined]
    assert not draining.done()
    gate.set()
    assert await draining is True
    assert caller.replies[1:] == [{"context": "response", "done": True}]


async def test_drain_with_nothing_under_way_and_drain_in_vain(make_runner: MakeRunner) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    assert await make_runner(wait).drain(DEADLINE) is True
    caller = Caller(make_runner(wait))
    caller.start("wait")
    assert await caller.runner.drain(0.01) is False
    assert caller.replies == []
    await caller.runner.stop()
    assert caller.replies == [{"context": "response", "error": "the server is shutting down"}]
    assert caller.runner.running == 0


async def test_stop_answers_for_tasks_threads_and_what_has_not_begun(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    gate, running = threading.Event(), threading.Event()

    def block() -> None:
        running.set()
        gate.wait(DEADLINE)

    caller = Caller(make_runner(block, add_later, threads=Threads(1, 5)))
    try:
        caller.start("block")
        assert running.wait(DEADLINE)
        caller.start("block")
        caller.start("add_later", a=1)
        await caller.runner.stop()
        await caller.runner.stop()
        assert caller.replies == [{"context": "response", "error": "the server is shutting down"}] * 3
        assert caller.connection.pending == 1, "a thread cannot be ended"
    finally:
        gate.set()
    await until(lambda: caller.runner.running == 0)
    assert len(caller.replies) == 3
    told = {"actions cut short: add_later, block", "actions that do not end: block"}
    assert {record.message for record in caplog.records} == told


def test_an_action_in_a_thread_can_outlive_the_loop() -> None:
    # Its thread must end without a complaint (which would fail the test as an exception nobody handled).
    gate = threading.Event()
    threads = Threads(1, 0)

    def block() -> None:
        gate.wait(DEADLINE)

    async def main() -> None:
        runner = Runner({"block": described(block)}, None, SETTINGS, threads)  # type: ignore[arg-type]
        Caller(runner).start("block")

    before = set(threading.enumerate())
    asyncio.run(main())
    (thread,) = set(threading.enumerate()) - before
    threads.close()
    gate.set()
    thread.join(DEADLINE)
    assert not thread.is_alive()


async def test_the_context_reaches_everything(make_runner: MakeRunner) -> None:
    seen: dict[str, Any] = {}

    async def look(context: ahd.Context, x: int = 0) -> dict[str, Any]:
        seen.update(
            id=context.id, kind=context.kind, address=context.remote_address, room=context.room,
            claims=dict(context.claims), app=context.app, logger=context.logger.name, method=context.method,
        )  # fmt: skip
        await context.cache.save("k", x)
        loaded = await context.cache.load("k")
        assert loaded is not None
        return {"x": loaded.value, "members": await context.rooms.members("defaultRoom")}

    caller = Caller(make_runner(look, app="the app"))
    caller.connection.room = "lobby"
    assert await caller.ask("look", x=3, context="not theirs") == {"context": "response", "x": 3, "members": []}
    assert seen == {
        "id": "c1", "kind": "webSocket", "address": "127.0.0.9", "room": "lobby", "claims": {}, "app": "the app",
        "logger": "ahd.actions.look", "method": "",
    }  # fmt: skip


async def test_a_plain_function_waits_for_coroutines_through_its_context(make_runner: MakeRunner) -> None:
    def keep(context: ahd.Context, x: int) -> dict[str, Any]:
        context.wait(context.cache.save("k", x))
        loaded = context.wait(context.cache.load("k"))
        assert loaded is not None
        return {"x": loaded.value}

    async def wrong(context: ahd.Context) -> None:
        context.wait(context.cache.size())

    caller = Caller(make_runner(keep, wrong))
    assert await caller.ask("keep", x=3) == {"context": "response", "x": 3}
    assert await caller.ask("wrong") == SERVER_ERROR


async def test_a_bad_room_in_an_action_is_the_clients_mistake(make_runner: MakeRunner) -> None:
    async def tell(context: ahd.Context, room: str) -> None:
        await context.rooms.say(room, "hello")

    caller = Caller(make_runner(tell))
    assert await caller.ask("tell", room="r") == {"context": "response"}
    assert "room must be a string" in (await caller.ask("tell", room=""))["error"]


async def test_many_threads_at_once_all_answer(make_runner: MakeRunner) -> None:
    def nap(n: int) -> dict[str, Any]:
        time.sleep(0.001)
        return {"n": n}

    runner = make_runner(nap, threads=Threads(8, 1000))
    callers = [Caller(runner) for _ in range(100)]
    for n, caller in enumerate(callers):
        for _ in range(3):
            caller.start("nap", n=n)
    for n, caller in enumerate(callers):
        assert await caller.wait(3) == [{"context": "response", "n": n}] * 3
    assert runner.running == 0
