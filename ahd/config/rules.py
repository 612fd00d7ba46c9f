"""Rules between keys, which a schema cannot say well."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, zip_longest
from typing import Any

from . import auth, redis_url
from . import schema as schemas
from .legacy import allowed_patterns
from .mistakes import Mistake, Note, Path, dotted
from .tree import Node
from .validate import node_at, place_of

Finding = Mistake | Note


class SkipError(Exception):
    """A rule needs a value that is wrong by itself, and has been reported."""


class View:
    """The values of the file with the defaults behind them. Reading one that is wrong raises SkipError."""

    def __init__(
        self, root: Node, wrong: set[Path], values: Mapping[str, dict[str, Any]], schema: schemas.Schema
    ) -> None:
        self.root = root
        self._wrong = wrong
        self._values = values
        self._schema = schema

    def get(self, section: str, key: str) -> Any:
        if any(path[:2] in ((section,), (section, key)) for path in self._wrong):
            raise SkipError
        return self._values[section][key]

    def option(self, name: str) -> Any:
        """The value of a name in webSockets.options."""
        options = self.get("webSockets", "options")
        return options[name] if name in options else schemas.option_defaults(self._schema)[name]

    def default(self, section: str, key: str) -> Any:
        return schemas.defaults(self._schema)[section][key]

    def given(self, *path: str) -> bool:
        """Whether the file or the environment says something there, be it null or not."""
        return node_at(self.root, path) is not None

    def mistake(self, path: Path, reason: str) -> Mistake:
        return Mistake(place_of(self.root, path), dotted(path), reason)

    def note(self, path: Path, reason: str) -> Note:
        return Note(place_of(self.root, path), dotted(path), reason)


Rule = Callable[[View], Iterator[Finding]]


def check(view: View) -> list[Finding]:
    """What all rules find."""
    findings: list[Finding] = []
    for rule in RULES:
        try:
            findings.extend(rule(view))
        except SkipError:
            continue
    return findings


SERVERS = ("httpServer", "tcpServer")
"""The sections of servers with a listening socket of their own."""


def _servers(view: View) -> Iterator[Finding]:
    http, sockets = view.get("httpServer", "enable"), view.get("webSockets", "enable")
    if sockets and not http:
        path = ("webSockets", "enable") if view.given("webSockets", "enable") else ("httpServer", "enable")
        yield view.mistake(path, "webSockets.enable needs httpServer.enable: set both to true, or both to false")
    elif not any(view.get(server, "enable") for server in SERVERS):
        names = " or ".join(f"{server}.enable" for server in SERVERS)
        yield view.mistake(("httpServer", "enable"), f"nothing would listen: no server is enabled; set {names}")


def _tls(section: str, key: str) -> Rule:
    def rule(view: View) -> Iterator[Finding]:
        secure, value = view.get(section, "secure"), view.get(section, key)
        if secure and value is None:
            path = (section, key) if view.given(section, key) else (section, "secure")
            yield view.mistake(path, f"{section}.secure needs {section}.{key}")
        elif value is not None and not secure:
            yield view.note((section, key), f"it is not used as long as {section}.secure is false")

    return rule


def _unix_socket(view: View) -> Iterator[Finding]:
    if view.get("httpServer", "unixSocket") is None:
        return
    for key in ("bindIP", "port"):
        if view.get("httpServer", key) != view.default("httpServer", key):
            yield view.mistake(("httpServer", key), "it cannot be given together with httpServer.unixSocket")


def _shutdown_times(view: View) -> Iterator[Finding]:
    needed = view.get("shutdown", "delay") + view.get("shutdown", "drain")
    timeout = view.get("shutdown", "timeout")
    if timeout < needed:
        key = next((key for key in ("timeout", "drain", "delay") if view.given("shutdown", key)), "timeout")
        reason = f"shutdown.timeout ({timeout:g}) must be at least shutdown.delay + shutdown.drain ({needed:g})"
        yield view.mistake(("shutdown", key), reason)


def _default_room(view: View) -> Iterator[Finding]:
    room, longest = view.get("general", "defaultChatRoom"), view.get("chat", "maxRoomNameLength")
    path = ("general", "defaultChatRoom")
    if len(room) > longest:
        if not view.given(*path):
            path = ("chat", "maxRoomNameLength")
        yield view.mistake(path, f"the default room {room} is longer than chat.maxRoomNameLength ({longest})")
    elif any(ord(character) < 32 or 127 <= ord(character) < 160 for character in room):
        yield view.mistake(path, "a room's name must not have control characters")


def _url_paths(view: View) -> Iterator[Finding]:
    keys: tuple[tuple[str, ...], ...] = (
        ("commonWeb", "urlPathForActions"),
        ("commonWeb", "urlPathForFiles"),
        ("webSockets", "options", "resource"),
    )
    resource = view.option("resource").strip("/")
    paths = {key: view.get("commonWeb", key[1]) for key in keys[:2]} | {keys[2]: resource}
    for pair in combinations(keys, 2):
        # The later key is the mistake, unless only the earlier one is written.
        other, key = pair if view.given(*pair[1]) or not view.given(*pair[0]) else reversed(pair)
        if f"{paths[key]}/".startswith(f"{paths[other]}/") or f"{paths[other]}/".startswith(f"{paths[key]}/"):
            reason = f"/{paths[key]} and {dotted(other)} (/{paths[other]}) must not contain each other"
            yield view.mistake(key, reason)


def _routes(view: View) -> Iterator[Finding]:
    for method, routes in view.get("commonWeb", "routes").items():
        earlier: list[str] = []
        for index, route in enumerate(routes):
            at: Path = ("commonWeb", "routes", method, index, "path")
            names = re.findall(r":(\w+)", route["path"])
            if len(names) != len(set(names)):
                yield view.mistake(at, "a parameter is named twice")
            hidden = next((path for path in earlier if _covers(path, route["path"])), None)
            if hidden is not None:
                yield view.mistake(at, f"is never reached: {hidden} comes before it and matches all of its paths")
            earlier.append(route["path"])


def _covers(first: str, second: str) -> bool:
    """Whether a route's path matches every path that another matches."""
    pairs = list(zip_longest(first.split("/"), second.split("/")))
    return all(a is not None and b is not None and (a == b or a.startswith(":")) for a, b in pairs)


