"""Socket.IO 0.9's names: all of them are known, and each has its documented outcome."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ahd.config import ConfigError, loads
from ahd.config import schema as schemas
from ahd.config.origins import origin_allowed, parse_origin, parse_patterns

# Name, its default in Socket.IO 0.9, and what becomes of it.
NAMES: list[tuple[str, Any, str]] = [
    ("transports", ["websocket", "htmlfile", "xhr-polling", "jsonp-polling"], "mapped ignored"),
    ("polling duration", 20, "mapped"),
    ("heartbeat interval", 25, "mapped"),
    ("heartbeat timeout", 60, "mapped"),
    ("heartbeats", True, "mapped"),
    ("close timeout", 60, "approximated"),
    ("resource", "/socket.io", "mapped"),
    ("origins", "*:*", "mapped"),
    ("destroy buffer size", 100000000, "mapped"),
    ("browser client", True, "mapped"),
    ("browser client minification", False, "mapped"),
    ("browser client etag", False, "mapped"),
    ("browser client gzip", False, "mapped"),
    ("browser client cache", True, "mapped"),
    ("browser client expires", 315360000, "mapped"),
    ("blacklist", ["disconnect"], "mapped"),
    ("log level", 3, "mapped"),
    ("log", True, "mapped"),
    ("log colors", True, "mapped"),
    ("match origin protocol", False, "ignored"),
    ("flash policy server", True, "ignored"),
    ("flash policy port", 10843, "ignored"),
    ("destroy upgrade", True, "ignored"),
    ("client store expiration", 15, "ignored"),
    ("authorization", "a function", "refused"),
    ("logger", {}, "refused"),
    ("static", {}, "refused"),
    ("store", {}, "refused"),
    ("browser client handler", "a function", "refused"),
]
MODERN = [
    *("ping_interval", "ping_timeout", "max_http_buffer_size", "cors_allowed_origins", "cors_credentials"),
    *("allow_upgrades", "http_compression", "compression_threshold", "cookie", "per_message_deflate", "namespaces"),
]


def options(**given: Any) -> Any:
    return loads(json.dumps({"webSockets": {"settings": [], "options": given}}), {}).socket_io


def test_the_schema_knows_all_names_and_no_others():
    part = schemas.at(schemas.load_schema(), ("webSockets", "options"))
    assert part is not None
    assert len(NAMES) == 29
    assert sorted(part["properties"]) == sorted([*(name for name, _, _ in NAMES), *MODERN])


@pytest.mark.parametrize(("name", "default", "outcome"), NAMES)
def test_each_name_has_its_outcome(name, default, outcome):
    if outcome == "refused":
        with pytest.raises(ConfigError) as caught:
            options(**{name: default})
        [mistake] = caught.value.mistakes
        assert mistake.path == f"webSockets.options.{name}"
        assert re.search(r"use (the section \w+|a plugin)", mistake.reason)
        return
    plan = options(**{name: default})
    assert [line.outcome for line in plan.report] == outcome.split()
    assert all(line.name == name for line in plan.report)


@pytest.mark.parametrize("name", MODERN)
def test_each_modern_name_is_mapped(name):
    part = schemas.at(schemas.load_schema(), ("webSockets", "options", name))
    assert part is not None
    plan = options(**{name: part.get("default", [])})
    assert [(line.name, line.outcome) for line in plan.report] == [(name, "mapped")]


def test_switched_on_by_settings():
    plan = loads("webSockets: {settings: [browser client etag]}", {}).socket_io
    assert plan.client.etag
    assert not plan.client.gzip


def test_warnings_have_their_place():
    config = loads("webSockets:\n  options:\n    close timeout: 7\n", {})
    [note] = config.notes
    assert str(note).startswith("ahd.yaml:3:20: webSockets.options.close timeout: warning: approximated: ")


@pytest.mark.parametrize(
    ("text", "page", "allowed"),
    [
        ("*:*", "https://any.example", True),
        ("*:*", "null", True),
        ("www.example.com:80", "http://www.example.com", True),
        ("www.example.com:80", "HTTP://WWW.EXAMPLE.COM", True),
        ("www.example.com:80", "https://www.example.com", False),
        ("www.example.com:443", "https://www.example.com", True),
        ("www.example.com:8080", "https://www.example.com:8080", True),
        ("www.example.com:8080", "http://www.example.com:8080", True),
        ("www.example.com:8080", "http://www.example.com", False),
        ("www.example.com:*", "https://www.example.com:1234", True),
        ("www.example.com:*", "https://www.example.com.evil.example", False),
        ("www.example.com:*", "https://www.example.com@evil.example", False),
        ("www.example.com:*", "https://evil-www.example.com", False),
        ("*:8080", "http://any.example:8080", True),
        ("*:8080", "http://any.example", False),
        ("*:8080", "null", False),
        ("a.example:1, b.example:2", "http://b.example:2", True),
        ("a.example:1 b.example:2", "http://b.example:1", False),
        ("[::1]:3000", "http://[::1]:3000", True),
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example:443", "https://a.example", True),
    ],
)
def test_patterns(text, page, allowed):
    patterns = parse_patterns(text)
    assert patterns is not None
    assert origin_allowed(page, patterns, "chat.example:8080", "http") is allowed


@pytest.mark.parametrize(
    ("page", "host", "scheme", "allowed"),
    [
        (None, "chat.example", "http", True),
        ("http://chat.example", "chat.example", "http", True),
        ("http://chat.example:80", "chat.example", "http", True),
        ("http://chat.example:8080", "chat.example:8080", "http", True),
        ("http://CHAT.example", "chat.Example", "http", True),
        ("https://chat.example", "chat.example", "https", True),
        ("https://chat.example", "chat.example", "http", True),  # TLS ended at a proxy
        ("http://chat.example", "chat.example", "https", False),
        ("http://chat.example", "chat.example:8080", "http", False),
        ("http://chat.example:8080", "chat.example", "http", False),
        ("http://other.example", "chat.example", "http", False),
        ("http://chat.example.evil.example", "chat.example", "http", False),
        ("http://[::1]:8080", "[::1]:8080", "http", True),
        ("null", "chat.example", "http", False),
        ("", "chat.example", "http", False),
        ("http://", "", "http", False),
        ("http://chat.example", None, "http", False),
        ("http://chat.example/path", "chat.example", "http", False),
        ("http://chat.example:99999", "chat.example:99999", "http", False),
        ("http://chat.example:x", "chat.example", "http", False),
        ("http://[", "[", "http", False),
        ("file://", "chat.example", "http", False),
        ("ftp://chat.example", "chat.example", "http", False),
    ],
)
def test_the_own_origin(page, host, scheme, allowed):
    assert origin_allowed(page, (), host, scheme) is allowed


@pytest.mark.parametrize(
    "text", ["example.com", "a:b", "a:0", "a:65536", ":80", "a b", "", "ftp://a", "https://a/b", "*"]
)
def test_what_is_no_pattern(text):
    assert parse_patterns(text) is None or text == "*"


def test_what_is_no_origin():
    assert parse_origin("https://a.example/b") is None
    assert parse_origin("a.example:80") is None


def test_the_plan_has_the_matcher():
    plan = loads("commonWeb: {allowedOrigins: ['https://a.example']}", {}).socket_io
    assert plan.origin_allowed("https://a.example", "b.example", "http")
    assert not plan.origin_allowed("https://c.example", "b.example", "http")
