"""Redis by URL: redis://, rediss:// (TLS) and unix://."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a URL says; None where it says nothing. `path` is that of a Unix socket, which has no host and port."""

    scheme: str
    host: str | None
    port: int | None
    path: str | None
    db: int | None
    username: str | None
    password: str | None


def parse(url: str) -> RedisUrl:
    """Take a URL apart. ValueError: why it cannot be used, in words that give none of it away."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES or "://" not in url:
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its port must be a number up to 65535, an IPv6 address in brackets") from None
    path, database = (unquote(parts.path), "") if scheme == "unix" else (None, parts.path.strip("/"))
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name != "db":
            raise ValueError("after its ? only db=NUMBER is known; redis.options has the rest")
        database = value
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("its database must be a number")
    if scheme == "unix":
        if not path:
            raise ValueError("names no socket: unix:///run/redis/redis.sock")
    elif not parts.hostname:
        raise ValueError("names no host")
    return RedisUrl(
        scheme,
        parts.hostname if scheme != "unix" else None,
        port,
        path,
        int(database) if database else None,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )
