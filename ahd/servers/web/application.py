"""The Tornado application: a shell around `Site`, and the HTTP server with its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, format_timestamp
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from ahd.servers.http import HttpRequest, HttpResponse, origin_form, phrase
from ahd.servers.web.site import Site

ClientOf = Callable[[str, str, Mapping[str, str]], tuple[str, str]]
"""Peer address, scheme and headers in; the client's own address and scheme out, behind trusted proxies too."""

TOO_LARGE = "The body is too large; the limit is {limit} bytes."
_LARGEST_HEAD = 65536


def direct_client(peer: str, scheme: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Without proxies a client is who it is."""
    return peer, scheme


@stream_request_body
class ServiceHandler(RequestHandler):
    """Hands one request to the site: its body within the mount's limit; a client that goes cancels what it asked."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")

    def initialize(self, site: Site, client_of: ClientOf) -> None:
        self._site = site
        self._client_of = client_of
        self._body = bytearray()
        self._limit = 0
        self._gone = False
        self._task: asyncio.Task[HttpResponse] | None = None

    def set_default_headers(self) -> None:
        # Which library serves is nobody's business, and what an answer carries is the service's to say.
        self._headers = HTTPHeaders({"Date": format_timestamp(time.time())})

    async def prepare(self) -> None:
        self._limit = limit = self._site.mount(origin_form(self.request.uri or "/").partition("?")[0]).max_body
        length = self.request.headers.get("Content-Length", "0")
        if length.isascii() and length.isdigit() and int(length) > limit:
            await self._refuse_body()

    async def data_received(self, chunk: bytes) -> None:
        if self._finished:
            return
        self._body += chunk
        if len(self._body) > self._limit:
            await self._refuse_body()

    async def _refuse_body(self) -> None:
        # What is still to come of the body is not read.
        self._body.clear()
        response = self._site.refuse(self._request(), 413, TOO_LARGE.format(limit=self._limit))
        response.headers.append(("Connection", "close"))
        await self._send(response)

    async def _answer(self, *path: Any) -> None:
        answer = self._site.answer(self._request())
        if isinstance(answer, HttpResponse):
            await self._send(answer)
            return
        self._task = asyncio.ensure_future(answer)
        try:
            response = await self._task
        except asyncio.CancelledError:
            if not self._gone:
                raise
            return
        await self._send(response)

    get = head = post = delete = patch = put = options = _answer

    def on_connection_close(self) -> None:
        self._gone = True
        if self._task is not None:
            self._task.cancel()

    def _request(self) -> HttpRequest:
        request = self.request
        path, _, query = origin_form(request.uri or "/").partition("?")
        headers = {}
        for name in request.headers:
            lower = name.lower()
            headers[lower] = ("; " if lower == "cookie" else ", ").join(request.headers.get_list(name))
        address, scheme = self._client_of(_peer(request), request.protocol, headers)
        return HttpRequest(request.method or "GET", path, query, headers, bytes(self._body), address, scheme)

    async def _send(self, response: HttpResponse) -> None:
        self.set_status(response.status, phrase(response.status))
        length = str(len(response.body) if response.file is None else response.file.length)
        for name, value in response.headers:
            if name.lower() != "content-length":
                self.add_header(name, value)
            elif self.request.method == "HEAD":
                length = value
        if response.status not in (204, 304):
            self.set_header("Content-Length", length)
        if response.file is None:
            await self._finished_with(response.body)
            return
        try:
            if self.request.method != "HEAD":
                for chunk in response.file.chunks():
                    self.write(chunk)
                    await self.flush()
            await self._finished_with(b"")
        except StreamClosedError:
            pass
        finally:
            response.file.close()

    async def _finished_with(self, body: bytes) -> None:
        try:
            await self.finish(body if body and self.request.method != "HEAD" else None)
        except StreamClosedError:
            pass

    def compute_etag(self) -> None:
        """The services say their own."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What Tornado itself refuses, as the site's documents say it."""
        response = self._site.refuse(self._request(), status_code, f"{phrase(status_code)}.")
        if status_code == 405:
            response.headers.append(("Allow", ", ".join(self.SUPPORTED_METHODS)))
        for name, value in response.headers:
            self.set_header(name, value)
        self.finish(response.body)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if not isinstance(value, HTTPError | StreamClosedError):
            super().log_exception(typ, value, tb)


def _peer(request: HTTPServerRequest) -> str:
    address: Any = getattr(request.connection, "context", None)
    address = getattr(address, "address", None)
    return str(address[0]) if isinstance(address, tuple) and address else "unix"


def application(site: Site, client_of: ClientOf = direct_client) -> Application:
    """The application that answers every request from `site`; `Application.add_handlers` puts others before it."""
    handler: tuple[str, type[RequestHandler], dict[str, Any]] = (r".*", ServiceHandler, _arguments(site, client_of))
    return Application([handler], log_function=_unlogged)


def _arguments(site: Site, client_of: ClientOf) -> dict[str, Any]:
    return {"site": site, "client_of": client_of}


def _unlogged(handler: RequestHandler) -> None:
    """Requests are told of by `Site.observe`."""


def http_server(
    application: Application, idle: float, slow: float, max_body: int, max_head: int = _LARGEST_HEAD
) -> HTTPServer:
    """The HTTP server that the front hands connections to.

    `idle` seconds without a request and `slow` seconds for a body end a connection; `max_body` bytes is the largest
    body of any mount, the bound above the mounts' own; `max_head` that of a later request's head.
    """
    return HTTPServer(
        application,
        idle_connection_timeout=idle,
        body_timeout=slow,
        max_header_size=max_head,
        max_body_size=max_body,
        max_buffer_size=max_body + max_head,
    )


__all__ = ["Application", "ClientOf", "ServiceHandler", "application", "direct_client", "http_server"]
