"""Where Redis is: one server by host, URL or Unix socket, the master that Sentinels name, or a node of a Cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from ahd.config import redis_url
from ahd.config.model import Redis
from ahd.store.redis.names import Names

TIMEOUT = 1.0
"""Seconds for finding the server, connecting and authenticating."""

Connect = Callable[[], Awaitable[AbstractConnection]]


def connector(config: Redis, names: Names) -> Connect:
    """A function that opens a connection to where Redis is now. It raises OSError, TimeoutError or RedisError."""
    kind, options = connection_options(config)
    if config.options["sentinels"]:
        find = _sentinel(config, options)
    elif config.options["cluster"]:
        find = _cluster(config, kind, options, names)
    else:
        find = None

    async def connect() -> AbstractConnection:
        async with asyncio.timeout(TIMEOUT):
            place = {} if find is None else await find()
            connection = kind(**{**options, **place})
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
            except BaseException as error:
                await connection.disconnect(nowait=True)
                if isinstance(error, AuthenticationError) and "HELLO" in str(error):
                    raise AuthenticationError("it asks for a password: set redis.password") from None
                raise
            return connection

    return connect


def connection_options(config: Redis) -> tuple[type[AbstractConnection], dict[str, Any]]:
    """The class of redis-py's connection and its arguments."""
    options: dict[str, Any] = {"host": config.host, "port": config.port, "db": config.db}
    kind: type[AbstractConnection] = SSLConnection if config.options["tls"] else Connection
    if config.url is not None:
        url = redis_url.parse(config.url.reveal())
        if url.scheme == "unix":
            kind = UnixDomainSocketConnection
            options = {"path": url.path, "db": config.db}
        else:
            kind = SSLConnection if url.scheme == "rediss" else kind
            options |= {"host": url.host, "port": url.port or 6379}
        said = {"db": url.db, "username": url.username, "password": url.password}
        options |= {key: value for key, value in said.items() if value is not None}
    if config.password is not None:
        options["password"] = config.password.reveal()
    if config.options["username"]:
        options["username"] = config.options["username"]
    if kind is SSLConnection:
        options |= _tls(config.options)
    options |= {
        "protocol": 3,
        "client_name": "ahd",
        "socket_timeout": None,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }
    if kind is not UnixDomainSocketConnection:
        options["socket_keepalive"] = True
    return kind, options


def database(config: Redis) -> int:
    """The number of the database, from the URL when it names one."""
    return int(connection_options(config)[1]["db"])


def _tls(options: Any) -> dict[str, Any]:
    names = {"tlsCaFile": "ssl_ca_certs", "tlsCertFile": "ssl_certfile", "tlsKeyFile": "ssl_keyfile"}
    found: dict[str, Any] = {theirs: str(options[ours]) for ours, theirs in names.items() if options.get(ours)}
    verify = options["tlsVerify"]
    # Said always: redis-py has not looked at the name in all its versions.
    return found | {"ssl_cert_reqs": "required" if verify else "none", "ssl_check_hostname": verify}


def _sentinel(config: Redis, options: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    password = config.options["sentinelPassword"]
    sentinel_options: dict[str, Any] = {"socket_timeout": TIMEOUT / 2, "socket_connect_timeout": TIMEOUT / 2}
    if password is not None:
        sentinel_options["password"] = password.reveal()
    tls = {key: value for key, value in options.items() if key.startswith("ssl_")}
    if tls:
        sentinel_options |= tls | {"ssl": True}
    addresses = [_address(text, 26379) for text in config.options["sentinels"]]

    async def find() -> dict[str, Any]:
        # In another order each time: those that do not answer take up the time of this attempt, not of all.
        random.shuffle(addresses)
        sentinel = Sentinel(addresses, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
        try:
            host, port = await sentinel.discover_master(config.options["sentinelService"])
            return {"host": host, "port": port}
        finally:
            for client in sentinel.sentinels:
                await client.aclose()

    return find


def _cluster(
    config: Redis, kind: type[AbstractConnection], options: dict[str, Any], names: Names
) -> Callable[[], Awaitable[dict[str, Any]]]:
    seeds = [(options["host"], options["port"])]
    seeds += [_address(text, 6379) for text in config.options["clusterNodes"]]
    arguments = {
        key: value for key, value in options.items() if key.startswith("ssl_") or key in ("username", "password")
    }

    async def find() -> dict[str, Any]:
        random.shuffle(seeds)
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in seeds],
            ssl=kind is SSLConnection,
            socket_timeout=TIMEOUT / 2,
            socket_connect_timeout=TIMEOUT / 2,
            **arguments,
        )
        try:
            await cluster.initialize()
            node = cluster.get_node_from_key(names.leases.decode())
            if node is None:
                raise ConnectionError("no node of the Cluster serves the slot")
            return {"host": node.host, "port": node.port, "db": 0}
        finally:
            await cluster.aclose()

    return find


def _address(text: str, port: int) -> tuple[str, int]:
    host, colon, digits = text.rpartition(":")
    return (host.strip("[]"), int(digits)) if colon else (text, port)
