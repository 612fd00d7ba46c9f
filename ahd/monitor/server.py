"""The monitor: `/livez`, `/readyz`, `/metrics` and `/config` on an address of its own, from start to very end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Container, Mapping
from typing import Any

from ahd.codec import encode
from ahd.config.model import Config
from ahd.config.model import Monitor as Section
from ahd.core.message import JsonObject
from ahd.monitor.listener import TEXT, Answer, Exchange, plain
from ahd.monitor.loop import LoopLag
from ahd.monitor.metrics import Metrics
from ahd.monitor.requests import Requests
from ahd.monitor.sources import Sources
from ahd.monitor.traffic import Traffic

logger = logging.getLogger("ahd.monitor")

JSON = "application/json"
PHASES = {
    "starting": "not all servers listen yet",
    "draining": "the server is shutting down",
}


class Monitor:
    """A server like the others, that is started first and closed last: it answers while the others drain.

    `requests.observe` is to be told of every verb; `actions` are the names that may be labels,
    `arm` has the next verb timed.
    """

    name = "monitor"

    def __init__(self, section: Section, sources: Sources, actions: Container[str], arm: Callable[[], None]) -> None:
        self.addresses: list[str] = []
        self.passed: list[socket.socket] = []
        """Sockets that systemd has opened already, instead of the address."""
        self.requests = Requests(actions, arm)
        self._section = section
        self._sources = sources
        self._lag = LoopLag()
        self._traffic = Traffic(sources.transports)
        sources.watch(self._traffic)
        self._metrics = Metrics(sources, self.requests, self._lag, self._traffic)
        self._listeners: list[asyncio.AbstractServer] = []
        self._open: set[Exchange] = set()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        wheres: list[dict[str, Any]] = [{"sock": sock} for sock in self.passed]
        if not wheres:
            wheres = [{"host": self._section.bind_ip, "port": self._section.port}]
        for where in wheres:
            listener = await loop.create_server(lambda: Exchange(self._respond, self._open), **where)
            self._listeners.append(listener)
            for sock in listener.sockets:
                host, port = sock.getsockname()[:2]
                self.addresses.append(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        self._lag.start()
        self._traffic.start()

    def check(self, config: Config) -> None:
        """Nothing: there is nothing to refuse."""

    def configure(self, config: Config, params: Mapping[str, Any]) -> None:
        """Nothing: where it listens stays."""

    def stop_accepting(self) -> None:
        """Nothing: it is asked until the end."""

    async def drain(self, seconds: float, patience: float) -> None:
        """Nothing: who asks is answered at once."""

    async def close(self) -> None:
        """Let go of everything."""
        self._lag.stop()
        self._traffic.stop()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for exchange in list(self._open):
            exchange.abort()
        await asyncio.sleep(0)

    def reasons(self) -> list[JsonObject]:
        """Why the server should get no new clients now: `reason`, a word, and `text`, a sentence. None: it is ready."""
        found = []
        phase = self._sources.phase()
        if phase:
            found.append({"reason": phase, "text": PHASES[phase]})
        away = self._sources.store.away()
        if away is not None:
            found.append({"reason": "storeAway", "text": away})
        blocked = self._lag.blocked()
        if blocked:
            found.append({"reason": "loopBlocked", "text": f"the event loop was blocked for {blocked:.1f} s"})
        return found

    def _respond(self, path: str, accept: str) -> Answer:
        try:
            if path == "/livez":
                return Answer(200, TEXT, b"ok\n")
            if path == "/readyz":
                reasons = self.reasons()
                return Answer(503 if reasons else 200, JSON, encode({"ready": not reasons, "reasons": reasons}) + b"\n")
            if path == "/metrics":
                return Answer(200, *self._metrics.render(accept))
            if path == "/config":
                return Answer(200, JSON, encode(self._sources.configuration()) + b"\n")
            return plain(404)
        except Exception:
            logger.exception("the monitor cannot answer %s", path, extra={"event": "monitorFailed"})
            return plain(500)
