"""What the monitor tells about, handed to it by the application and read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ahd.core.interfaces import Store
from ahd.core.rooms import Rooms


@dataclass(frozen=True, slots=True)
class SendFigures:
    """What happened to clients of one kind of server that read too slowly: closed ones, and says dropped."""

    slow_consumers: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Sources:
    """`phase`: "starting", "draining", or "" while it serves. `connections`: by kind of server and transport.
    `sending`: by kind of server. `last_reload`: epoch seconds, and whether it was taken up (the start counts as one
    that was)."""

    rooms: Rooms
    store: Store
    phase: Callable[[], str]
    connections: Callable[[], Mapping[tuple[str, str], int]]
    sending: Callable[[], Mapping[str, SendFigures]]
    pending_actions: Callable[[], int]
    fingerprint: Callable[[], str]
    last_reload: Callable[[], tuple[float, bool]]
