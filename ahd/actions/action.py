"""The decorator that makes a function an action, and an action as the runner uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar, overload

from ahd.actions.kinds import JsonSchema, Kind, Unfit
from ahd.core.errors import Refused, bad_parameter, missing_parameter

Function = TypeVar("Function", bound=Callable[..., Any])

MODULE_RECORD = "__ahd_actions__"
"""The global of a module under which the actions that it defines are remembered, in their order."""


class ActionError(Refused):
    """Raised by an action to tell its client that the call did not succeed; the client reads exactly this sentence."""


@dataclass(frozen=True, slots=True)
class Input:
    """What an annotation cannot say of a parameter: `Annotated[int, Input("pieces", minimum=1)]`.

    `name` is the parameter's name for clients when it differs from Python's. `minimum` and `maximum` (inclusive) are
    for numbers, `min_length` and `max_length` for strings and lists, `pattern` (a regular expression that is searched
    for) for strings.
    """

    description: str = ""
    name: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """A function with what its decorator was told; not checked yet. `line` is where the decorator stands."""

    function: Callable[..., Any]
    name: str
    description: str
    output_example: Any
    file: str
    line: int


@overload
def action(function: Function, /) -> Function: ...


@overload
def action(
    *, description: str | None = None, name: str | None = None, output_example: Mapping[str, Any] | None = None
) -> Callable[[Function], Function]: ...


def action(
    function: Callable[..., Any] | None = None,
    /,
    *,
    description: str | None = None,
    name: str | None = None,
    output_example: Mapping[str, Any] | None = None,
) -> Any:
    """Make a function an action that clients can call; the function itself stays as it is.

    `description` (default: the first paragraph of the docstring) and `output_example` are told by `actionsView` and the
    API descriptions; `name` is the action's name for clients (default: the function's). Mistakes in the declaration are
    found when the server loads the module, all at once.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        if not isinstance(function, FunctionType):
            raise TypeError(f"@action goes on a function, not on {function!r}")
        text = description
        if text is None:
            text = " ".join((function.__doc__ or "").strip().partition("\n\n")[0].split())
        code = function.__code__
        declaration = Declaration(
            function,
            function.__name__ if name is None else name,
            text,
            {} if output_example is None else output_example,
            code.co_filename,
            code.co_firstlineno,
        )
        function.__ahd_action__ = declaration  # type: ignore[attr-defined]
        function.__globals__.setdefault(MODULE_RECORD, []).append(declaration)
        return function

    return declare if function is None else declare(function)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name for clients and for Python, its kind, and its default where it has one."""

    name: str
    argument: str
    kind: Kind
    required: bool
    default: Any
    description: str


_MISSING: Any = object()
_NEVER = type("_Never", (), {})


class Action:
    """An action that has been described: its interface and the plan by which a call's parameters become arguments.

    `style` says how it runs: "thread" a plain function, "direct" an async one whose code never waits, "task" any
    other. `context` is the argument that receives the Context, or None.
    """

    __slots__ = (
        "_plan",
        "_text_plan",
        "context",
        "description",
        "file",
        "function",
        "line",
        "name",
        "output_example",
        "paged",
        "parameters",
        "style",
    )

    def __init__(
        self, declaration: Declaration, parameters: tuple[Parameter, ...], context: str | None, style: str
    ) -> None:
        self.name = declaration.name
        self.function = declaration.function
        self.description = declaration.description
        self.output_example = declaration.output_example
        self.file = declaration.file
        self.line = declaration.line
        self.parameters = parameters
        self.context = context
        self.style = style
        self.paged = any(parameter.name in ("limit", "offset") for parameter in parameters)
        """Whether it takes a parameter that has a value even if the client gives none."""
        self._plan = [
            (p.name, p.argument, p.kind.exact or _NEVER, p.kind.check, p.kind.nullable, p.required) for p in parameters
        ]
        self._text_plan = [
            (p.name, p.argument, str if p.kind.exact is str else _NEVER, p.kind.read_any, p.kind.nullable, p.required)
            for p in parameters
        ]

    def bind(self, params: Mapping[str, Any], text: bool = False) -> dict[str, Any]:
        """The arguments for a call with these parameters; what is not declared is left out.

        `text`: every string was born as text and is read as what the annotation says. Null stands for a parameter that
        was not given, unless its annotation admits None. Refused: the sentence for the client.
        """
        arguments = {}
        for name, argument, exact, convert, nullable, required in self._text_plan if text else self._plan:
            value = params.get(name, _MISSING)
            if type(value) is exact:
                arguments[argument] = value
            elif value is _MISSING or (value is None and not nullable):
                if required:
                    raise missing_parameter(name)
            else:
                try:
                    arguments[argument] = convert(value)
                except Unfit as unfit:
                    raise bad_parameter(name + unfit.path, unfit.reason) from None
        return arguments

    def view(self) -> dict[str, Any]:
        """What `actionsView` tells of it."""
        return {
            "name": self.name,
            "description": self.description,
            "inputs": {
                "required": [p.name for p in self.parameters if p.required],
                "optional": [p.name for p in self.parameters if not p.required],
            },
            "outputExample": self.output_example,
        }

    def schema(self) -> JsonSchema:
        """The JSON Schema (2020-12) of its parameters as one object."""
        properties = {}
        for parameter in self.parameters:
            part = dict(parameter.kind.schema)
            if parameter.description:
                part["description"] = parameter.description
            default = getattr(parameter.default, "value", parameter.default)  # an Enum's member stands for its value
            if isinstance(default, str | int | float):
                part["default"] = default
            properties[parameter.name] = part
        required = [parameter.name for parameter in self.parameters if parameter.required]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}
