"""JSON as servers and store speak it: orjson, and the standard library for the few values that orjson refuses."""

from __future__ import annotations

import json
from typing import Any

import orjson

decode = orjson.loads
"""A value from JSON text (bytes or str). Raises ValueError (orjson.JSONDecodeError is one) for anything else."""


def encode(value: Any) -> bytes:
    """JSON text of a value. Raises TypeError or ValueError when it has none.

    orjson refuses integers over 64 bits and values nested deeper than 254; JSON has no such bounds, so these go
    through the standard library.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return _encode_slowly(value)


def _encode_slowly(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None


class PacketJson:
    """The two functions of the json module that python-socketio's packets call."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return encode(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return decode(text)
