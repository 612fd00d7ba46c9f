"""What the monitor tells about: read from the application when somebody asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ahd import __version__
from ahd.actions.runner import Runner
from ahd.config.fingerprint import fingerprint
from ahd.config.model import Config
from ahd.config.reload import new_salt, told
from ahd.core.hits import Hits
from ahd.core.interfaces import Store
from ahd.core.rooms import Rooms


class Sender(Protocol):
    """A kind of server's clients that were closed, and those that read too slowly: closed ones, and says dropped.

    `closings` is by the code of the event `closing`.
    """

    slow_consumers: int
    dropped: int
    closings: dict[str, int]


class Engine(Sender, Protocol):
    """Socket.IO's transports: `sockets` by session; one with a `ws` is on a WebSocket, the others poll."""

    sockets: Mapping[str, Any]


class SocketIO(Protocol):
    """python-socketio's server on our transports."""

    @property
    def engine(self) -> Engine: ...


class TcpServer(Sender, Protocol):
    """The server of lines."""

    secure: bool

    @property
    def links(self) -> Collection[Any]: ...


class Application(Protocol):
    """What is read of the App. `last_reload`: epoch seconds, and whether it was taken up (the start counts as one that
    was)."""

    rooms: Rooms
    store: Store
    hits: Hits
    runner: Runner
    config: Config
    source: Path
    up: bool
    draining: bool
    last_reload: tuple[float, bool]

    @property
    def sio(self) -> SocketIO | None: ...
    @property
    def tcp(self) -> TcpServer | None: ...
    @property
    def web(self) -> object | None: ...


@dataclass(frozen=True, slots=True)
class SendFigures:
    """What happened to clients of one kind of server: see `Sender`."""

    slow_consumers: int
    dropped: int
    closings: Mapping[str, int]


class Sources:
    """The figures of an application, each as of now."""

    def __init__(self, app: Application) -> None:
        self.rooms = app.rooms
        self.store = app.store
        self.hits = app.hits
        self._app = app
        self._salt = new_salt()

    def phase(self) -> str:
        """ "starting", "draining", or "" while it serves."""
        return "draining" if self._app.draining else "" if self._app.up else "starting"

    def connections(self) -> dict[tuple[str, str], int]:
        """How many there are by kind of server and transport."""
        app, found = self._app, {}
        if app.sio is not None:
            sessions = app.sio.engine.sockets.values()
            websockets = sum(session.ws is not None for session in sessions)
            found["webSocket", "websocket"] = websockets
            found["webSocket", "polling"] = len(sessions) - websockets
        if app.tcp is not None:
            found["socket", "tls" if app.tcp.secure else "tcp"] = len(app.tcp.links)
        if app.web is not None:
            found["web", "http"] = sum(client.kind == "web" for client in app.rooms.here().values())
        return found

    def sending(self) -> dict[str, SendFigures]:
        """By kind of server."""
        senders: dict[str, Sender | None] = {
            "webSocket": None if self._app.sio is None else self._app.sio.engine,
            "socket": self._app.tcp,
        }
        return {
            kind: SendFigures(one.slow_consumers, one.dropped, one.closings)
            for kind, one in senders.items()
            if one is not None
        }

    def pending_actions(self) -> int:
        """Actions under way."""
        return self._app.runner.running

    def fingerprint(self) -> str:
        """The configuration's."""
        return fingerprint(self._app.config)

    def configuration(self) -> dict[str, Any]:
        """What it runs with: `version`, `file`, `fingerprint`, `salt`, and `settings`, in which digests of that salt
        stand for the secrets."""
        app = self._app
        return {
            "version": __version__,
            "file": str(app.source.absolute()),
            "fingerprint": self.fingerprint(),
            "salt": self._salt,
            "settings": told(app.config, self._salt),
        }

    def last_reload(self) -> tuple[float, bool]:
        """When, in epoch seconds, and whether it was taken up."""
        return self._app.last_reload
