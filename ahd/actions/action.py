"""The decorator that makes a function an action, and an action as the runner uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar, overload

from ahd.actions.binding import Parameter, beginning
from ahd.actions.kinds import JsonSchema
from ahd.core.errors import Refused

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


class Action:
    """An action that has been described: its interface, and how a call of it begins.

    `style` says how it runs: "thread" a plain function, "direct" an async one whose code never waits, "task" any
    other. `context` is the argument that receives the Context, or None.
    """

    __slots__ = (
        "begin",
        "begin_text",
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
        at_once = style == "direct"
        self.begin = beginning(self.function, parameters, context, text=False, at_once=at_once)
        """Takes a call's parameters and its Context; gives the coroutine of a "direct" action, of any other what begins
        it when it is called. Refused: the sentence for the client."""
        self.begin_text = beginning(self.function, parameters, context, text=True, at_once=at_once)
        """As `begin`, for parameters of which every string was born as text."""

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
