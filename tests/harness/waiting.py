"""Wait for conditions, and for nothing longer than their deadline."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds; long enough for a loaded machine, short enough to read the failure."""


def eventually(condition: Callable[[], T], deadline: float = DEADLINE, interval: float = 0.02, what: str = "") -> T:
    """Call `condition` until its result is true and return that; an AssertionError counts as "not yet".

    After `deadline` seconds the last AssertionError is raised again, or one that names `what`.
    """
    end = time.monotonic() + deadline
    while True:
        problem: AssertionError | None = None
        try:
            result = condition()
            if result:
                return result
        except AssertionError as error:
            problem = error
        if time.monotonic() >= end:
            if problem is not None:
                raise problem
            raise AssertionError(f"not within {deadline} s: {what or getattr(condition, '__name__', condition)}")
        time.sleep(interval)


# Below the ports that the kernel gives to outgoing connections: nothing takes one between its choice and its use.
_ports = itertools.cycle(random.sample(range(10000, 32000), 22000))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at the moment, and that this process was not given lately."""
    for port in _ports:
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def measured() -> Iterator[Callable[[], float]]:
    """`with measured() as seconds:` … `seconds()` is the time since the start."""
    start = time.monotonic()
    yield lambda: time.monotonic() - start


async def eventually_async(
    condition: Callable[[], T], deadline: float = DEADLINE, interval: float = 0.01, what: str = ""
) -> T:
    """`eventually` for a condition that comes true on the running loop."""
    end = time.monotonic() + deadline
    while not (result := condition()):
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline} s: {what or getattr(condition, '__name__', condition)}")
        await asyncio.sleep(interval)
    return result
