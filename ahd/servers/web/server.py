"""The web server's services, assembled from the section `commonWeb`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ahd.config import ConfigError, Mistake, where
from ahd.config.mistakes import did_you_mean, dotted
from ahd.config.model import CommonWeb, General
from ahd.config.origins import origin_allowed, parse_origin
from ahd.core.verbs import Verbs
from ahd.servers.http import HttpRequest, HttpResponse
from ahd.servers.web import documents
from ahd.servers.web.actions import ActionService
from ahd.servers.web.clients import ClientLimits, HttpClients
from ahd.servers.web.cors import Cors
from ahd.servers.web.files import METHODS, NOT_FOUND, Files
from ahd.servers.web.site import Mount, Site

if TYPE_CHECKING:
    from ahd.actions.runner import Runner
    from ahd.auth.door import Door

Answered = TypeVar("Answered")

ABOUT = "server.json"
"""The name under which the page of the package finds what it must know of this server."""


class Web:
    """Files, actions and HTTP clients. `page` is the directory that is served when the file names none.

    `describe` makes the OpenAPI document, `door` says who is asked for a token.
    """

    def __init__(
        self,
        settings: CommonWeb,
        general: General,
        verbs: Verbs,
        runner: Runner,
        page: Path,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        describe: Callable[[], bytes] | None = None,
        door: Door | None = None,
    ) -> None:
        patterns = [pattern for text in settings.allowed_origins if (pattern := parse_origin(text)) is not None]

        def allowed(origin: str, host: str | None, scheme: str) -> bool:
            return origin_allowed(origin, patterns, host, scheme)

        cors = Cors(allowed, any(pattern.any for pattern in patterns))
        self.files = Files(
            settings.flat_file_directory or page, settings.directory_file_type, settings.flat_file_cache_duration
        )
        self.clients = HttpClients(verbs, _client_limits(settings), encode, decode)
        self.actions = ActionService(settings, general, runner, self.clients, cors, encode, decode, describe)
        self.actions.door = door
        self._settings = settings
        self._encode = encode
        self._site: Site | None = None

    def site(self, general: General, *others: Mount, resource: str = "") -> Site:
        """Everything that is served over HTTP; `others` are services of other servers, such as Socket.IO's, which is at
        `resource`: the page of the package asks for that."""
        settings = self._settings
        actions, files = f"/{settings.url_path_for_actions}", f"/{settings.url_path_for_files}"
        mounts = [
            Mount(actions, partial(_below, self.actions.answer, len(actions) + 1), settings.max_body_size),
            Mount(files, partial(_below, self.files.answer, len(files) + 1)),
            *others,
        ]
        if settings.root_endpoint_type == "api":
            mounts.append(Mount("", partial(_below, self.actions.answer, 1), settings.max_body_size))
        else:
            mounts.append(Mount("", partial(_below, self.files.answer, 1)))
        if settings.flat_file_directory is None:
            told = partial(_tell, {"resource": resource}, self._encode)
            mounts += [Mount(f"{prefix}/{ABOUT}", told) for prefix in (files, "")]
        self._site = Site(mounts, _headers(settings), general.server_error_message)
        return self._site

    def configure(self, settings: CommonWeb, general: General) -> None:
        """Take up what may be reloaded."""
        self.files.max_age = settings.flat_file_cache_duration
        self.clients.limits = _client_limits(settings)
        self.actions.configure(settings, general)
        if self._site is not None:
            self._site.configure(_headers(settings), general.server_error_message)

    def close(self) -> None:
        """Let the HTTP clients leave their rooms, and remove what they have uploaded. Idempotent."""
        self.clients.close()
        self.actions.close()


def _below(answer: Callable[[HttpRequest, str], Answered], start: int, request: HttpRequest) -> Answered:
    return answer(request, request.path[start:])


def check_routes(settings: CommonWeb, known: Collection[str], source: Path) -> None:
    """Whether every route of the file `source` leads to an action. Raises ConfigError with all that do not."""
    mistakes = []
    for method, routes in settings.routes.items():
        for index, route in enumerate(routes):
            if route["action"] not in known:
                key = ("commonWeb", "routes", method, index, "action")
                reason = f"there is no action {route['action']}{did_you_mean(route['action'], known)}"
                mistakes.append(Mistake(where(source, key, os.environ), dotted(key), reason))
    if mistakes:
        raise ConfigError(mistakes)


def _tell(about: dict[str, str], encode: Callable[[Any], bytes], request: HttpRequest) -> HttpResponse:
    if not request.path.endswith(ABOUT):
        return documents.error(request, 404, NOT_FOUND)
    if request.method not in ("GET", "HEAD"):
        return documents.not_allowed(request, METHODS)
    return HttpResponse(200, [documents.JSON, ("Cache-Control", "no-cache")], encode(about))


def _headers(settings: CommonWeb) -> dict[str, str]:
    return {"X-Powered-By": "ahd", **settings.http_headers}


def _client_limits(settings: CommonWeb) -> ClientLimits:
    ttl = settings.http_client_message_ttl
    return ClientLimits(
        None if ttl is None else ttl / 1000,
        settings.http_client_timeout,
        settings.http_client_messages,
        settings.http_clients,
    )
