"""What a reload would change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ahd.config import loads
from ahd.config import schema as schemas
from ahd.config.reload import Change, changes

SCHEMA = schemas.load_schema()


def test_nothing_changed():
    assert changes(loads("{}", {}), loads("general: {serverName: ahd}", {})) == []


def test_changes_in_the_order_of_the_schema():
    old = loads("httpServer: {port: 1}", {})
    new = loads("log: {level: debug}\nhttpServer: {port: 2}\nwebSockets: {options: {polling duration: 3}}", {})
    assert changes(old, new) == [
        Change("httpServer.port", 1, 2, reloadable=False),
        Change("webSockets.options", {}, {"polling duration": 3}, reloadable=False),
        Change("log.level", "info", "debug", reloadable=True),
    ]


@pytest.mark.parametrize(
    ("section", "key"),
    [(name, key) for name, part in schemas.sections(SCHEMA) for key, _ in schemas.keys(SCHEMA, part)],
)
def test_each_key_is_seen(section, key):
    old = loads("{}", {})
    part = getattr(old, schemas.snake(section))
    other = replace(part, **{schemas.snake(key): object()})
    [change] = changes(old, replace(old, **{schemas.snake(section): other}))
    assert change.path == f"{section}.{key}"
    inner = schemas.at(SCHEMA, (section, key))
    assert inner is not None
    assert change.reloadable is inner["x-reload"]
    assert str(change).startswith(f"{section}.{key}: ")
