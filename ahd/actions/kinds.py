"""What an annotation asks of a value: its check, its reading from text, and its JSON Schema, all from one description.

A value is either JSON's own (it must have the right type: an integer serves as a number, true is no integer) or was
born as text (HTTP's query, TCP's words) and is read as what the annotation says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ahd.actions.upload import Upload

JsonSchema = dict[str, Any]

_INTEGER = re.compile(r"[-+]?[0-9]{1,400}\Z")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,4})?\Z")
_EXACT = 2**53
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Undescribable(Exception):
    """An annotation that no client could be told of; the reason is for whoever wrote it."""


class Unfit(Exception):
    """A value that is not of its kind. `path` leads into it (`[2].price`), `reason` goes on the client's sentence."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value. `noun` completes "must be …"; a value of the very type `exact` needs no check at all.

    `check` takes a JSON value and `read` a text; both return what the action gets or raise Unfit. `nullable`: null is a
    value and not the absence of one. `each` reads a list of texts where a list is wanted.
    """

    schema: JsonSchema
    noun: str
    exact: type | None
    check: Callable[[Any], Any]
    read: Callable[[str], Any]
    nullable: bool = False
    each: Callable[[list[str]], Any] | None = None

    def read_any(self, value: Any) -> Any:
        """What the action gets for a value in which every text was born as one; repeated ones are a list of them."""
        if type(value) is str:
            return self.read(value)
        if self.each is not None and type(value) is list and all(type(member) is str for member in value):
            return self.each(value)
        return self.check(value)


def _unfit(noun: str) -> Unfit:
    return Unfit(f"must be {noun}")


def _same(value: Any) -> Any:
    return value


def _exactly(kind: type, noun: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise _unfit(noun)
        return value

    return check


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # JSON has one kind of number: 1.0 is an integer, as 1e3 is
        return int(value)
    raise _unfit("an integer")


def _number(value: Any) -> int | float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int:
        if -_EXACT <= value <= _EXACT:
            return value
        try:
            return float(value)
        except OverflowError:
            pass
    raise _unfit("a number")


def _read_integer(text: str) -> int:
    if not _INTEGER.match(text):
        raise _unfit("an integer")
    return int(text)


def _read_number(text: str) -> int | float:
    if not _NUMBER.match(text):
        raise _unfit("a number")
    return _number(int(text) if _INTEGER.match(text) else float(text))


def _read_truth(text: str) -> bool:
    value = _TRUTH.get(text.lower())
    if value is None:
        raise _unfit("true or false")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def read_json(text: str, noun: str) -> Any:
    """The JSON value that a text spells."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _unfit(noun) from None


_MOMENT = "an ISO 8601 date and time or epoch milliseconds"
_DAY = "an ISO 8601 date"


def _moment(value: Any) -> datetime:
    try:
        if type(value) is int or type(value) is float:
            return datetime.fromtimestamp(value / 1000, UTC)
        if type(value) is str:
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise _unfit(_MOMENT)


def _read_moment(text: str) -> datetime:
    return _moment(int(text) if _INTEGER.match(text) and len(text) > 8 else text)


def _day(value: Any) -> date:
    try:
        if type(value) is str:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise _unfit(_DAY)


def _nothing(value: Any) -> None:
    if value is not None:
        raise _unfit("null")


def _read_nothing(text: str) -> None:
    if text != "null":
        raise _unfit("null")


def _no_upload(text: str) -> Any:
    raise _unfit("an uploaded file (multipart/form-data)")


ANYTHING = Kind({}, "anything", None, _same, _same, nullable=True)
STRING = Kind({"type": "string"}, "a string", str, _exactly(str, "a string"), _same)
NOTHING = Kind({"type": "null"}, "null", type(None), _nothing, _read_nothing, nullable=True)
UPLOAD = Kind(
    {"type": "string", "format": "binary"},
    "an uploaded file (multipart/form-data)",
    Upload,
    _exactly(Upload, "an uploaded file (multipart/form-data)"),
    _no_upload,
)

SIMPLE: dict[Any, Kind] = {
    Any: ANYTHING,
    object: ANYTHING,
    str: STRING,
    int: Kind({"type": "integer"}, "an integer", int, _integer, _read_integer),
    float: Kind({"type": "number"}, "a number", float, _number, _read_number),
    bool: Kind({"type": "boolean"}, "true or false", bool, _exactly(bool, "true or false"), _read_truth),
    None: NOTHING,
    type(None): NOTHING,
    datetime: Kind(
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]},
        _MOMENT, None, _moment, _read_moment),
    date: Kind({"type": "string", "format": "date"}, _DAY, None, _day, _day),
    Upload: UPLOAD,
}  # fmt: skip
"""The annotations that stand for themselves."""


