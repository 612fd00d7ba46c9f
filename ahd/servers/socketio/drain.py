"""Sending the clients elsewhere: each is told goodbye and closed, spread over time, after its actions have finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ahd.codec import encode
from ahd.core.errors import SERVER_SHUTDOWN
from ahd.core.message import goodbye
from ahd.servers.drain import drain as spread
from ahd.servers.drain import retry_after

if TYPE_CHECKING:
    from .engine import Engine
    from .socket import EngineSocket


async def drain(engine: Engine, seconds: float, patience: float) -> None:
    """Close every session within `seconds`, those with actions under way within `patience` more.

    No handshake is taken from the start of this on. Returns when no session is left.
    """
    engine.draining = True
    await spread(list(engine.sockets.values()), seconds, patience, busy, lambda socket: dismiss(engine, socket))
    for socket in list(engine.sockets.values()):
        dismiss(engine, socket)


def busy(socket: EngineSocket) -> bool:
    """Whether one of its actions or verbs is under way."""
    connection = socket.connection
    return not socket.closed and connection is not None and bool(connection.pending or connection.busy)


def dismiss(engine: Engine, socket: EngineSocket) -> None:
    """Tell one client why it is closed and when to come back, and close it so that it does."""
    if socket.closed:
        return
    back = retry_after()
    bye = b'42["say",' + encode(goodbye(SERVER_SHUTDOWN.reason, back)) + b"]"
    engine.dismiss(socket, SERVER_SHUTDOWN, retry_after=back, before=() if socket.connection is None else (bye,))
