"""HTTP/1.1 straight from the loop's transport to the site, for what needs no Tornado: actions, polling, files.

llhttp (through httptools) parses strictly; what it refuses is answered with 400 and the connection closed. The requests
of one connection are answered one after the other, in their order. Answers produced while one read is worked through
leave in one write. A client that does not finish its head or body, or does not read its answer, is cut off in time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import httptools

from .gone import GONE
from .http import CHUNK, FileBody, HttpRequest, HttpResponse, origin_form, response_head
from .httphead import Scheme
from .httprules import HEAD_TOO_LARGE, NAMES, NOT_HTTP, REST_TOO_LARGE, lower_case, wrong

if TYPE_CHECKING:
    from .direct import Direct

WAITING: Final = 16
"""Requests that may wait behind one that is being answered, before the client is read no further."""
HELD: Final = 262144
"""Bytes of their bodies, with which it is the same."""
CORK: Final = 65536
"""Bytes of answers that are collected at most before they are written."""
LINGER: Final = 2.0
"""Seconds a refused client may go on sending before it is cut off."""
PROGRESS: Final = 4096
"""Bytes of a body that buy another `slow` seconds."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LARGE: Final = "The body is too large; the limit is {limit} bytes."
_FORWARDED: Final = frozenset({"x-forwarded-for", "x-forwarded-proto"})


