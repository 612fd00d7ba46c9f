"""webSockets.settings and webSockets.options, in Socket.IO 0.9's names and today's, as one plan for today's Socket.IO.

Pure. What 0.9 meant: the settings of its lib/manager.js and its wiki page "Configuring Socket.IO".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .origins import OriginPattern, origin_allowed, parse_origin, parse_patterns

Outcome = Literal["mapped", "approximated", "ignored", "refused"]


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What became of one name that the file uses."""

    name: str
    outcome: Outcome
    sentence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class BrowserClientPlan:
    """How {resource}/socket.io.js is served. `expires`: seconds that versioned names may be kept."""

    enable: bool
    minification: bool
    etag: bool
    gzip: bool
    cache: bool
    expires: int


@dataclass(frozen=True, slots=True)
class SocketIOPlan:
    """What the Socket.IO server does. Times are seconds, sizes are bytes."""

    transports: tuple[str, ...]
    """A part of ("websocket", "polling"), in this order; never empty unless a name was refused."""
    jsonp: bool
    allow_upgrades: bool
    polling_duration: float
    ping_interval: float
    ping_timeout: float
    path: str
    """With a slash at its start and none at its end: "/socket.io"."""
    origins: tuple[OriginPattern, ...]
    """Pages of these origins are allowed besides the server's own; empty: only the server's own."""
    cors_credentials: bool
    max_message_size: int
    http_compression: bool
    compression_threshold: int
    cookie: str | None
    per_message_deflate: bool
    namespaces: tuple[str, ...]
    """Always with "/" first."""
    blacklist: frozenset[str]
    log: bool
    log_level: int
    """0 error, 1 warning, 2 information, 3 debug."""
    log_colors: bool | None
    """None: colours on a terminal."""
    client: BrowserClientPlan
    report: tuple[ReportLine, ...]

    def origin_allowed(self, origin: str | None, host: str | None, scheme: str) -> bool:
        """Whether a request with this Origin header, Host header and scheme is served; see `origins`."""
        return origin_allowed(origin, self.origins, host, scheme)


def make_plan(
    settings: Sequence[str],
    options: Mapping[str, Any],
    *,
    log_level: int,
    allowed_origins: Sequence[str],
    defaults: Mapping[str, Any],
) -> SocketIOPlan:
    """The plan and its report. The values are valid by the schema; `defaults` are the schema's for the options.

    Names that cannot be served are "refused" in the report; the plan is then not to be used.
    """
    given: dict[str, Any] = {**dict.fromkeys(settings, True), **options}

    def value(name: str) -> Any:
        return given.get(name, defaults.get(name))

    def first(*names: str) -> Any:
        return next((given[name] for name in names if name in given), defaults.get(names[0]))

    transports, jsonp = _transports(value("transports"))
    return SocketIOPlan(
        transports=transports,
        jsonp=jsonp,
        allow_upgrades=value("allow_upgrades") and len(transports) == 2,
        polling_duration=float(value("polling duration")),
        ping_interval=float(first("ping_interval", "heartbeat interval")),
        ping_timeout=float(first("ping_timeout", "heartbeat timeout", "close timeout")),
        path="/" + value("resource").strip("/"),
        origins=allowed_patterns(given, allowed_origins),
        cors_credentials=value("cors_credentials"),
        max_message_size=int(first("max_http_buffer_size", "destroy buffer size")),
        http_compression=value("http_compression"),
        compression_threshold=int(value("compression_threshold")),
        cookie=value("cookie"),
        per_message_deflate=value("per_message_deflate"),
        namespaces=tuple(dict.fromkeys(["/", *value("namespaces")])),
        blacklist=frozenset(value("blacklist")),
        log=value("log"),
        log_level=int(given.get("log level", log_level)),
        log_colors=value("log colors"),
        client=BrowserClientPlan(
            enable=value("browser client"),
            minification=value("browser client minification"),
            etag=value("browser client etag"),
            gzip=value("browser client gzip"),
            cache=value("browser client cache"),
            expires=int(value("browser client expires")),
        ),
        report=tuple(line for name in given for line in report_on(name, given)),
    )


_BOTH = ("websocket", "polling")
_WEBSOCKET = {"websocket"}
_POLLING = {"polling", "xhr-polling", "jsonp-polling"}
_GONE = ("htmlfile", "flashsocket")


