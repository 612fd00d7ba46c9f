"""From a decorated function to an action: the signature read, annotations turned into kinds, every mistake found."""

from __future__ import annotations

import dataclasses
import dis
import inspect
import json
import re
import types
import typing
from enum import Enum
from typing import Annotated, Any, Literal, Union

from ahd.actions import kinds
from ahd.actions.action import Action, Declaration, Input
from ahd.actions.binding import Parameter
from ahd.actions.context import Context
from ahd.actions.kinds import Field, Kind, Undescribable
from ahd.actions.rules import RULES, Rule, bounded
from ahd.core import verbs

RESERVED_ACTIONS = verbs.NAMES | {
    "authenticate",
    "paramAdd",
    "paramDelete",
    "paramView",
    "paramsView",
    "paramsDelete",
}
"""What a client says to mean something else: the verbs, and TCP's words for its parameters."""

RESERVED_PARAMETERS = frozenset({"action"})
"""Stands for the action's own name in a call."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")
_SUSPENDING = frozenset({"SEND", "GET_AWAITABLE", "GET_AITER", "GET_ANEXT", "BEFORE_ASYNC_WITH", "YIELD_FROM"})
_WRAPPERS = (typing.Required, typing.NotRequired)
_SCALARS = (str, int, float, bool, type(None))


def describe(declaration: Declaration) -> tuple[Action | None, list[str]]:
    """The action that a declaration makes, or None with the reasons why it cannot be one."""
    reasons = list(_name_reasons(declaration))
    function = declaration.function
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        reasons.append("an action cannot yield; let it return one object")
    owner, _, _ = function.__qualname__.rpartition(".")
    if owner and not owner.endswith("<locals>"):
        return None, [*reasons, "a method cannot be an action; use a function of the module"]
    try:
        annotations = _annotations(function)
    except Exception as error:  # an annotation is an expression: it can raise anything
        return None, [*reasons, f"an annotation cannot be read: {error}"]
    parameters: list[Parameter] = []
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        annotation = annotations.get(parameter.name, Any)
        if annotation is Context:
            if context is not None:
                reasons.append(f"only one parameter can receive the Context, not {context} and {parameter.name}")
            context = parameter.name
        try:
            described = None if annotation is Context else _parameter(parameter, annotation)
            _callable_by_name(parameter)
        except Undescribable as problem:
            reasons.append(f"the parameter {parameter.name} {problem}")
            continue
        if described is None:
            continue
        if described.name in {known.name for known in parameters}:
            reasons.append(f"two parameters have the name {described.name}")
        parameters.append(described)
    if reasons:
        return None, reasons
    return Action(declaration, tuple(parameters), context, _style(function)), []


def _name_reasons(declaration: Declaration) -> typing.Iterator[str]:
    name = declaration.name
    if name in RESERVED_ACTIONS:
        yield f"the name {name} is reserved; use another one: @action(name=…)"
    elif not _NAME.match(str(name)):
        yield f"the name {name!r} is not made of 1 to 100 letters, digits, _, . and -, a letter first"
    try:
        json.dumps(declaration.output_example, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield f"output_example is not JSON: {error}"


def _annotations(function: Any) -> dict[str, Any]:
    """The parameters' annotations as types; the one of the result does not matter."""
    plain = inspect.unwrap(function)
    texts = {name: value for name, value in inspect.get_annotations(plain).items() if name != "return"}
    holder = types.SimpleNamespace(__annotations__=texts)
    return typing.get_type_hints(holder, plain.__globals__, include_extras=True)


def _style(function: Any) -> str:
    if not inspect.iscoroutinefunction(function):
        return "thread"
    suspends = any(instruction.opname in _SUSPENDING for instruction in dis.get_instructions(function.__code__))
    return "task" if suspends else "direct"


def _callable_by_name(parameter: inspect.Parameter) -> None:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise Undescribable("is positional only, but clients give parameters by name")
    if parameter.kind is parameter.VAR_POSITIONAL or parameter.kind is parameter.VAR_KEYWORD:
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise Undescribable(f"stands for any number of them ({stars}{parameter.name}); name each parameter")


def _parameter(parameter: inspect.Parameter, annotation: Any) -> Parameter:
    extra = _input(annotation)
    name = extra.name if extra.name is not None else parameter.name
    if name in RESERVED_PARAMETERS:
        raise Undescribable(f"has the reserved name {name}")
    if not name:
        raise Undescribable("has an empty name")
    required = parameter.default is parameter.empty
    return Parameter(
        name,
        parameter.name,
        kind_of(annotation),
        required,
        None if required else parameter.default,
        extra.description,
    )


def _input(annotation: Any) -> Input:
    if typing.get_origin(annotation) is Annotated:
        for extra in reversed(annotation.__metadata__):
            if isinstance(extra, Input):
                return extra
    return Input()


