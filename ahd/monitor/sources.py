"""What the monitor tells about: read from the application when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ahd import __version__
from ahd.actions.runner import Runner
from ahd.actions.threads import Threads
from ahd.auth.door import Door
from ahd.config.fingerprint import fingerprint
from ahd.config.model import Config
from ahd.config.reload import new_salt, told
from ahd.core.hits import Hits
from ahd.core.interfaces import Store
from ahd.core.rooms import Rooms
from ahd.monitor.traffic import Kind, Traffic


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
    ended: Callable[[Any], None] | None

    @property
    def links(self) -> Collection[Any]: ...


class Front(Protocol):
    """The web server's connections."""

    ended_websocket: Callable[[Any], None] | None
    ended: Callable[[Any], None] | None
    refused: dict[int, int]

    def transports(self) -> Iterator[tuple[bool, Any]]: ...


class Application(Protocol):
    """What is read of the App. `last_reload`: epoch seconds, and whether it was taken up (the start counts as one that
    was)."""

    rooms: Rooms
    store: Store
    hits: Hits
    door: Door
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
    @property
    def front(self) -> Front | None: ...
    @property
    def threads(self) -> Threads: ...


@dataclass(frozen=True, slots=True)
class SendFigures:
    """What happened to clients of one kind of server: see `Sender`."""

    slow_consumers: int
    dropped: int
    closings: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Queues:
    """What waits for the clients of one kind of server: `unsent` bytes in all, `longest` of them for one client, and
    `verbs` that stand behind one that waits for the store."""

    unsent: int = 0
    longest: int = 0
    verbs: int = 0


WEBSOCKET, HTTP = ("webSocket", "websocket"), ("web", "http")


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

    def connections(self) -> dict[Kind, int]:
        """How many there are by kind of server and transport."""
        app = self._app
        found: dict[Kind, int] = {}
        if app.sio is not None:
            sessions = app.sio.engine.sockets.values()
            websockets = sum(session.ws is not None for session in sessions)
            found[WEBSOCKET] = websockets
            found["webSocket", "polling"] = len(sessions) - websockets
        if app.tcp is not None:
            found[self._tcp_kind()] = len(app.tcp.links)
        if app.web is not None:
            found[HTTP] = sum(client.kind == "web" for client in app.rooms.here().values())
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

    def queues(self) -> dict[str, Queues]:
        """By kind of server."""
        app = self._app
        found: dict[str, Queues] = {}
        waiting: dict[str, int] = {}
        for connection in app.rooms.here().values():
            if connection.backlog:
                waiting[connection.kind] = waiting.get(connection.kind, 0) + len(connection.backlog)
        if app.sio is not None:
            sizes = [
                one.unsent + (0 if one.ws is None else one.ws.buffered()) for one in app.sio.engine.sockets.values()
            ]
            found["webSocket"] = Queues(sum(sizes), max(sizes, default=0), waiting.get("webSocket", 0))
        if app.tcp is not None:
            sizes = [link.unsent for link in app.tcp.links]
            found["socket"] = Queues(sum(sizes), max(sizes, default=0), waiting.get("socket", 0))
        return found

    def threads(self) -> tuple[int, int]:
        """Threads of plain functions that are at work, and calls that wait for one."""
        return self._app.threads.figures()

    def refused(self) -> Mapping[int, int]:
        """Handshakes and requests that the front answered with an error, by its status."""
        return {} if self._app.front is None else self._app.front.refused

    def turned_away(self) -> Mapping[tuple[str, str], int]:
        """Clients whose token was missing or not good, by kind of server and code of why."""
        return self._app.door.refusals

    def transports(self) -> Iterator[tuple[Kind, Any]]:
        """The transport of every open connection, by kind of server and transport."""
        if self._app.front is not None:
            for websocket, transport in self._app.front.transports():
                yield WEBSOCKET if websocket else HTTP, transport
        if self._app.tcp is not None:
            for link in self._app.tcp.links:
                if link.transport is not None:
                    yield self._tcp_kind(), link.transport

    def watch(self, traffic: Traffic) -> None:
        """Let it be told of each connection that ends."""
        if self._app.front is not None:
            self._app.front.ended_websocket = traffic.ender(WEBSOCKET)
            self._app.front.ended = traffic.ender(HTTP)
        if self._app.tcp is not None:
            self._app.tcp.ended = traffic.ender(self._tcp_kind())

    def _tcp_kind(self) -> Kind:
        return "socket", "tls" if self._app.tcp is not None and self._app.tcp.secure else "tcp"

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