def list_of(item: Kind) -> Kind:
    """A list. As text: a JSON array, or its items with commas between them; repeated values arrive as a list."""
    noun = "a list"

    def check(value: Any) -> list[Any]:
        return _each(value, item.check)

    def read(text: str) -> list[Any]:
        if text.lstrip()[:1] == "[":
            return check(read_json(text, noun))
        return _each(text.split(",") if text else [], item.read)

    def _each(value: Any, convert: Callable[[Any], Any]) -> list[Any]:
        if type(value) is Upload:  # a form does not say that one file is a list of them
            value = [value]
        if type(value) is not list:
            raise _unfit(noun)
        result = []
        for index, member in enumerate(value):
            try:
                result.append(convert(member))
            except Unfit as unfit:
                raise Unfit(unfit.reason, f"[{index}]{unfit.path}") from None
        return result

    schema: JsonSchema = {"type": "array"}
    if item.schema:
        schema["items"] = item.schema
    exact = list if item is ANYTHING else None
    return Kind(schema, noun, exact, check, read, each=lambda texts: _each(texts, item.read))


def mapping_of(item: Kind) -> Kind:
    """An object with any names and values of one kind. As text: JSON."""
    noun = "an object"

    def check(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _unfit(noun)
        result = {}
        for name, member in value.items():
            try:
                result[name] = item.check(member)
            except Unfit as unfit:
                raise Unfit(unfit.reason, f".{name}{unfit.path}") from None
        return result

    def read(text: str) -> dict[str, Any]:
        return check(read_json(text, noun))

    schema: JsonSchema = {"type": "object"}
    if item.schema:
        schema["additionalProperties"] = item.schema
    return Kind(schema, noun, dict if item is ANYTHING else None, check, read)


def one_of(choices: list[tuple[Any, Any]]) -> Kind:
    """One of a few values, each with what the action gets for it. As text: a value as it is shown."""
    shown = {value if type(value) is str else json.dumps(value): result for value, result in choices}
    by_type = {(type(value), value): result for value, result in choices}
    values = [value for value, _ in choices]
    noun = f"one of {', '.join(shown)}"

    def check(value: Any) -> Any:
        try:
            return by_type[type(value), value]
        except (KeyError, TypeError):
            raise _unfit(noun) from None

    def read(text: str) -> Any:
        try:
            return shown[text]
        except KeyError:
            raise _unfit(noun) from None

    return Kind({"enum": values}, noun, None, check, read, nullable=any(value is None for value in values))


def any_of(members: list[Kind]) -> Kind:
    """A value of any of several kinds, the first that fits. A text is read as a string only when nothing else fits."""
    nouns = list(dict.fromkeys(member.noun for member in members if member is not NOTHING))
    noun = " or ".join(nouns)
    nullable = any(member.nullable for member in members)
    real = [member for member in members if member is not NOTHING]
    reading = sorted(
        members, key=lambda member: member.schema.get("type") == "string" and "format" not in member.schema
    )

    def check(value: Any) -> Any:
        if value is None and nullable:
            return None
        return _first([member.check for member in real], value)

    def read(text: str) -> Any:
        return _first([member.read for member in reading], text)

    def _first(conversions: list[Callable[[Any], Any]], value: Any) -> Any:
        for convert in conversions:
            try:
                return convert(value)
            except Unfit as unfit:
                if unfit.path and len(real) == 1:
                    raise
        raise _unfit(noun)

    exact = real[0].exact if len(real) == 1 else None
    each = real[0].each if len(real) == 1 else None
    return Kind({"anyOf": [member.schema for member in members]}, noun, exact, check, read, nullable, each)


def or_null(schema: JsonSchema) -> JsonSchema:
    """A schema that admits null too."""
    if not schema or schema.get("type") == "null" or {"type": "null"} in schema.get("anyOf", ()):
        return schema
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if None in schema.get("enum", ()) or not ("type" in schema or "enum" in schema or "anyOf" in schema):
        return schema
    facts = {name: value for name, value in schema.items() if name in ("description", "default")}
    rest = {name: value for name, value in schema.items() if name not in facts}
    return {"anyOf": [rest, {"type": "null"}], **facts}


@dataclass(frozen=True, slots=True)
class Field:
    """One name of an object with declared names; `key` is its JSON name, `argument` Python's."""

    key: str
    argument: str
    kind: Kind
    required: bool


def object_of(fields: list[Field], make: Callable[..., Any]) -> Kind:
    """An object with declared names; others are left out. `make` gets them by name; its ValueError is the client's."""
    noun = "an object"

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _unfit(noun)
        found = {}
        for field in fields:
            member = value.get(field.key)
            if member is None and (field.key not in value or not field.kind.nullable):
                if field.required:
                    raise Unfit("is required", f".{field.key}")
                continue
            try:
                found[field.argument] = field.kind.check(member)
            except Unfit as unfit:
                raise Unfit(unfit.reason, f".{field.key}{unfit.path}") from None
        try:
            return make(**found)
        except ValueError as error:
            raise Unfit(f"is not valid: {error}") from None

    def read(text: str) -> Any:
        return check(read_json(text, noun))

    schema = {
        "type": "object",
        "properties": {
            # Null stands for one that is not given.
            field.key: field.kind.schema if field.required else or_null(field.kind.schema)
            for field in fields
        },
        "required": [field.key for field in fields if field.required],
    }
    return Kind(schema, noun, None, check, read)