class DirectConnection(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_back", "_body", "_client", "_close", "_complete", "_direct", "_expects", "_fields", "_first", "_forwarded",
        "_full", "_gone", "_head", "_head_size", "_limit", "_loop", "_loose", "_messages", "_out", "_out_size",
        "_over", "_parser", "_paused", "_peer", "_progress", "_queue", "_queued", "_refused", "_scheme", "_target",
        "_task", "_transport", "_upgrade", "_version", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        direct: Direct,
        transport: asyncio.Transport,
        peer: str,
        scheme: Scheme,
        gone: Callable[[asyncio.Transport], None],
        back: Callable[[bytes], None],
    ) -> None:
        self._direct = direct
        self._transport = transport
        self._peer = peer
        self._scheme: Scheme = scheme
        self._gone = gone
        self._back = back
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._client: tuple[str, str] | None = None
        self._queue: deque[tuple[HttpRequest | HttpResponse, bool, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._queued = 0
        self._out: list[bytes] = []
        self._out_size = 0
        self._paused = False
        self._full: asyncio.Event | None = None
        self._refused = False
        self._close = False
        self._upgrade = False
        self._first = True
        self._complete = True
        self._messages = 0
        self._head = b""
        self._head_size = 0
        self._over = False
        self._version = ""
        self._expects = False
        self._loose = 0
        self._target = b""
        self._fields: dict[str, str] = {}
        self._forwarded = False
        self._body: list[bytes] = []
        self._limit = 0
        self._progress = 0
        self.deadline = self._loop.time() + direct.idle

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        if self._refused or self._close:
            return
        if self._complete:
            # Between requests: this one's head is kept until it is known to be for here.
            self._head = data
            self._messages = 0
            self.deadline = self._loop.time() + self._direct.slow
            if not self._first and self._idle() and not self._direct.takes(data):
                self._give_back()
                return
        elif not self._over:
            self._head += data
        self._loose += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._upgrade:
                self._give_back()
                return
            # It was asked about, and is answered as any other request.
            self._close = True
        except httptools.HttpParserError:
            if not self._refused:
                self._refuse(400, NOT_HTTP)
        if not self._complete and not self._refused:
            if not self._over:
                if len(self._head) > self._direct.max_head:
                    self._refuse(431, HEAD_TOO_LARGE.format(limit=self._direct.max_head))
            elif self._loose > self._direct.max_head:
                self._refuse(431, REST_TOO_LARGE.format(limit=self._direct.max_head))
        self._go_on()

    def eof_received(self) -> None:
        """The client has gone, or says that it will: what it asked is not waited for."""

    def pause_writing(self) -> None:
        self._full = asyncio.Event()
        self.deadline = self._loop.time() + self._direct.slow
        self._read_or_not()

    def resume_writing(self) -> None:
        if self._full is not None:
            self._full.set()
            self._full = None
        self._loop.call_soon(self._go_on)  # a transport must not be closed in here

    def _go_on(self) -> None:
        self._advance()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._direct.forget(self)
        self._refused = True
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
        if self._full is not None:
            self._full.set()
        self._gone(self._transport)
        self._let_go()

    def _let_go(self) -> None:
        """The parser and this know each other: without one of the two nobody has to look for them."""
        self._transport = GONE
        del self._parser

    def too_late(self) -> None:
        """The deadline has passed."""
        if self._task is not None and self._full is None:
            # The time of the service is the service's own.
            self.deadline = self._loop.time() + self._direct.idle
        elif self._complete or self._refused or self._full is not None or self._queue:
            self._transport.abort()
        else:
            self._refuse(408, "The request did not come in time.")
            self._go_on()

    # -- from the parser

    def on_message_begin(self) -> None:
        self._messages += 1
        self._complete = False
        self._head_size = 0
        self._over = False
        self._target = b""
        self._fields = {}
        self._forwarded = False
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._over:  # a trailer must not pass for a header
            return
        self._head_size += len(name) + len(value) + 4
        key = NAMES.get(name) or lower_case(name)
        if key in _FORWARDED:
            self._forwarded = True
        text = value.decode("latin-1")
        fields = self._fields
        if key in fields:
            text = f"{fields[key]}{'; ' if key == 'cookie' else ', '}{text}"
        fields[key] = text

    def on_headers_complete(self) -> None:
        self._over = True
        self._loose = 0
        if self._refused:
            return
        if self._head_size + len(self._target) > self._direct.max_head:
            self._refuse(431, HEAD_TOO_LARGE.format(limit=self._direct.max_head))
            return
        fields = self._fields
        self._version = self._parser.get_http_version()
        if (refusal := wrong(self._parser.get_method(), self._target, self._version, fields)) is not None:
            self._refuse(*refusal)
            return
        if "upgrade" in fields and self._parser.should_upgrade() and self._messages == 1:
            self._upgrade = not self._first and self._idle()
        if self._upgrade:
            return
        self._head = b""
        if "content-length" not in fields and "transfer-encoding" not in fields:
            return
        path = origin_form(self._target.decode("latin-1")).partition("?")[0]
        self._limit = self._progress = self._direct.site.max_body(path)
        length = fields.get("content-length", "0")
        if int(length) > self._limit:
            self._refuse(413, _TOO_LARGE.format(limit=self._limit))
        else:
            # It is told to go on once what it asked before has been answered.
            self._expects = fields.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        if self._refused or self._upgrade:
            return
        self._loose = 0
        self._body.append(body)
        self._limit -= len(body)
        if self._limit < 0:
            limit = self._direct.site.max_body(origin_form(self._target.decode("latin-1")).partition("?")[0])
            self._refuse(413, _TOO_LARGE.format(limit=limit))
        elif self._progress - self._limit >= PROGRESS:
            self._progress = self._limit
            self.deadline = self._loop.time() + self._direct.slow

    def on_message_complete(self) -> None:
        if self._upgrade:
            return
        self._complete = True
        self._first = False
        self._expects = False
        self._head = b""
        if self._refused or self._close:
            return
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._queue.append((request := self._request(), keep, self._version == "1.0"))
        self._queued += len(request.body)
        if not keep:
            self._close = True

    # -- requests and answers

    def _request(self) -> HttpRequest:
        target = self._target.decode("latin-1")
        path, _, query = (target if target[:1] == "/" else origin_form(target)).partition("?")
        fields = self._fields
        client = self._client
        if client is None or self._forwarded:
            client = self._direct.client_of(self._peer, self._scheme, fields)
            # Without these fields it is the same for every request of the connection.
            self._client = None if self._forwarded else client
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode("ascii") if not self._refused else "GET"
        return HttpRequest(method, path, query, fields, body, *client)

    def _idle(self) -> bool:
        return not self._queue and self._task is None

    def busy(self) -> bool:
        """Whether it is owed an answer, or is in the middle of a request."""
        return not (self._complete and self._idle()) and not self._close

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what is wrong, after what was asked before, and end."""
        self._refused = True
        request = self._request()
        self._body = []
        self._queue.append((self._direct.site.refuse(request, status, sentence), False, False))

    def _give_back(self) -> None:
        head, self._head = self._head, b""
        self._direct.forget(self)
        self._back(head)
        self._let_go()

    def _advance(self) -> None:
        """Answer what can be answered now, in order."""
        while self._queue and self._task is None and self._full is None:
            request, keep, old = self._queue.popleft()
            if isinstance(request, HttpResponse):
                self._respond(request, "GET", False, False)
                self._hang_up()
                break
            self._queued -= len(request.body)
            answer = self._direct.site.answer(request)
            if isinstance(answer, HttpResponse) and answer.file is None:
                keep = keep and (answer.more or not self._direct.ending)
                self._respond(answer, request.method, keep, old)
                if not keep:
                    self._hang_up()
                elif self._out_size > CORK:
                    self._flush()  # which may stop this, until the client has read
                continue
            self._task = self._loop.create_task(self._later(answer, request.method, keep, old))
        if self._idle() and not self._refused:
            if self._complete:
                self.deadline = self._loop.time() + self._direct.idle
            elif self._expects:
                self._expects = False
                self._write(_CONTINUE)
        self._read_or_not()

    async def _later(self, answer: object, method: str, keep: bool, old: bool) -> None:
        cancelled = True
        try:
            response = answer if isinstance(answer, HttpResponse) else await answer  # type: ignore[misc]
            assert isinstance(response, HttpResponse)
            keep = keep and (response.more or not self._direct.ending)
            if response.file is None:
                self._respond(response, method, keep, old)
            else:
                try:
                    keep = await self._send_file(response, response.file, method, keep, old)
                finally:
                    response.file.close()
            cancelled = False
        finally:
            self._task = None
            if cancelled and not self._transport.is_closing():
                self._transport.abort()
        if not keep:
            self._hang_up()
        self._go_on()

    async def _send_file(self, response: HttpResponse, file: FileBody, method: str, keep: bool, old: bool) -> bool:
        self._respond(response, method, keep, old, file.length)
        self._flush()
        if method == "HEAD":
            return keep
        left = file.length
        for chunk in file.chunks():
            if self._transport.is_closing():
                return False
            self._transport.write(chunk)
            left -= len(chunk)
            if self._full is not None:
                await self._full.wait()
            elif left % (4 * CHUNK) < CHUNK:
                await asyncio.sleep(0)  # others have their turn
        # A file that has become shorter than was said can only be told by the end of the connection.
        return keep and not left

    def _respond(self, response: HttpResponse, method: str, keep: bool, old: bool, size: int = -1) -> None:
        head = response_head(response, method, keep, old, size) + self._direct.date() + b"\r\n"
        self._write(head if method == "HEAD" or size >= 0 else head + response.body)

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def _flush(self) -> None:
        out, self._out, self._out_size = self._out, [], 0
        if out and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _hang_up(self) -> None:
        """End the connection behind what was written. A client that still sends is listened to for a moment: closing
        with data unread would reset the connection, and could take the answer with it."""
        self._flush()
        self._close = True
        self._queue.clear()
        transport = self._transport
        if self._refused and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
            self.deadline = self._loop.time() + LINGER
        else:
            transport.close()

    def _read_or_not(self) -> None:
        pause = self._full is not None or len(self._queue) > WAITING or self._queued > HELD
        pause = pause and not self._refused
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
                return
            if not self._complete:  # the time in which it was not read is not its own
                self.deadline = self._loop.time() + self._direct.slow
            self._transport.resume_reading()
