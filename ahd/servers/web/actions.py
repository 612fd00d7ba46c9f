"""Actions over HTTP: a request becomes the call of an action, its reply the envelope of docs/http.md."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ahd.auth.grant import Grant, Refusal
from ahd.config.model import CommonWeb, General
from ahd.core import errors
from ahd.core.connection import Connection
from ahd.core.errors import Code
from ahd.core.message import JsonObject, failed
from ahd.servers.crowd import AddressPaces
from ahd.servers.http import HttpRequest, HttpResponse
from ahd.servers.web.admission import challenge, granted, granted_now
from ahd.servers.web.clients import HttpClient, HttpClients
from ahd.servers.web.cors import METHODS, Cors
from ahd.servers.web.identity import Fingerprints
from ahd.servers.web.parameters import BadRequest, Body, decoded, from_body, from_query
from ahd.servers.web.routes import Routes
from ahd.servers.web.uploads import Uploads

if TYPE_CHECKING:
    from ahd.actions.runner import Runner
    from ahd.auth.door import Door

JSON = "application/json; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
DESCRIPTION = "openapi.json"

_CALLBACK = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")

BAD_CALLBACK = "Error: callback must be the name of a JavaScript function"
BAD_ORIGIN = "Error: pages of this origin may not use this server"
NO_METHOD = "Error: this path is for {methods}"
NO_UPLOAD = "Error: the uploaded files could not be kept"

STATUSES: Mapping[str, Code] = {
    errors.STORE_UNAVAILABLE: Code.STORE_AWAY,
    errors.SHUTTING_DOWN: Code.SHUTTING_DOWN,
    errors.TOO_MANY_PENDING: Code.TOO_MANY,
    errors.TOOK_TOO_LONG: Code.TIMED_OUT,
    errors.NOT_ALLOWED: Code.NOT_ALLOWED,
}
"""What kind of failure a reply is that brings no `code` of its own."""


Observe = Callable[[Connection, str, Any, JsonObject, float], None]
"""Told of every call, as `Verbs.observe` is of every verb: connection, "action", parameters, reply, seconds."""


class ActionService:
    """Answers `{urlPathForActions}/…`; `answer` takes a request and which part of its path is below that.

    `describe` makes the document that is served as openapi.json.
    """

    def __init__(
        self,
        settings: CommonWeb,
        general: General,
        runner: Runner,
        clients: HttpClients,
        cors: Cors,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        describe: Callable[[], bytes] | None = None,
    ) -> None:
        self._runner = runner
        self._clients = clients
        self._cors = cors
        self._encode = encode
        self._decode = decode
        self._describe = describe
        self._fingerprints = Fingerprints(settings.fingerprint_options)
        self._upload_directory = settings.upload_directory
        self._uploads: set[Uploads] = set()
        self._ids = itertools.count(1)
        self._id_prefix = secrets.token_hex(4)
        self.observe: Observe | None = None
        self.paces: AddressPaces | None = None
        """How fast each address may ask."""
        self.door: Door | None = None
        """Who is asked for a token; None: nobody."""
        self.configure(settings, general)

    def configure(self, settings: CommonWeb, general: General) -> None:
        """Take up what may be reloaded."""
        self._description: bytes | None = None
        self._routes = Routes(settings.routes)
        self._error_codes = settings.return_error_codes
        self._server = {"serverName": general.server_name, "apiVersion": general.api_version}
        self._server_error = f"Error: {general.server_error_message}"

    def answer(self, request: HttpRequest, path: str) -> HttpResponse | Awaitable[HttpResponse]:
        """Call an action. `path` is percent-encoded: an action's name, a route's path, or nothing."""
        call = _Call(self, request)
        allowed = self._cors.headers(request)
        if allowed is None:
            return call.refuse(BAD_ORIGIN, 403)
        call.headers += allowed
        if request.method == "OPTIONS":
            return self._cors.options(allowed, self._methods(path))
        if self.paces is not None:
            wait = self.paces.refusal(request.remote_address)
            if wait is not None:
                call.headers.append(("Retry-After", str(wait)))
                return call.refuse(errors.TOO_MANY_MESSAGES, 429)
        if request.method not in METHODS.split(", "):
            call.headers.append(("Allow", METHODS))
            return call.refuse(NO_METHOD.format(methods=METHODS), 405)
        if self.door is None or self.door.authenticator is None:
            return self._answer(call, request, path, allowed)
        try:
            grant = granted_now(self.door, request)
        except Refusal as refusal:
            return call.turn_away(refusal)
        if grant is None:
            return self._later(call, request, path, allowed, self.door)
        call.belong(grant)
        return self._answer(call, request, path, allowed)

    async def _later(
        self, call: _Call, request: HttpRequest, path: str, allowed: list[tuple[str, str]], door: Door
    ) -> HttpResponse:
        """Answer when the keys are there that a token is checked with."""
        try:
            call.belong(await granted(door, request))
        except Refusal as refusal:
            return call.turn_away(refusal)
        answer = self._answer(call, request, path, allowed)
        return answer if isinstance(answer, HttpResponse) else await answer

    def _answer(
        self, call: _Call, request: HttpRequest, path: str, allowed: list[tuple[str, str]]
    ) -> HttpResponse | Awaitable[HttpResponse]:
        if path == DESCRIPTION and self._describe is not None and request.method in ("GET", "HEAD"):
            fields = [("Content-Type", JSON), ("Cache-Control", "no-cache"), *allowed]
            if self._description is None:
                self._description = self._describe()
            return HttpResponse(200, fields, self._description)
        try:
            call.params = query = from_query(request.query)
            call.use_callback(query)
            body = from_body(request, self._decode) if request.body else None
            name, in_path = self._target(request.method, path)
        except BadRequest as bad:
            if bad.allow:
                call.headers.append(("Allow", bad.allow))
            return call.refuse(bad.sentence, bad.status)
        if body is None:
            call.params = {**query, **in_path} if in_path else query
        else:
            call.params = {**query, **body.params, **in_path}
            # JSON alone has types; beside a query its strings may be read as text too.
            call.text = body.text or len(query) > ("action" in query) or bool(in_path)
        if name:
            call.params["action"] = name
        if body is not None and body.files:
            return self._with_uploads(call, body)
        return call.run()

    def _methods(self, path: str) -> str:
        """The methods of a path, as Allow says them."""
        methods: list[str] = []
        if self._routes:
            try:
                methods = self._routes.methods([decoded(part) for part in path.removesuffix("/").split("/")])
            except BadRequest:
                pass
        if not methods or "ALL" in methods or "/" not in path:
            return METHODS
        return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])

    def _target(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """The action's name, "" when the path names none, and the parameters in the path."""
        path = path.removesuffix("/")
        if self._routes:
            names = [decoded(part) for part in path.split("/")]
            found = self._routes.find("GET" if method == "HEAD" else method, names)
            if found is not None:
                return found
            methods = self._routes.methods(names)
            if methods and (len(names) > 1 or not names[0]):
                allow = ", ".join(methods)
                raise BadRequest(NO_METHOD.format(methods=allow), 405, allow)
        return decoded(path), {}

    async def _with_uploads(self, call: _Call, body: Body) -> HttpResponse:
        uploads = Uploads(self._upload_directory, body.files)
        writing = asyncio.ensure_future(asyncio.to_thread(uploads.write))
        try:
            files = await asyncio.shield(writing)
        except OSError:
            await asyncio.to_thread(uploads.remove)
            return call.refuse(NO_UPLOAD, 503)
        except asyncio.CancelledError:
            # A thread cannot be stopped: what it still writes goes when it has done so.
            writing.add_done_callback(partial(_given_up, uploads))
            raise
        body.files.clear()
        call.params = {**call.params, **files}
        self._uploads.add(uploads)
        call.at_end = partial(self._remove, uploads)
        answer = call.run()
        return answer if isinstance(answer, HttpResponse) else await answer

    def _remove(self, uploads: Uploads) -> None:
        """The action has ended, which may be after its answer, and after its client has gone."""
        uploads.remove()
        self._uploads.discard(uploads)

    def close(self) -> None:
        """Remove what actions have that go on in their threads when the server ends. Idempotent."""
        for uploads in list(self._uploads):
            self._remove(uploads)


