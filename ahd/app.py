"""assemble(config) -> App: the only module that knows all the others. Constructors remember, `start` acts.

config -> store -> rooms -> actions -> verbs -> Socket.IO, web -> front -> listeners; TCP; the monitor
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ahd import __version__, plugins
from ahd.actions import registry
from ahd.actions.context import ActionRooms, Services
from ahd.actions.runner import Runner, Settings
from ahd.actions.threads import Threads
from ahd.assembly import store_of, tcp_server, web_server
from ahd.auth.authenticator import Authenticator
from ahd.auth.door import Door, authorities
from ahd.codec import encode
from ahd.config.fingerprint import fingerprint
from ahd.config.model import Config
from ahd.core.hits import Hits
from ahd.core.interfaces import Store
from ahd.core.message import JsonObject, now_ms
from ahd.core.permissions import Permissions
from ahd.core.rooms import RoomLimits, Rooms
from ahd.core.verbs import Verbs, Words
from ahd.describe import openapi
from ahd.log import set_level
from ahd.requestlog import both, request_log, web_log
from ahd.servers.crowd import Crowd, address_paces
from ahd.servers.front import Front
from ahd.servers.reasons import reason
from ahd.servers.server import Server
from ahd.servers.socketio.drain import drain
from ahd.servers.socketio.server import SocketIO
from ahd.servers.web.application import Application
from ahd.servers.web.server import Web, check_routes
from ahd.servers.web.site import Site

if TYPE_CHECKING:
    from ahd.monitor.server import Monitor
    from ahd.servers.tcp.server import TcpServer

logger = logging.getLogger("ahd")

CUT = 0.1
"""Seconds before the end of the drain in which clients take the answers to actions that are cut short."""
LAST = 3.0
"""Seconds of `shutdown.timeout` that are kept for closing what the drain has left, at the most."""


class StartError(Exception):
    """The server could not be started; the text is one line that says which part and why."""


class App:
    """A whole server. Plugins are handed this object before it starts.

    `config`, `store` (with its `cache`), `rooms`, `verbs`, `actions` (the registry), `sio` (python-socketio's server,
    None without webSockets) and `servers` are there for them.
    """

    def __init__(self, config: Config, source: Path, store: Store) -> None:
        self.config = config
        self.source = source
        self.store = store
        self.started_at = now_ms()
        self.up = False
        """Whether all servers have started."""
        self.draining = False
        self.last_reload = self.started_at / 1000, True
        """When, in epoch seconds, and whether it was taken up; the start is the first."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self.hits = Hits()
        self.crowd = Crowd(config.limits, self.hits)
        self.rooms = Rooms(store, encode, _room_limits(config))
        self.actions = registry.load(config.actions.modules, config.actions.builtin, source)
        self.threads = Threads(config.actions.threads, config.actions.waiting_calls)
        services = Services(
            cache=store.cache,
            rooms=ActionRooms(self.rooms),
            app=self,
            nodes=store.nodes,
            stats=self.stats,
            started_at=time.monotonic(),
            registry=self.actions,
        )
        self.runner = Runner(self.actions.by_name, services, _action_settings(config), self.threads, self.hits)
        self.verbs = Verbs(self.rooms, self.runner, _words(config), store.immediate, self.spawn, self.hits)
        self.door = Door(self.verbs)
        self.authorize(*authorities(config, self.actions.by_name, source))
        self.sio: SocketIO | None = None
        self.site: Site | None = None
        self.tornado: Application | None = None
        self.web: Web | None = None
        self.front: Front | None = None
        self.tcp: TcpServer | None = None
        self.monitor: Monitor | None = None
        self.servers: list[Server] = []
        """In the order of their start, the reverse of that of their end."""
        self._started: list[Server] = []
        self.lost: Callable[[str], None] | None = None
        """Told why, when the store is away and the process is to end for it (`redis.outage: exit`)."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine in a task of its own that is kept track of."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def figures(self) -> dict[str, int]:
        """The figures that can be added up over all nodes."""
        return {
            "connections": len(self.rooms.here()),
            "says": self.rooms.says,
            "deliveries": self.rooms.deliveries,
            "pendingActions": self.runner.running,
        }

    def stats(self) -> JsonObject:
        """The figures that the action `status` tells."""
        kinds: dict[str, int] = {}
        for connection in self.rooms.here().values():
            kinds[connection.kind] = kinds.get(connection.kind, 0) + 1
        return {"version": __version__, **self.figures(), "connections": kinds, "rooms": self.rooms.count()}

    def describe(self) -> bytes:
        """The OpenAPI document of the actions, as JSON."""
        return encode(openapi(self.actions.by_name, self.config.common_web, self.config.general, self.config.auth))

    def authorize(self, authenticator: Authenticator | None, permissions: Permissions | None) -> None:
        """Judge clients by these from now on; those who came with a token that is gone are closed."""
        self.verbs.permissions = self.runner.permissions = permissions
        self.door.configure(authenticator, list(self.rooms.here().values()))

    def configure(self, config: Config) -> None:
        """Take up another configuration while running. Only keys with `x-reload` may differ; no client is dropped.

        ConfigError: nothing has changed. OSError: a certificate that cannot be used, and nothing but certificates has
        changed.
        """
        found = authorities(config, self.actions.by_name, self.source, self.door.authenticator)
        settings = _action_settings(config)
        params = {"limit": settings.limit, "offset": settings.offset}
        if self.web is not None:
            check_routes(config.common_web, self.actions, self.source)
        for server in self.servers:  # all are asked before one is changed: the reload is whole or not at all
            server.check(config)
        for server in self.servers:
            server.configure(config, params)
        self.config = config
        self.rooms.limits = _room_limits(config)
        self.runner.settings = settings
        self.verbs.words = _words(config)
        set_level(config.log.level)
        self.observe_requests()
        if self.sio is not None:
            self.sio.configure(config.limits, self.runner.default_params)
        self.crowd.configure(config.limits)
        if self.web is not None:
            self.web.configure(config.common_web, config.general)
            self.web.actions.paces = address_paces(config.limits, self.hits)
        self.authorize(*found)
        self.store.nodes.introduce(fingerprint(config), self.figures)

    def observe_requests(self) -> None:
        """Write a line for every request, or none, as `log` says."""
        log = self.config.log
        written = request_log(log.filtered_params) if log.log_requests else None
        self.verbs.observe = written
        if self.web is not None:
            self.web.actions.observe = both(None if self.monitor is None else self.monitor.requests.observe, written)
        if self.site is not None:
            counted = None if self.monitor is None else self.monitor.requests.answered
            self.site.observe = both(counted, web_log if log.log_requests else None)

    # -- life

    async def start(self) -> None:
        """Open the store and listen. StartError, or when it is cancelled: nothing is left open."""
        self.store.nodes.introduce(fingerprint(self.config), self.figures)
        part = "the store cannot be opened"
        try:
            await self.store.open(self.rooms.deliver, self.lost)
            self.door.start()
            if self.sio is not None:
                self.sio.start()
            for server in self.servers:
                part = f"the {server.name} server cannot listen"
                self._started.append(server)  # before: one of its addresses may be open when another cannot be had
                await server.start()
                for address in server.addresses:
                    extra = {"event": "listening", "server": server.name, "address": address}
                    logger.info("%s listens on %s", server.name, address, extra=extra)
        except BaseException as error:
            await self.close()
            if isinstance(error, Exception):
                raise StartError(f"{part}: {reason(error)}") from error
            raise
        self.up = True

    async def drain(self) -> None:
        """Send the clients elsewhere, as `shutdown` says: no new connections, goodbyes, actions to their end.

        Returns before `shutdown.timeout` is over, with time enough to close.
        """
        if self.draining:
            return
        self.draining = True
        shutdown = self.config.shutdown
        now = asyncio.get_running_loop().time
        end = now() + shutdown.timeout - min(LAST, shutdown.timeout / 2)
        if shutdown.delay:
            await asyncio.sleep(shutdown.delay)
        for server in reversed(self._started):
            server.stop_accepting()
        patience = max(end - now() - shutdown.drain, 0)
        draining = [server.drain(shutdown.drain, patience) for server in self._started]
        if self.sio is not None:
            draining.append(drain(self.sio.engine, shutdown.drain, patience))
        # Before the last clients are sent away, that they are answered.
        cutting = asyncio.get_running_loop().call_at(end - CUT, self.runner.cut)
        await asyncio.gather(*draining)
        await self.runner.drain(max(end - now(), 0))
        cutting.cancel()

    async def close(self) -> None:
        """Let go of everything, in the reverse order of the start. Idempotent."""
        while self._started:
            await self._started.pop().close()
        if self.sio is not None:
            await self.sio.engine.shutdown()
        self.door.leases.stop()
        await self.runner.stop()
        if self.web is not None:
            self.web.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        await self.store.close()
        self.threads.close()


# -- assembly


def assemble(config: Config, source: str | Path = "ahd.yaml") -> App:
    """Put a whole server together without listening. ConfigError: actions or plugins that cannot be had, files that
    are not what the file says."""
    source = Path(source)
    app = App(config, source, store_of(config))
    if config.http_server.enable:
        app.servers.append(web_server(app))
    if config.tcp_server.enable:
        app.servers.append(tcp_server(app))
    if config.monitor.enable:
        from ahd.monitor.server import Monitor
        from ahd.monitor.sources import Sources

        app.monitor = Monitor(config.monitor, Sources(app), app.actions.by_name, app.verbs.time_next)
        app.verbs.meter = app.monitor.requests
        app.servers.insert(0, app.monitor)
    app.observe_requests()
    plugins.call(config.general.plugins, app, source)
    return app


def _room_limits(config: Config) -> RoomLimits:
    chat = config.chat
    return RoomLimits(chat.announce, chat.max_room_name_length, chat.max_message_size, config.limits.listening_rooms)


def _action_settings(config: Config) -> Settings:
    general = config.general
    return Settings(
        limit=general.default_limit,
        offset=general.default_offset,
        simultaneous=general.simultaneous_actions,
        timeout=general.action_timeout,
        server_error_message=general.server_error_message,
    )


def _words(config: Config) -> Words:
    general, waiting = config.general, config.limits.waiting_verbs
    return Words(general.welcome_message, general.default_chat_room, general.server_error_message, waiting)
