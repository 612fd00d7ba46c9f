"""The JSON Schemas of what actions take, as each transport takes it."""

from __future__ import annotations

from ahd.actions.action import Action
from ahd.actions.binding import Parameter
from ahd.actions.kinds import JsonSchema, or_null
from ahd.actions.upload import Upload


def parameter_schema(parameter: Parameter) -> JsonSchema:
    """One parameter as a JSON value: null stands for one that was not given, so an optional one may be null."""
    schema = _with_facts(parameter, parameter.kind.schema)
    return schema if parameter.required else or_null(schema)


def query_schema(parameter: Parameter) -> JsonSchema:
    """One parameter as text: nothing is null there, and what may be anything is a text."""
    schema = _without_null(parameter.kind.schema) or {"type": "string"}
    return _with_facts(parameter, schema)


def params_schema(action: Action, leave_out: frozenset[str] = frozenset()) -> JsonSchema:
    """All parameters of an action as one JSON object; uploaded files cannot come as JSON."""
    parameters = [p for p in action.parameters if p.name not in leave_out and not is_upload(p)]
    required = [parameter.name for parameter in parameters if parameter.required]
    schema: JsonSchema = {"type": "object", "properties": {p.name: parameter_schema(p) for p in parameters}}
    if required:
        schema["required"] = required
    return schema


def is_upload(parameter: Parameter) -> bool:
    """Whether it takes an uploaded file, or a list of them."""
    schema = parameter.kind.schema
    items = schema.get("items", {})
    return parameter.kind.exact is Upload or "binary" in (schema.get("format"), items.get("format"))


def is_plain(schema: JsonSchema) -> bool:
    """Whether a text can spell it without being JSON: a scalar, or a choice of scalars."""
    if "anyOf" in schema:
        return all(is_plain(member) for member in schema["anyOf"])
    if "enum" in schema:
        return True
    kind = schema.get("type", "object")
    return all(one not in ("object", "array") for one in ([kind] if isinstance(kind, str) else kind))


def _with_facts(parameter: Parameter, schema: JsonSchema) -> JsonSchema:
    schema = dict(schema)
    if parameter.description:
        schema["description"] = parameter.description
    default = getattr(parameter.default, "value", parameter.default)
    if not parameter.required and isinstance(default, str | int | float | bool):
        schema["default"] = default
    return schema


def _without_null(schema: JsonSchema) -> JsonSchema:
    members = schema.get("anyOf")
    if members is None:
        return schema
    left = [member for member in members if member != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**left[0], **rest} if len(left) == 1 else {"anyOf": left, **rest}
