"""Sending clients elsewhere: each is told goodbye and closed, spread over time, after its actions have finished."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

Client = TypeVar("Client")

SLOWEST = 0.05
"""Seconds between two clients at the most: a few clients are not kept waiting for the whole time."""
LOOK_AGAIN = 0.05
FIRST_RETRY = 500
LAST_RETRY = 3000


def retry_after() -> int:
    """Milliseconds after which a client should come back; at random, so that not all come at once."""
    return random.randint(FIRST_RETRY, LAST_RETRY)


async def drain(
    clients: Sequence[Client],
    seconds: float,
    patience: float,
    busy: Callable[[Client], bool],
    dismiss: Callable[[Client], None],
) -> None:
    """Dismiss every client within `seconds`, the busy ones when they are not any more, or `patience` after that."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    pause = min(seconds / len(clients), SLOWEST) if clients else 0.0
    waiting: list[Client] = []
    for index, client in enumerate(clients):
        late = begun + index * pause - loop.time()
        if late > 0:
            await asyncio.sleep(late)
        elif index % 100 == 99:
            await asyncio.sleep(0)
        if busy(client):
            waiting.append(client)
        else:
            dismiss(client)
    deadline = begun + seconds + patience
    while waiting and loop.time() < deadline:
        await asyncio.sleep(LOOK_AGAIN)
        for client in waiting:
            if not busy(client):
                dismiss(client)
        waiting = [client for client in waiting if busy(client)]
    for client in waiting:
        dismiss(client)
