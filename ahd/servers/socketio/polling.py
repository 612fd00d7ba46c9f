"""Engine.IO's polling transport as an HttpService: handshake, polls and posts, JSONP, CORS.

Rules of the Engine.IO 4 protocol that this module is for: one poll and one post at a time a session (a second one ends
it), a poll whose client went away ends the session (packets could be lost with it), errors are `{code, message}`. A
poll with nothing to say is held for `polling duration` seconds and answered with NOOP; the session lives on.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ahd.core.errors import CROWDED_ADDRESS, Disconnect, too_large
from ahd.servers.crowd import RETRY_AFTER as CROWDED_RETRY
from ahd.servers.http import HttpRequest, HttpResponse

from .handshake import Handshake
from .socket import CLOSE, NOOP, EngineSocket

if TYPE_CHECKING:
    from .engine import Engine

SEPARATOR = b"\x1e"
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
"""Engine.IO's own codes and sentences."""
RETRY_AFTER = 5
_NEWLINES = re.compile(r"(\\)?\\n")

Query = dict[str, str]


def first_values(query: str) -> Query:
    """The first value of each name of a query."""
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def error(code: int, status: int = 400) -> HttpResponse:
    """Engine.IO's answer to a request that cannot be served."""
    body = json.dumps({"code": code, "message": ERRORS[code]}, separators=(",", ":")).encode()
    return HttpResponse(status, list(_JSON), body)


def crowded(why: Disconnect) -> HttpResponse:
    """The answer to a handshake when there are too many sessions."""
    body = json.dumps({"code": 3, "message": why.reason}, separators=(",", ":")).encode()
    status = 429 if why is CROWDED_ADDRESS else 503
    return HttpResponse(status, [*_JSON, ("Retry-After", str(CROWDED_RETRY))], body)


def unavailable() -> HttpResponse:
    """The answer to a handshake while the server drains."""
    headers = [*_JSON, ("Retry-After", str(RETRY_AFTER))]
    return HttpResponse(503, headers, b'{"code":3,"message":"the server is shutting down"}')


def session_cookie(name: str, sid: str) -> str:
    """The cookie by which a balancer can tell where a session lives (`options.cookie`)."""
    return f"{name}={sid}; Path=/; HttpOnly; SameSite=Lax"