def kind_of(annotation: Any, within: tuple[Any, ...] = ()) -> Kind:
    """The kind of value that an annotation asks for. Undescribable: no client could be told."""
    try:
        simple = kinds.SIMPLE.get(annotation)
    except TypeError:  # an annotation need not be hashable
        simple = None
    if simple is not None:
        return simple
    if annotation in within:
        raise Undescribable("has a type that contains itself")
    inner = (*within, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _annotated(kind_of(arguments[0], inner), annotation.__metadata__)
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return kinds.any_of([kind_of(argument, inner) for argument in arguments])
    if annotation is list or origin is list:
        return kinds.list_of(kind_of(arguments[0], inner) if arguments else kinds.ANYTHING)
    if annotation is dict or origin is dict:
        if arguments and arguments[0] not in (str, Any):
            raise Undescribable("has a dict whose keys are not str")
        return kinds.mapping_of(kind_of(arguments[1], inner) if arguments else kinds.ANYTHING)
    if origin in _WRAPPERS:
        return kind_of(arguments[0], inner)
    if isinstance(annotation, typing.NewType):
        return kind_of(annotation.__supertype__, inner)
    if type(annotation).__name__ == "TypeAliasType":  # `type Name = …` of Python 3.12
        return kind_of(annotation.__value__, inner)
    if isinstance(annotation, type):
        if issubclass(annotation, Enum):
            return _enumeration(annotation)
        if dataclasses.is_dataclass(annotation):
            return _dataclass(annotation, inner)
        if typing.is_typeddict(annotation):
            return _typed_dict(annotation, inner)
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    raise Undescribable(f"has a type that cannot be described to clients: {shown}")


def _literal(values: tuple[Any, ...]) -> Kind:
    plain = [value.value if isinstance(value, Enum) else value for value in values]
    if not all(type(value) in _SCALARS for value in plain):
        raise Undescribable("has a Literal of something else than strings, numbers, True, False and None")
    return kinds.one_of(list(zip(plain, values, strict=True)))


def _enumeration(annotation: type[Enum]) -> Kind:
    members = [(member.value, member) for member in annotation]
    if not members or not all(type(value) in _SCALARS for value, _ in members):
        raise Undescribable(f"has an Enum whose values are not strings or numbers: {annotation.__qualname__}")
    return kinds.one_of(members)


def _dataclass(annotation: type[Any], within: tuple[Any, ...]) -> Kind:
    hints = typing.get_type_hints(annotation, include_extras=True)
    fields = []
    for field in dataclasses.fields(annotation):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            fields.append(_field(field.name, hints[field.name], required, within))
    return kinds.object_of(fields, annotation)


def _typed_dict(annotation: Any, within: tuple[Any, ...]) -> Kind:
    hints = typing.get_type_hints(annotation, include_extras=True)

    def required(name: str, hint: Any) -> bool:
        # __required_keys__ has not seen what stood in an annotation that is text
        marks: dict[Any, bool] = {typing.Required: True, typing.NotRequired: False}
        return marks.get(typing.get_origin(hint), name in annotation.__required_keys__)

    return kinds.object_of([_field(name, hint, required(name, hint), within) for name, hint in hints.items()], dict)


def _field(name: str, hint: Any, required: bool, within: tuple[Any, ...]) -> Field:
    return Field(_input(hint).name or name, name, kind_of(hint, within), required)


def _annotated(kind: Kind, metadata: tuple[Any, ...]) -> Kind:
    extra = next((extra for extra in reversed(metadata) if isinstance(extra, Input)), None)
    if extra is None:
        return kind
    rules: list[Rule] = []
    types_of_kind = _types(kind.schema)
    for value, keyword, wanted in (
        (extra.minimum, "minimum", {"integer", "number"}),
        (extra.maximum, "maximum", {"integer", "number"}),
        (extra.min_length, "min_length", {"string", "array"}),
        (extra.max_length, "max_length", {"string", "array"}),
        (extra.pattern, "pattern", {"string"}),
    ):
        if value is None:
            continue
        if not types_of_kind or not types_of_kind <= wanted:
            raise Undescribable(f"has Input({keyword}=…), which is for {' and '.join(sorted(wanted))} only")
        try:
            rules.append(RULES[keyword](value, "array" in types_of_kind))
        except re.error as error:
            raise Undescribable(f"has a pattern that is not a regular expression: {error}") from None
    return bounded(kind, rules) if rules else kind


def _types(schema: kinds.JsonSchema) -> set[str]:
    """The JSON types that a kind hands on as they are, null apart; empty when it says none."""
    if "format" in schema:
        return {"anything"}
    if "anyOf" in schema:
        return set().union(*(_types(part) or {"anything"} for part in schema["anyOf"] if part != {"type": "null"}))
    return {schema["type"]} if "type" in schema else set()
