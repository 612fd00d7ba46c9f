"""Actions that misbehave in every way that Python offers. The daemon of the tests finds them here."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ahd import Context, action


@action(description="stands in the way of all others")
async def blocks(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)  # noqa: ASYNC251
    return {}


@action(description="never ends")
async def waits() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


@action(description="never ends, and does not let itself be stopped")
async def clings() -> dict[str, Any]:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@action(description="never ends, in a thread")
def stands() -> dict[str, Any]:
    threading.Event().wait()
    return {}


class Own(BaseException):
    """No Exception."""


def deep(depth: int = 0) -> int:
    return deep(depth + 1)


FAILURES: dict[str, Callable[[], Any]] = {
    "SystemExit": lambda: sys.exit(3),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "CancelledError": lambda: _raise(asyncio.CancelledError()),
    "RecursionError": deep,
    "MemoryError": lambda: _raise(MemoryError()),
    "StopIteration": lambda: _raise(StopIteration({"sneaky": True})),
    "Own": lambda: _raise(Own()),
}


def _raise(error: BaseException) -> None:
    raise error


@action(description="fails on the spot")
async def fails_at_once(how: str) -> dict[str, Any]:
    FAILURES[how]()
    return {}


@action(description="fails after a wait")
async def fails_later(how: str) -> dict[str, Any]:
    await asyncio.sleep(0.001)
    FAILURES[how]()
    return {}


@action(description="fails in a thread")
def fails_in_thread(how: str) -> dict[str, Any]:
    FAILURES[how]()
    return {}


def _cyclic() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    return circle


def _nested() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(100_000):
        inner = {"in": inner}
    return inner


RESULTS: dict[str, Callable[[], Any]] = {
    "object": lambda: {"it": object()},
    "set": lambda: {"it": {1, 2}},
    "bytes": lambda: {"it": b"\xff"},
    "surrogate": lambda: {"it": "\ud800"},
    "cyclic": _cyclic,
    "nested": _nested,
    "list": lambda: [1, 2],
    "class": lambda: dict,
    "coroutine": lambda: asyncio.sleep(0),
}


@action(description="returns what has no JSON")
async def returns_at_once(what: str) -> Any:
    return RESULTS[what]()


@action(description="returns what has no JSON, after a wait")
async def returns_later(what: str) -> Any:
    await asyncio.sleep(0.001)
    return RESULTS[what]()


@action(description="returns what has no JSON, in a thread")
def returns_in_thread(what: str) -> Any:
    return RESULTS[what]()


@action(description="returns very much")
async def huge(size: int) -> dict[str, Any]:
    return {"text": "x" * size}


@action(description="tells how many calls have changed something")
async def count(context: Context, key: str) -> dict[str, Any]:
    found = await context.cache.load(key)
    total = (found.value if found is not None else 0) + 1
    await context.cache.save(key, total)
    return {"total": total}