def _given_up(uploads: Uploads, written: asyncio.Future[dict[str, Any]]) -> None:
    written.exception()  # looked at, so that nobody complains of it
    uploads.remove()


class _Call:
    """One request on its way to an action and back."""

    __slots__ = (
        "_body", "_callback", "_client", "_future", "_grant", "_id", "_identity", "_request", "_service", "_started",
        "at_end", "headers", "params", "text",
    )  # fmt: skip

    def __init__(self, service: ActionService, request: HttpRequest) -> None:
        self._service = service
        self._request = request
        self._started = time.perf_counter()
        self._callback = ""
        self._client: HttpClient | None = None
        self._grant: Grant | None = None
        self._body: HttpResponse | None = None
        self._future: asyncio.Future[JsonObject] | None = None
        self.params: dict[str, Any] = {}
        self.text = True
        self.at_end: Callable[[], None] | None = None
        identity = self._identity = service._fingerprints.identify(request)
        given = request.headers.get("x-request-id")
        if given is None or not _REQUEST_ID.fullmatch(given):
            given = f"{service._id_prefix}-{next(service._ids)}"
        self.headers = [("X-Request-ID", given), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        if identity.cookie is not None:
            self.headers.append(("Set-Cookie", identity.cookie))

    def belong(self, grant: Grant) -> None:
        """Let the call be that of a client with a token."""
        self._grant = grant
        if grant.subject:
            identity = self._identity = self._service._fingerprints.identify(self._request, grant.subject)
            self.headers = [field for field in self.headers if field[0] != "Set-Cookie"]
            if identity.cookie is not None:
                self.headers.append(("Set-Cookie", identity.cookie))

    def turn_away(self, refusal: Refusal) -> HttpResponse:
        """The answer to a client whose token is missing or not good."""
        if refusal.status == 401:
            self.headers.append(("WWW-Authenticate", challenge(refusal)))
        return self.refuse(refusal.sentence, refusal.status)

    def use_callback(self, query: dict[str, Any]) -> None:
        """Answer as a script when the query asks for it. Raises BadRequest."""
        name = query.pop("callback", None)
        if name is None:
            return
        if type(name) is not str or len(name) > 100 or not _CALLBACK.fullmatch(name):
            raise BadRequest(BAD_CALLBACK, 422)
        if not self._service._cors.script_allowed(self._request):
            raise BadRequest(BAD_ORIGIN, 403)
        self._callback = name

    def run(self) -> HttpResponse | Awaitable[HttpResponse]:
        """Call the action; the answer is there at once when the action does not wait."""
        service, identity = self._service, self._identity
        client = service._clients.begin(
            identity.id, self._request.remote_address, identity.lasting, identity.known
        )  # fmt: skip
        self._client = client
        if self._grant is not None:
            self._grant.give(client.connection)
        runner = service._runner
        self.params = {**runner.default_params, **self.params}
        client.connection.params = self.params
        method = self._request.method
        outlives = runner.call(
            client.connection,
            self.params.get("action"),
            self.params,
            self._take,
            self.text,
            "GET" if method == "HEAD" else method,
            self.at_end,
        )
        if self.at_end is not None and not outlives:
            self.at_end()
        if self._body is not None:
            return self._body
        self._future = client.future()
        return self._later(self._future)

    async def _later(self, future: asyncio.Future[JsonObject]) -> HttpResponse:
        reply = await future
        if self._body is None:
            # The client's connection ended before the action did.
            self._take(reply)
        assert self._body is not None
        return self._body

    def _take(self, reply: JsonObject) -> None:
        """The one answer to the call. Raises what encoding raises: then another reply follows."""
        if self._body is not None:
            return
        self._body = self._response(reply, self._status(reply))
        if self._client is not None:
            self._client.end()
        if self._future is not None and not self._future.done():
            self._future.set_result(reply)

    def refuse(self, sentence: str, status: int) -> HttpResponse:
        """An answer without a call."""
        return self._response(failed(sentence), status)

    def _status(self, reply: JsonObject) -> int:
        if "error" not in reply or not self._service._error_codes:
            return 200
        code: Code | None = getattr(reply, "code", None)
        if code is None:
            code = STATUSES.get(reply["error"])
        if code is None:
            code = Code.SERVER_ERROR if reply["error"] == self._service._server_error else Code.BAD_INPUT
        return code.http_status

    def _response(self, reply: JsonObject, status: int) -> HttpResponse:
        service, request = self._service, self._request
        seconds = time.perf_counter() - self._started
        document = {
            **reply,
            "serverInformation": {
                **service._server,
                "requestDuration": round(seconds * 1000, 3),
                "currentTime": int(time.time() * 1000),
            },
            "requestorInformation": {
                "id": self._identity.id,
                "remoteAddress": request.remote_address,
                "receivedParams": self.params,
            },
        }
        document.pop("context", None)
        document.pop("messageCount", None)
        body = service._encode(document)
        headers = self.headers
        if status in (429, 503) and not any(name == "Retry-After" for name, _ in headers):
            headers.append(("Retry-After", "1"))
        if self._client is not None and service.observe is not None:
            service.observe(self._client.connection, "action", self.params, reply, seconds)
        if self._callback:
            # The comment keeps the answer from being taken for something else by old plug-ins.
            script = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
            headers.append(("Content-Type", SCRIPT))
            # A browser does not run a script that came with an error.
            return HttpResponse(200, headers, b"/**/" + self._callback.encode() + b"(" + script + b");")
        headers.append(("Content-Type", JSON))
        return HttpResponse(status, headers, body)
