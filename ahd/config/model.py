"""The configuration as frozen dataclasses: one section of the file, one $def of the schema, one class here.

To add a key
 1. schema/ahd.schema.json: an entry in the section's $def with type, description (one sentence that says what the key
    does, with its unit), default and x-reload (true only if the running daemon takes the new value up). A key that may
    be left out has `"type": [..., "null"]` and `"default": null`. Choices are an `enum`; a `pattern` or `format` has
    `x-expects`, the words for "must be …". Paths have `x-path`: "file" and "directory" must exist, "socket" need not.
    A secret is `{"$ref": "#/$defs/secret", "description": …, "default": null, "x-reload": false}`.
 2. Here: a field in the section's class, with the key's name in snake_case and no default (that stands in the schema).
 3. rules.py, if it depends on other keys. Cases in tests/golden. `python -m ahd.config.document --write` writes
    etc/ahd.yaml and docs/configuration.md anew.
To add a section: also a $def, an entry in the schema's `properties`, a class here and a field of Config.
Tests compare the names of schema, classes and documents. The default of a key stands in the schema and nowhere else.

`Path` here is an absolute path: relative ones in the file are relative to the file's directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .legacy import SocketIOPlan
from .mistakes import Note


class Secret(str):
    """A text that is not shown by accident: repr() and format() are masked, str() is the text for who needs it."""

    __slots__ = ()
    MASK = "********"

    def __repr__(self) -> str:
        return f"'{self.MASK}'"

    def __format__(self, spec: str) -> str:
        return format(self.MASK, spec)

    def reveal(self) -> str:
        """The text itself, as a plain str."""
        return "".join(self)


@dataclass(frozen=True, slots=True)
class General:
    api_version: str
    server_name: str
    welcome_message: str
    default_chat_room: str
    default_limit: int
    default_offset: int
    simultaneous_actions: int
    action_timeout: float
    server_error_message: str
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpServer:
    enable: bool
    bind_ip: str
    port: int
    unix_socket: Path | None
    secure: bool
    key_file: Path | None
    cert_file: Path | None
    trusted_proxies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommonWeb:
    """`routes`: method ("all" too) -> routes, each `{path, action}`. `fingerprint_options` has all its keys."""

    url_path_for_actions: str
    url_path_for_files: str
    root_endpoint_type: str
    flat_file_directory: Path | None
    directory_file_type: str
    flat_file_cache_duration: int
    http_headers: Mapping[str, str]
    allowed_origins: tuple[str, ...]
    return_error_codes: bool
    routes: Mapping[str, tuple[Mapping[str, str], ...]]
    fingerprint_options: Mapping[str, Any]
    http_client_message_ttl: int | None
    http_client_timeout: float
    http_client_messages: int
    http_clients: int
    max_body_size: int
    upload_directory: Path | None


@dataclass(frozen=True, slots=True)
class WebSockets:
    """What it amounts to is in Config.socket_io."""

    enable: bool
    log_level: int
    settings: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TcpServer:
    enable: bool
    bind_ip: str
    port: int
    secure: bool
    key_file: Path | None
    cert_file: Path | None
    max_line_length: int
    keep_alive: int


@dataclass(frozen=True, slots=True)
class Redis:
    """`options` has all its keys, in the file's spelling; paths and secrets in it are Path and Secret."""

    enable: bool
    host: str
    port: int
    password: Secret | None
    db: int
    url: Secret | None
    prefix: str
    options: Mapping[str, Any]
    outage: str


@dataclass(frozen=True, slots=True)
class Actions:
    """`modules` are dotted names, or absolute directories (they start with a slash)."""

    modules: tuple[str, ...]
    builtin: tuple[str, ...]
    threads: int
    waiting_calls: int


@dataclass(frozen=True, slots=True)
class Chat:
    announce: bool
    max_room_name_length: int
    max_message_size: int


@dataclass(frozen=True, slots=True)
class Auth:
    """`tokens`, `jwt` and `rules` are in the file's spelling; `jwt` has all its keys, secrets are Secret."""

    required: bool
    timeout: float
    tokens: tuple[Mapping[str, Any], ...]
    jwt: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    send_buffer: int
    slow_consumer: str
    listening_rooms: int
    message_rate: float
    message_burst: int
    refused_messages: int
    request_rate: float
    request_burst: int
    connections: int
    connections_per_address: int
    head_size: int
    head_timeout: float
    body_timeout: float
    idle_timeout: float
    namespace_timeout: float
    upgrade_timeout: float
    waiting_verbs: int
    cache_entries: int
    cache_size: int


@dataclass(frozen=True, slots=True)
class Log:
    level: str
    format: str
    log_requests: bool
    filtered_params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Monitor:
    """`admin_ui` has all its keys, in the file's spelling; the secrets in it are Secret."""

    enable: bool
    bind_ip: str
    port: int
    admin_ui: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shutdown:
    delay: float
    drain: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Config:
    """One file and one environment, whole and valid. Two of them are equal when they mean the same."""

    general: General
    http_server: HttpServer
    common_web: CommonWeb
    web_sockets: WebSockets
    tcp_server: TcpServer
    redis: Redis
    actions: Actions
    chat: Chat
    auth: Auth
    limits: Limits
    log: Log
    monitor: Monitor
    shutdown: Shutdown
    socket_io: SocketIOPlan
    notes: tuple[Note, ...]


SECTIONS: Mapping[str, type] = {
    "general": General,
    "httpServer": HttpServer,
    "commonWeb": CommonWeb,
    "webSockets": WebSockets,
    "tcpServer": TcpServer,
    "redis": Redis,
    "actions": Actions,
    "chat": Chat,
    "auth": Auth,
    "limits": Limits,
    "log": Log,
    "monitor": Monitor,
    "shutdown": Shutdown,
}
"""The class of each section of the file. Its field in Config is the section's name in snake_case."""