def _transports(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    chosen = set(names)
    kept = (*(("websocket",) if chosen & _WEBSOCKET else ()), *(("polling",) if chosen & _POLLING else ()))
    return kept, "jsonp-polling" in chosen


def allowed_patterns(given: Mapping[str, Any], allowed_origins: Sequence[str]) -> tuple[OriginPattern, ...]:
    """The origins that the options allow, or commonWeb.allowedOrigins when they say nothing of it."""
    if "cors_allowed_origins" in given:
        return tuple(filter(None, map(parse_origin, _as_list(given["cors_allowed_origins"]))))
    if "origins" in given:
        return tuple(pattern for text in _as_list(given["origins"]) for pattern in parse_patterns(text) or ())
    return tuple(filter(None, map(parse_origin, allowed_origins)))


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def report_on(name: str, given: Mapping[str, Any]) -> list[ReportLine]:
    """What becomes of one given name: usually one line, more for transports that are left out."""
    value = given[name]
    if name in _SUPERSEDED and (newer := next((other for other in _SUPERSEDED[name] if other in given), None)):
        return [ReportLine(name, "ignored", f"{newer} is given, and counts")]
    if name in _IGNORED:
        return [ReportLine(name, "ignored", _IGNORED[name])]
    if name in _REFUSED:
        if value is None or value is False:
            return [ReportLine(name, "ignored", "it is switched off, as always in ahd")]
        return [ReportLine(name, "refused", _REFUSED[name])]
    if name == "transports":
        return _report_transports(value)
    if name == "heartbeats" and value is False:
        return [ReportLine(name, "refused", "Engine.IO 4 needs heartbeats; set heartbeat interval to a longer time")]
    if name == "allow_upgrades" and value and len(_transports(given.get("transports", _BOTH))[0]) < 2:
        return [ReportLine(name, "ignored", "there is one transport only, so there is nothing to upgrade to")]
    if name == "close timeout":
        sentence = f"Engine.IO 4 has one time-out; ping_timeout is {_number(value)} s"
        return [ReportLine(name, "approximated", sentence)]
    explain = _MAPPED[name]
    return [ReportLine(name, "mapped", explain(value))]


def _report_transports(names: Sequence[str]) -> list[ReportLine]:
    kept, jsonp = _transports(names)
    if not kept:
        sentence = f"{' and '.join(dict.fromkeys(names))}: no browser has it today; use websocket or xhr-polling"
        return [ReportLine("transports", "refused", sentence)]
    only = " only, so no upgrade is offered" if len(kept) == 1 else ""
    sentence = f"{' and '.join(kept)}{only}{'; JSONP as well' if jsonp else ''}"
    gone = [name for name in _GONE if name in names]
    lines = [ReportLine("transports", "mapped", sentence)]
    if gone:
        lines.append(ReportLine("transports", "ignored", f"{' and '.join(gone)}: left out, no browser has it today"))
    return lines


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else f"{int(value)}"


def _seconds(what: str) -> Callable[[Any], str]:
    return lambda value: f"{what} is {_number(value)} s"


def _switch(on: str, off: str) -> Callable[[Any], str]:
    return lambda value: on if value else off


def _origins_sentence(value: Any) -> str:
    names = _as_list(value)
    if any(pattern.any for text in names for pattern in parse_patterns(text) or ()):
        return "pages of any origin may connect"
    if not names:
        return "only pages of the server's own origin may connect"
    return f"pages of {', '.join(names)} and of the server's own origin may connect"


_SUPERSEDED = {
    "heartbeat interval": ("ping_interval",),
    "heartbeat timeout": ("ping_timeout",),
    "close timeout": ("ping_timeout", "heartbeat timeout"),
    "destroy buffer size": ("max_http_buffer_size",),
    "origins": ("cors_allowed_origins",),
}
"""Names that another one takes the place of, when that one is given too."""

_IGNORED = {
    "match origin protocol": "browsers choose ws or wss by the page's own address today",
    "flash policy server": "there is no Flash today",
    "flash policy port": "there is no Flash today",
    "destroy upgrade": "an upgrade that is not Socket.IO's is always refused",
    "client store expiration": "the data of a connection goes away with the connection",
}

_REFUSED = {
    "authorization": "it is a function, and cannot be in a file; use a plugin (general.plugins)",
    "logger": "it is an object, and cannot be in a file; use the section log",
    "static": "it is an object, and cannot be in a file; use the section commonWeb",
    "store": "it is an object, and cannot be in a file; use the section redis",
    "browser client handler": "it is a function, and cannot be in a file; use a plugin (general.plugins)",
}

_MAPPED: dict[str, Callable[[Any], str]] = {
    "polling duration": lambda value: f"a poll with nothing to say is held for {_number(value)} s",
    "heartbeat interval": _seconds("ping_interval"),
    "heartbeat timeout": _seconds("ping_timeout"),
    "heartbeats": lambda _: "always so",
    "resource": lambda value: f"Socket.IO is at /{value.strip('/')}/",
    "origins": _origins_sentence,
    "destroy buffer size": lambda value: f"the largest message has {_number(value)} bytes",
    "browser client": _switch("socket.io.js is served", "socket.io.js is not served"),
    "browser client minification": _switch("the minified socket.io.js is served", "socket.io.js is not minified"),
    "browser client etag": _switch("socket.io.js has an ETag", "socket.io.js has no ETag"),
    "browser client gzip": _switch("socket.io.js is compressed", "socket.io.js is not compressed"),
    "browser client cache": _switch("socket.io.js is kept in memory", "socket.io.js is read for every request"),
    "browser client expires": lambda value: f"versioned names of socket.io.js may be kept for {_number(value)} s",
    "blacklist": lambda value: f"events that are not dispatched: {', '.join(value) or 'none'}",
    "log": _switch("Socket.IO logs", "Socket.IO logs nothing"),
    "log level": lambda value: f"Socket.IO logs {('errors', 'warnings', 'information', 'everything')[int(value)]}",
    "log colors": _switch("text logs have colours", "text logs have no colours"),
    "ping_interval": _seconds("ping_interval"),
    "ping_timeout": _seconds("ping_timeout"),
    "max_http_buffer_size": lambda value: f"the largest message has {_number(value)} bytes",
    "cors_allowed_origins": _origins_sentence,
    "cors_credentials": _switch("pages of other origins may send cookies", "pages of other origins send no cookies"),
    "allow_upgrades": _switch("polling clients may upgrade", "polling clients stay with polling"),
    "http_compression": _switch("answers to polls are compressed", "answers to polls are not compressed"),
    "compression_threshold": lambda value: f"answers to polls are compressed from {_number(value)} bytes on",
    "cookie": lambda value: f"the cookie {value} tells the session" if value else "no cookie is sent",
    "per_message_deflate": _switch("WebSocket messages are compressed", "WebSocket messages are not compressed"),
    "namespaces": lambda value: f"clients may connect to {', '.join(dict.fromkeys(['/', *value]))}",
}
