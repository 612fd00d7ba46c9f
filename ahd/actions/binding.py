"""From what a client gave to an action's arguments: for each action a function made once, as dataclasses makes its own.

A loop over the parameters, a dictionary of arguments and its unpacking would be a tenth of a message's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ahd.actions.kinds import ANYTHING, Kind, Unfit
from ahd.core.errors import bad_parameter, missing_parameter

Begin = Callable[[Mapping[str, Any], Any], Any]
"""Takes a call's parameters and its Context (None for an action that wants none). Refused: the sentence for the
client."""

_MISSING: Any = object()
_NEVER = type("_Never", (), {})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name for clients and for Python, its kind, and its default where it has one."""

    name: str
    argument: str
    kind: Kind
    required: bool
    default: Any
    description: str


def beginning(
    function: Callable[..., Any], parameters: Sequence[Parameter], context: str | None, *, text: bool, at_once: bool
) -> Begin:
    """What calls `function` with the arguments that parameters make; `at_once` False: what makes a call without
    arguments for later.

    What is not declared is left out. Null stands for a parameter that was not given, unless its annotation admits None.
    `text`: every string was born as text and is read as what the annotation says.
    """
    names: dict[str, Any] = {"function": function, "partial": partial, "missing": _MISSING}
    lines = ["def begin(params, context):"]
    arguments = []
    for number, parameter in enumerate(parameters):
        kind = parameter.kind
        exact = kind.exact if not text or kind.exact is str else None
        names[f"name{number}"] = parameter.name
        names[f"exact{number}"] = _NEVER if exact is None else exact
        names[f"fit{number}"] = _fit(parameter, kind.read_any if text else kind.check)
        doubtful = f"value{number} is missing" if kind is ANYTHING else f"value{number}.__class__ is not exact{number}"
        lines.append(f"    value{number} = params.get(name{number}, missing)")
        lines.append(f"    if {doubtful}: value{number} = fit{number}(value{number})")
        arguments.append(f"{parameter.argument}=value{number}")
    if context is not None:
        arguments.append(f"{context}=context")
    lines.append(f"    return {'function(' if at_once else 'partial(function, '}{', '.join(arguments)})")
    exec("\n".join(lines), names)  # noqa: S102  # of names that Python itself has taken as a signature's
    begin: Begin = names["begin"]
    return begin


def _fit(parameter: Parameter, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What a value becomes that is not of the very type; the default for one that was not given."""

    def fit(value: Any) -> Any:
        if value is _MISSING or (value is None and not parameter.kind.nullable):
            if parameter.required:
                raise missing_parameter(parameter.name)
            return parameter.default
        try:
            return convert(value)
        except Unfit as unfit:
            raise bad_parameter(parameter.name + unfit.path, unfit.reason) from None

    return fit
