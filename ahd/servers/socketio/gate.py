"""Which WebSocket handshakes are let in, and the upgrade of a polling session to a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ahd.servers.decision import Accept, Decision, Refuse
from ahd.servers.httphead import Request

from .deflate import DeflateOptions
from .handshake import Handshake
from .polling import crowded, error, session_cookie, unavailable
from .socket import NOOP, EngineSocket

if TYPE_CHECKING:
    from ahd.servers.proxies import Trusted

    from .engine import Engine
    from .websocket import WebSocket

PROBE = b"2probe"
PROBED = b"3probe"
UPGRADE = b"5"


class Gate:
    """The front's `route`: decides about each request for a WebSocket at Socket.IO's path; None for other paths."""

    def __init__(self, engine: Engine, proxies: Trusted) -> None:
        self._engine = engine
        self._plan = engine.plan
        self._proxies = proxies
        self._deflate = DeflateOptions() if engine.plan.per_message_deflate else None

    def __call__(self, request: Request) -> Decision | None:
        if request.path.rstrip("/") != self._plan.path:
            return None
        plan, engine, params = self._plan, self._engine, request.params
        client = self._proxies.client(request.peer, request.scheme, request.headers)
        if not plan.origin_allowed(request.headers.get("origin"), request.headers.get("host"), client.scheme):
            return refuse(4, 403)
        if params.get("transport") != "websocket" or "websocket" not in plan.transports:
            return refuse(0)
        if params.get("EIO") != "4":
            return refuse(5)
        sid = params.get("sid")
        if sid is None:
            full = None if engine.draining else engine.crowd.refusal(client.address)
            if engine.draining or full is not None:
                response = unavailable() if full is None else crowded(full)
                return Refuse(response.status, response.body, response.headers)
            handshake = Handshake(
                request.method, request.path, request.query, request.headers.items(), client.address, client.scheme
            )
            new_sid = engine.generate_id()
            headers = [] if plan.cookie is None else [("Set-Cookie", session_cookie(plan.cookie, new_sid))]
            return self._accept(lambda ws: self._open(handshake, ws, new_sid), headers)
        socket = engine.sockets.get(sid)
        if socket is None:
            return refuse(1)
        if not plan.allow_upgrades or socket.upgrading or socket.ws is not None:
            return refuse(3)
        return self._accept(lambda ws: Probe(engine, socket, ws))

    def _open(self, handshake: Handshake, ws: WebSocket, sid: str) -> EngineSocket:
        ws.request = None
        return self._engine.open(handshake, ws, sid)

    def _accept(self, on_open: object, headers: Sequence[tuple[str, str]] = ()) -> Accept:
        half = 2 if self._engine.drop_oldest else 1
        return Accept(
            on_open,  # type: ignore[arg-type]  # a Handler in both cases
            max_size=self._plan.max_message_size,
            high_water=self._engine.send_buffer // half,
            headers=headers,
            deflate=self._deflate,
        )


def refuse(code: int, status: int = 400) -> Refuse:
    """Engine.IO's error as the answer to a handshake."""
    response = error(code, status)
    return Refuse(response.status, response.body, response.headers)


class Probe:
    """The handler of a WebSocket that is to take over a polling session: probe, answer, upgrade, in this order.

    Until the upgrade the session lives on polling and outlives the probe's failure.
    """

    def __init__(self, engine: Engine, socket: EngineSocket, ws: WebSocket) -> None:
        self._engine = engine
        self._socket = socket
        self._ws = ws
        self._timer = asyncio.get_running_loop().call_later(engine.upgrade_timeout, self._late)
        self._probed = False
        ws.request = None

    def on_text(self, data: bytes) -> None:
        socket = self._socket
        if data == PROBE and not socket.upgrading and not socket.closed and socket.ws is None:
            socket.upgrading = self._probed = True
            self._ws.send_text(PROBED)
            if socket.poll is not None:  # the client waits for its poll to end before it goes on
                socket.answer_poll([NOOP])
        elif data == UPGRADE and self._probed and not socket.closed and socket.ws is None:
            self._timer.cancel()
            if socket.poll is not None:
                socket.answer_poll([NOOP])
            self._ws.handler = socket
            socket.take_over(self._ws)
        else:
            self._ws.close(1002, "not a probe")

    def on_binary(self, data: bytes) -> None:
        self._ws.close(1002, "not a probe")

    def last_words(self, code: int, reason: str) -> bytes:
        """Nothing: the session lives on polling."""
        return b""

    def on_lost(self, code: int, reason: str) -> None:
        self._timer.cancel()
        if self._probed and self._socket.ws is None:
            self._socket.upgrading = False

    def on_full(self, frame: bytes) -> None:
        self._ws.abort()

    def on_drain(self) -> None:
        """Nothing is kept back."""

    def _late(self) -> None:
        self._engine.hits.hit("upgradeTimeout", "the upgrade of %s takes too long", self._socket.sid)
        self._ws.close(1002, "the upgrade took too long")