def _origins(view: View) -> Iterator[Finding]:
    options, allowed = view.get("webSockets", "options"), view.get("commonWeb", "allowedOrigins")
    for name in ("cors_allowed_origins", "origins"):
        if name in options and allowed and view.get("webSockets", "enable"):
            reason = f"Socket.IO does not use it: webSockets.options.{name} is given, and counts there"
            yield view.note(("commonWeb", "allowedOrigins"), reason)
            break
    if options.get("cors_credentials") and any(pattern.any for pattern in allowed_patterns(options, allowed)):
        reason = "pages of any origin may act with the cookies of their visitors; name the origins instead"
        yield view.note(("webSockets", "options", "cors_credentials"), reason)


def _redis_place(view: View) -> Iterator[Finding]:
    text, options = view.get("redis", "url"), view.get("redis", "options")
    url, usual = None, view.default("redis", "options")
    if text is not None:
        try:
            url = redis_url.parse(str(text))
        except ValueError as error:
            yield view.mistake(("redis", "url"), str(error))
            return
        for key in ("host", "port"):
            if view.get("redis", key) != view.default("redis", key):
                yield view.mistake(("redis", key), "it cannot be given together with redis.url")
        if url.db is not None and view.get("redis", "DB") not in (view.default("redis", "DB"), url.db):
            yield view.mistake(("redis", "DB"), "redis.url names another database")
    unix = url is not None and url.scheme == "unix"
    if options["sentinels"] and options["cluster"]:
        yield view.mistake(("redis", "options", "sentinels"), "a Cluster has no Sentinels: leave one of the two out")
    for name, title in (("sentinels", "what Sentinels name"), ("cluster", "a Cluster")):
        if options[name] and unix:
            yield view.mistake(("redis", "url"), f"{title} cannot be reached by a Unix socket")
    if options["cluster"] and (view.get("redis", "DB") or (url is not None and url.db)):
        key = "DB" if view.get("redis", "DB") else "url"
        yield view.mistake(("redis", key), "a Cluster has no database but 0")
    for key in ("sentinels", "clusterNodes"):
        for index, address in enumerate(options[key]):
            port = re.search(r":([0-9]+)$", address)
            if port and not 0 < int(port[1]) < 65536:
                yield view.mistake(("redis", "options", key, index), f"{port[1]} is no port: 1 to 65535")
    if options["clusterNodes"] and not options["cluster"]:
        yield view.note(("redis", "options", "clusterNodes"), "it is not used as long as cluster is false")
    for key in ("sentinelService", "sentinelPassword"):
        if options[key] != usual[key] and not options["sentinels"]:
            yield view.note(("redis", "options", key), "it is not used without sentinels")


def _redis_tls(view: View) -> Iterator[Finding]:
    url, options = view.get("redis", "url"), view.get("redis", "options")
    usual = view.default("redis", "options")
    scheme = "" if url is None else str(url).partition("://")[0].lower()
    if options["tls"] and scheme == "unix":
        yield view.mistake(("redis", "options", "tls"), "there is no TLS by a Unix socket")
    elif not options["tls"] and scheme != "rediss":
        for key in ("tlsCaFile", "tlsCertFile", "tlsKeyFile", "tlsVerify"):
            if options[key] != usual[key]:
                yield view.note(("redis", "options", key), "it is not used without tls or a url of rediss://")
    if (options["tlsCertFile"] is None) != (options["tlsKeyFile"] is None):
        key = "tlsCertFile" if options["tlsCertFile"] is not None else "tlsKeyFile"
        yield view.mistake(("redis", "options", key), "tlsCertFile and tlsKeyFile belong together")


SHORTEST_PASSWORD = 8


def _admin_ui(view: View) -> Iterator[Finding]:
    found = view.get("monitor", "adminUI")
    at = ("monitor", "adminUI")
    if not found["enable"]:
        return
    for section in ("monitor", "webSockets"):
        if not view.get(section, "enable"):
            yield view.mistake((*at, "enable"), f"monitor.adminUI.enable needs {section}.enable")
    for key in ("username", "password"):
        if found[key] is None:
            path = (*at, key) if view.given(*at, key) else (*at, "enable")
            yield view.mistake(path, f"monitor.adminUI.enable needs monitor.adminUI.{key}")
    if found["password"] and len(found["password"]) < SHORTEST_PASSWORD:
        yield view.mistake((*at, "password"), f"must have at least {SHORTEST_PASSWORD} characters")


RULES: tuple[Rule, ...] = (
    _servers,
    _tls("httpServer", "keyFile"),
    _tls("httpServer", "certFile"),
    _tls("tcpServer", "keyFile"),
    _tls("tcpServer", "certFile"),
    _unix_socket,
    _shutdown_times,
    _default_room,
    _url_paths,
    _routes,
    _origins,
    _redis_place,
    _redis_tls,
    _admin_ui,
    *auth.RULES,
)