class Polling:
    """Serves `{resource}/?EIO=4&transport=polling`. Requests larger than `max_body` bytes need not be read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plan = engine.plan
        # JSONP's form encoding makes a body up to three times as long.
        self.max_body = engine.plan.max_message_size * (3 if engine.plan.jsonp else 1) + 1024

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Answer one request; a poll that waits for something to say is answered later."""
        headers = request.headers
        origin = headers.get("origin")
        if not self._plan.origin_allowed(origin, headers.get("host"), request.scheme):
            return error(4, 403)
        try:
            query = first_values(request.query)
        except ValueError:
            return self._finish(request, error(3))
        index: int | None = None
        if "j" in query:
            if not self._plan.jsonp or not query["j"].isdecimal() or len(query["j"]) > 9:
                return self._finish(request, error(3))
            index = int(query["j"])
        answer = self._answer(request, query)
        if isinstance(answer, HttpResponse):
            return self._finish(request, answer)
        if isinstance(answer, list):
            return self._finish(request, self._packets(answer, index))
        # Taken now: a packet may answer the poll before the task that waits for it has begun.
        assert answer.poll is not None
        return self._later(request, answer, answer.poll, index)

    def _answer(self, request: HttpRequest, query: Query) -> HttpResponse | list[bytes] | EngineSocket:
        """The response, or the packets of one, or the session whose packets are waited for."""
        engine = self._engine
        if request.method == "OPTIONS":
            return HttpResponse(204)
        if query.get("transport") != "polling" or "polling" not in self._plan.transports:
            return error(0)
        sid = query.get("sid")
        if sid is None:
            return self._handshake(request, query)
        socket = engine.sockets.get(sid)
        if socket is None:
            return self._last_poll(sid) if request.method == "GET" else error(1)
        if query.get("EIO", "4") != "4":
            return error(5)
        if request.method == "GET":
            return self._poll(socket)
        if request.method == "POST":
            return self._post(socket, request, "j" in query)
        return error(2, 405)

    def _handshake(self, request: HttpRequest, query: Query) -> HttpResponse | list[bytes]:
        if query.get("EIO") != "4":
            return error(5)
        if request.method != "GET":
            return error(2)
        if self._engine.draining:
            return unavailable()
        full = self._engine.crowd.refusal(request.remote_address)
        if full is not None:
            return crowded(full)
        handshake = Handshake(
            "GET", request.path, request.query, request.headers.items(), request.remote_address, request.scheme
        )
        socket = self._engine.open(handshake, None)
        packets = socket.collect()
        if self._plan.cookie is None:
            return packets
        index = int(query["j"]) if "j" in query else None
        response = self._packets(packets, index)
        response.headers.append(("Set-Cookie", session_cookie(self._plan.cookie, socket.sid)))
        return response

    # -- polls

    def _last_poll(self, sid: str) -> HttpResponse | list[bytes]:
        """What a session that has ended still has to say, and then that it has."""
        gone = self._engine.lingering.get(sid)
        if gone is None:
            return error(1)
        packets = gone.collect_all()
        if not packets:
            del self._engine.lingering[sid]
            packets = [CLOSE]
        return packets

    def _poll(self, socket: EngineSocket) -> HttpResponse | list[bytes] | EngineSocket:
        engine = self._engine
        if socket.ws is not None:
            return error(3)
        if socket.poll is not None:
            engine.end(socket, engine.reason.TRANSPORT_ERROR)
            return error(3)
        if socket.outbox:
            return socket.collect()
        if socket.upgrading:
            return [NOOP]
        loop = asyncio.get_running_loop()
        socket.poll = loop.create_future()
        socket.poll_timer = loop.call_later(self._plan.polling_duration, socket.answer_poll, [NOOP])
        return socket

    async def _later(
        self, request: HttpRequest, socket: EngineSocket, poll: asyncio.Future[list[bytes]], index: int | None
    ) -> HttpResponse:
        try:
            packets = await poll
        except asyncio.CancelledError:
            if socket.poll is poll:
                socket.answer_poll([])
                self._engine.end(socket, self._engine.reason.TRANSPORT_ERROR)
            raise
        return self._finish(request, self._packets(packets, index))

    def _packets(self, packets: list[bytes], index: int | None) -> HttpResponse:
        body = packets[0] if len(packets) == 1 else SEPARATOR.join(packets)
        more = packets[-1:] != [CLOSE]
        if index is None:
            return HttpResponse(200, [("Content-Type", "text/plain; charset=UTF-8")], body, more=more)
        # json.dumps writes ASCII: U+2028 and U+2029, which end a line in a script, are escaped like all the rest.
        script = f"___eio[{index}]({json.dumps(body.decode())});".encode()
        headers = [("Content-Type", "text/javascript; charset=UTF-8"), ("X-Content-Type-Options", "nosniff")]
        return HttpResponse(200, headers, script, more=more)

    # -- posts

    def _post(self, socket: EngineSocket, request: HttpRequest, jsonp: bool) -> HttpResponse:
        engine = self._engine
        if socket.ws is not None:
            return error(3)
        if socket.inbox is not None:
            # The packets of the post before are not all handled yet: a second one overlaps.
            engine.fail(socket, "posts overlap")
            return error(3)
        body = request.body
        try:
            if jsonp:
                body = unescape(body)
            body.decode()
        except (ValueError, KeyError):
            engine.fail(socket, "a post that is not text")
            return error(3)
        if len(body) > self._plan.max_message_size:
            why = too_large(self._plan.max_message_size)
            engine.break_off(socket, why, why.reason)
            return HttpResponse(413, list(_JSON), b'{"code":3,"message":"Payload too large"}')
        for packet in body.split(SEPARATOR):
            if packet[:1] != b"b":
                engine.receive(socket, packet)
            else:
                try:
                    data = b64decode(packet[1:], validate=True)
                except Base64Error:
                    engine.fail(socket, "an attachment that is not base64")
                else:
                    engine.receive_binary(socket, data)
            if socket.closed:
                # A farewell ends the session as it should: only who breaks the protocol is told so.
                return error(3) if socket.broken else HttpResponse(200, list(_TEXT), b"ok", more=True)
        return HttpResponse(200, list(_TEXT), b"ok", more=True)

    # -- headers

    def _finish(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        headers = request.headers
        origin = headers.get("origin")
        plan = self._plan
        if origin is not None:
            response.headers += [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
            if plan.cors_credentials:
                response.headers.append(("Access-Control-Allow-Credentials", "true"))
            if request.method == "OPTIONS":
                asked = headers.get("access-control-request-headers", "content-type")
                response.headers += [
                    ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
                    ("Access-Control-Allow-Headers", asked),
                    ("Access-Control-Max-Age", "600"),
                ]
        response.headers.append(("Cache-Control", "no-store"))
        if (
            plan.http_compression
            and len(response.body) >= plan.compression_threshold
            and "gzip" in headers.get("accept-encoding", "")
        ):
            response.body = gzip.compress(response.body, 1)
            response.headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        return response


_TEXT = (("Content-Type", "text/html"),)
_JSON = (("Content-Type", "application/json"),)


def unescape(body: bytes) -> bytes:
    """The packets of a JSONP post: the form field `d`, in which the client has escaped its newlines. KeyError: no `d`.

    The client writes a newline as backslash-n, and a backslash-n of the data with one more backslash.
    """
    text = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=8)["d"][0]
    text = _NEWLINES.sub(lambda match: match.group() if match.group(1) else "\n", text)
    return text.replace("\\\\n", "\\n").encode()
