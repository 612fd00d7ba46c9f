"""What is below Socket.IO's resource: polling, the files of the browser client, and a hint for clients of 2012."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from ahd.servers.http import HttpRequest, HttpResponse, HttpService
from ahd.servers.web import documents

BrowserFile = Callable[[str, Mapping[str, str], str], tuple[int, dict[str, str], bytes]]
"""Name, request headers and method in; status, headers and body out."""

_OLD_CLIENT = re.compile(r"[01](/.*)?")
OLD_CLIENT = (
    "This server speaks Socket.IO 5 (Engine.IO 4); your client speaks the protocol of Socket.IO 0.9. Use "
    "socket.io-client 4.x: this server has it at {resource}/socket.io.js, with io.connect and io.EventEmitter as 0.9 "
    "had them."
)


def resource_service(resource: str, polling: HttpService, browser_file: BrowserFile) -> HttpService:
    """The service of all below `resource` ("/socket.io"); `polling` gets what is asked of the resource itself."""
    below = len(resource) + 1
    hint = OLD_CLIENT.format(resource=resource)

    def answer(request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        name = request.path[below:]
        if not name:
            return polling(request)
        if _OLD_CLIENT.fullmatch(name):
            return documents.error(request, 400, hint, [("Access-Control-Allow-Origin", "*")])
        status, headers, body = browser_file(name, request.headers, request.method)
        return HttpResponse(status, list(headers.items()), body)

    return answer
