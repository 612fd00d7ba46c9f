"""Coroutines that never suspend are run on the spot, whatever they do."""

from __future__ import annotations

import asyncio

import pytest

from ahd.core.driver import Raised, new_driver, suspended


async def give(value: object) -> object:
    return value


async def fail(error: BaseException) -> None:
    raise error


async def test_what_is_returned_and_raised() -> None:
    driver = new_driver()
    assert driver.send(give(1)) == 1
    for error in (ValueError("x"), KeyboardInterrupt(), StopIteration(), GeneratorExit(), asyncio.CancelledError()):
        raised = driver.send(fail(error))
        assert isinstance(raised, Raised)
        if isinstance(error, StopIteration):  # PEP 479: no coroutine can raise it
            assert isinstance(raised.error, RuntimeError)
        else:
            assert raised.error is error
        assert not suspended(driver)
    assert driver.send(give(None)) is None


async def test_a_coroutine_that_suspends_is_noticed() -> None:
    driver = new_driver()
    driver.send(asyncio.sleep(0))
    assert suspended(driver)


async def test_it_cannot_be_entered_twice() -> None:
    driver = new_driver()

    async def again() -> bool:
        with pytest.raises(ValueError, match="already executing"):
            driver.send(waste)
        return driver.gi_running

    waste = give(2)
    assert driver.send(again()) is True
    assert not driver.gi_running
    waste.close()
