"""The parts of a server, each made from the configuration: the store, the web server with Socket.IO on it, TCP."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ahd.codec import decode, encode
from ahd.config.model import Config
from ahd.core.interfaces import Store
from ahd.core.pace import Pace
from ahd.servers.crowd import Guests, address_paces
from ahd.servers.direct import Direct
from ahd.servers.front import Front
from ahd.servers.listener import Listener
from ahd.servers.proxies import Trusted
from ahd.servers.server import Server
from ahd.servers.socketio.bundle import BrowserClient
from ahd.servers.socketio.clients import ClientIndex
from ahd.servers.socketio.gate import Gate
from ahd.servers.socketio.polling import Polling
from ahd.servers.socketio.server import SocketIO
from ahd.servers.socketio.shared import CHANNEL, SharedClientIndex
from ahd.servers.tls import context_for
from ahd.servers.web.application import application, http_server
from ahd.servers.web.resource import resource_service
from ahd.servers.web.server import Web, check_routes
from ahd.servers.web.site import Mount

if TYPE_CHECKING:
    from ahd.app import App

logger = logging.getLogger("ahd")

PAGE = Path(__file__).parent / "page"

STORES: Mapping[bool, str] = {False: "memory", True: "redis"}
"""`redis.enable` and the module of ahd.store whose `make(config, encode, decode)` gives the store."""


def store_of(config: Config) -> Store:
    module = importlib.import_module(f"ahd.store.{STORES[config.redis.enable]}")
    store: Store = module.make(config, encode, decode)
    return store


def web_server(app: App) -> Server:
    """The web server, and Socket.IO on it."""
    config = app.config
    section, web = config.http_server, config.common_web
    check_routes(web, app.actions, app.source)
    proxies = Trusted(section.trusted_proxies)
    app.web = pages = Web(web, config.general, app.verbs, app.runner, PAGE, encode, decode, app.describe, app.door)
    pages.actions.paces = address_paces(config.limits, app.hits)
    others: list[Mount] = []
    gate: Callable[[Any], Any] = _no_websockets
    if config.web_sockets.enable:
        plan = config.socket_io
        channel = app.store.channel(CHANNEL)
        manager = ClientIndex() if channel is None else SharedClientIndex(channel, encode, decode)
        app.sio = sio = _socket_io(app, manager)
        sio.bind_rooms(app.rooms)
        sio.serve(app.verbs, app.door)
        if config.monitor.admin_ui["enable"]:
            from ahd.servers.socketio.admin import AdminUI

            AdminUI(sio, app.rooms, config.monitor.admin_ui)
        browser = BrowserClient(plan.client)
        missing = browser.missing() if plan.client.enable else None
        if missing is not None:
            logger.warning("%s", missing, extra={"event": "browserClientMissing"})
        polling = Polling(sio.engine)
        others.append(Mount(plan.path, resource_service(plan.path, polling, browser.answer), polling.max_body))
        gate = Gate(sio.engine, proxies)
    app.site = site = pages.site(config.general, *others, resource=config.socket_io.path)
    site.hits = app.hits
    client_of = _client_of(proxies)
    app.tornado = application(site, client_of)
    limits = config.limits
    times = limits.idle_timeout, limits.body_timeout
    server = http_server(app.tornado, *times, site.largest_body, limits.head_size)
    app.front = front = Front(
        gate,
        server,
        Direct(site, client_of, *times, limits.head_size),
        head_timeout=limits.head_timeout,
        max_head=limits.head_size,
        guests=Guests(app.crowd, proxies.is_proxy),
        hits=app.hits,
    )
    return Listener(front, section, context_for("httpServer", section, app.source))


def _socket_io(app: App, manager: ClientIndex) -> SocketIO:
    config, params = app.config, app.runner.default_params
    if not config.monitor.admin_ui["enable"]:
        return SocketIO(config.socket_io, config.limits, manager, params, app.hits)
    from ahd.servers.socketio.watched import WatchedEngine

    return SocketIO(config.socket_io, config.limits, manager, params, app.hits, WatchedEngine)


def tcp_server(app: App) -> Server:
    """The server of lines."""
    from ahd.servers.tcp.server import TcpServer, TcpSettings

    section, limits = app.config.tcp_server, app.config.limits
    settings = TcpSettings(
        max_line_length=section.max_line_length,
        keep_alive=section.keep_alive,
        send_buffer=limits.send_buffer,
        drop_oldest=limits.slow_consumer == "dropOldest",
        handshake_timeout=limits.head_timeout,
        pace=Pace.of(limits.message_rate, limits.message_burst, limits.refused_messages),
        params=app.runner.default_params,
    )
    tls = context_for("tcpServer", section, app.source)
    app.tcp = TcpServer(app.verbs, section.bind_ip, section.port, settings, encode, decode, tls, app.hits, app.door)
    app.tcp.guests = Guests(app.crowd, Trusted(app.config.http_server.trusted_proxies).is_proxy)
    return app.tcp


def _no_websockets(request: Any) -> None:
    """Without Socket.IO no request for a WebSocket is ours."""


def _client_of(proxies: Trusted) -> Callable[[str, Any, Mapping[str, str]], tuple[str, str]]:
    def client_of(peer: str, scheme: Any, headers: Mapping[str, str]) -> tuple[str, str]:
        client = proxies.client(peer, scheme, headers)
        return client.address, client.scheme

    return client_of
