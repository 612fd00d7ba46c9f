"""Sending the clients elsewhere: each is told goodbye and closed, spread over time, after its actions have finished."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from ahd.core.errors import SERVER_SHUTDOWN
from ahd.core.message import goodbye

if TYPE_CHECKING:
    from .engine import Engine
    from .socket import EngineSocket

SLOWEST = 0.05
"""Seconds between two clients at the most: a few clients are not kept waiting for the whole time."""
LOOK_AGAIN = 0.05
FIRST_RETRY = 500
LAST_RETRY = 3000
"""Milliseconds after which a client should come back: at random between the two."""


async def drain(engine: Engine, seconds: float, patience: float) -> None:
    """Close every session within `seconds`, those with actions under way within `patience` more.

    No handshake is taken from the start of this on. Returns when no session is left.
    """
    engine.draining = True
    loop = asyncio.get_running_loop()
    sockets = list(engine.sockets.values())
    begun = loop.time()
    pause = min(seconds / len(sockets), SLOWEST) if sockets else 0.0
    busy: list[EngineSocket] = []
    for index, socket in enumerate(sockets):
        late = begun + index * pause - loop.time()
        if late > 0:
            await asyncio.sleep(late)
        elif index % 100 == 99:
            await asyncio.sleep(0)
        if socket.connection is not None and (socket.connection.pending or socket.connection.busy):
            busy.append(socket)
        else:
            dismiss(engine, socket)
    deadline = loop.time() + patience
    while busy and loop.time() < deadline:
        await asyncio.sleep(LOOK_AGAIN)
        for socket in busy:
            if socket.connection is not None and not socket.connection.pending and not socket.connection.busy:
                dismiss(engine, socket)
        busy = [socket for socket in busy if not socket.closed]
    for socket in list(engine.sockets.values()):
        dismiss(engine, socket)


def dismiss(engine: Engine, socket: EngineSocket) -> None:
    """Tell one client why it is closed and when to come back, and close it so that it does."""
    if socket.closed:
        return
    if socket.connection is not None:
        retry_after = random.randint(FIRST_RETRY, LAST_RETRY)
        socket.connection.link.send("say", goodbye(SERVER_SHUTDOWN.reason, retry_after))
    engine.end(socket, engine.reason.SERVER_DISCONNECT, SERVER_SHUTDOWN.code, SERVER_SHUTDOWN.reason)
