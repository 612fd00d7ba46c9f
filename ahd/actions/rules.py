"""What an `Input` asks of a value beyond its type: bounds, lengths, a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ahd.actions.kinds import Kind, Unfit


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must hold beyond its type: a test, the reason when it fails, and the JSON Schema keyword."""

    test: Callable[[Any], bool]
    reason: str
    keyword: tuple[str, Any]


def _pattern(value: Any, _: bool) -> Rule:
    pattern = re.compile(value)
    text = pattern.pattern
    return Rule(lambda v: pattern.search(v) is not None, f"must match {text}", ("pattern", text))


RULES: dict[str, Callable[[Any, bool], Rule]] = {
    "minimum": lambda n, _: Rule(lambda v: v >= n, f"must be at least {n}", ("minimum", n)),
    "maximum": lambda n, _: Rule(lambda v: v <= n, f"must be at most {n}", ("maximum", n)),
    "min_length": lambda n, many: Rule(
        lambda v: len(v) >= n,
        f"must have at least {n} {'items' if many else 'characters'}",
        ("minItems" if many else "minLength", n),
    ),
    "max_length": lambda n, many: Rule(
        lambda v: len(v) <= n,
        f"must have at most {n} {'items' if many else 'characters'}",
        ("maxItems" if many else "maxLength", n),
    ),
    "pattern": _pattern,
}
"""The rules of `Input`, by their names there; each is made from its value and from whether the value is a list."""


def bounded(kind: Kind, rules: list[Rule]) -> Kind:
    """A kind whose values must pass further rules, null apart."""

    def limited(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def convert_and_test(value: Any) -> Any:
            result = convert(value)
            if result is not None:
                for rule in rules:
                    if not rule.test(result):
                        raise Unfit(rule.reason)
            return result

        return convert_and_test

    return replace(
        kind,
        schema={**kind.schema, **dict(rule.keyword for rule in rules)},
        exact=None,
        check=limited(kind.check),
        read=limited(kind.read),
        each=None if kind.each is None else limited(kind.each),
    )
