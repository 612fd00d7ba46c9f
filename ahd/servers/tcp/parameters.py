"""The verbs that only lines have: sticky parameters, and the answer to a line that is no request (docs/tcp.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ahd.core.connection import Connection
from ahd.core.errors import Code, Refused
from ahd.core.message import JsonObject, ok
from ahd.core.verbs import Verb, Verbs

from .framing import MALFORMED

REQUIRED = "{key} is required"
NOT_TEXT = "{key} must be a string"
TOO_MANY = "you have too many parameters"


def table(defaults: Callable[[], Mapping[str, Any]], max_size: int) -> dict[str, Verb]:
    """The verbs by name. `defaults()` are the parameters that are always there; all sticky ones of a connection have
    together at most `max_size` characters, names and values."""

    async def param_add(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
        """`{NAME: value, …}`: every later action called by its name has them."""
        if not data:
            raise Refused(REQUIRED.format(key="a parameter"))
        params = {**connection.params, **{name: _text(data, name) for name in data}}
        size = sum(len(name) + len(value) for name, value in params.items() if isinstance(value, str))
        if size > max_size:
            raise Refused(TOO_MANY, Code.TOO_MANY)
        connection.params = params
        return ok()

    async def param_delete(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
        """`{name}`: one that was not there is no error; one that is always there gets its default again."""
        name = _text(data, "name")
        rest = {other: value for other, value in connection.params.items() if other != name}
        always = defaults()
        if name in always:
            rest[name] = always[name]
        connection.params = rest
        return ok()

    async def params_delete(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
        """`{}`: only what is always there stays."""
        connection.params = defaults()
        return ok()

    return {
        "paramAdd": param_add,
        "paramDelete": param_delete,
        "paramView": param_view,
        "paramsView": params_view,
        "paramsDelete": params_delete,
        MALFORMED: malformed,
    }


async def param_view(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{name}`: `params` with this one, empty when it is not there."""
    name = _text(data, "name")
    params = connection.params
    return ok(params={name: params[name]} if name in params else {})


async def params_view(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{}`: all of them."""
    return ok(params=dict(connection.params))


async def malformed(verbs: Verbs, connection: Connection, data: JsonObject) -> JsonObject:
    """`{error}`: refuse with this sentence."""
    raise Refused(data["error"])


def _text(data: JsonObject, key: str) -> str:
    value = data.get(key)
    if value is None:
        raise Refused(REQUIRED.format(key=key))
    if not isinstance(value, str):
        raise Refused(NOT_TEXT.format(key=key))
    return value
