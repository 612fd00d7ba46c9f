"""Runs coroutines that never suspend: no task, and no exception for each result as `coroutine.send` has it.

A driver is one generator that lives on: `driver.send(coroutine)` runs the coroutine and is what it returned, or a
`Raised` with what it raised. It is not to be entered again from within: ask `driver.gi_running` first.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeAlias

Driver: TypeAlias = "types.GeneratorType[Any, Coroutine[Any, Any, Any], None]"  # a text: only 3.13 can subscript it


class Raised:
    """A coroutine raised `error`."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


@types.coroutine
def _drive() -> Generator[Any, Any, None]:
    result: Any = None
    while True:
        coroutine = yield result
        try:
            result = yield from coroutine
        except BaseException as error:
            result = Raised(error)


def new_driver() -> Driver:
    """A driver, ready to be sent coroutines."""
    driver: Any = _drive()
    driver.send(None)
    return driver  # type: ignore[no-any-return]


class Suspended(RuntimeError):
    """A coroutine waits for something, which it must not."""


def suspended(driver: Driver) -> bool:
    """Whether the last coroutine has suspended, which it must not. It is ended then; take another driver."""
    if driver.gi_yieldfrom is None:
        return False
    driver.throw(Suspended("this coroutine must not wait"))
    return True
