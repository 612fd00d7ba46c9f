"""What a signature says: accepted values, their conversion, the exact sentences, and declarations that cannot be."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict, Union

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ahd
from ahd.actions.action import Action, action
from ahd.actions.binding import beginning
from ahd.actions.kinds import Kind, Unfit
from ahd.actions.signature import describe, kind_of
from ahd.core.errors import Refused
from tests.actions.conftest import described


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(Enum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0
    tags: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


class Item(TypedDict):
    name: str
    pieces: NotRequired[int]


UserId = NewType("UserId", int)
Small = Annotated[int, ahd.Input(minimum=1, maximum=9)]
MUST_OBJECT = "must be an object"
MUST_MOMENT = "must be an ISO 8601 date and time or epoch milliseconds"


class Reason(str):
    """What follows the parameter's name in the error."""


R = Reason
MIDDAY = datetime(2024, 5, 6, 12, tzinfo=UTC)

# The older spellings are meant: they must work as the new ones do.
# ruff: noqa: UP007, UP045
VALUES: list[tuple[Any, Any, Any]] = [
    # annotation, JSON value, what the action gets or why it does not
    (str, "x", "x"),
    (str, "", ""),
    (str, 1, R("must be a string")),
    (str, ["x"], R("must be a string")),
    (int, 5, 5),
    (int, 2**70, 2**70),
    (int, True, R("must be an integer")),
    (int, 5.0, 5),
    (int, 5.5, R("must be an integer")),
    (int, "5", R("must be an integer")),
    (float, 5, 5),
    (float, 5.5, 5.5),
    (float, 2**60, float(2**60)),
    (float, 10**400, R("must be a number")),
    (float, False, R("must be a number")),
    (float, "5", R("must be a number")),
    (bool, True, True),
    (bool, 1, R("must be true or false")),
    (bool, "true", R("must be true or false")),
    (Any, None, None),
    (Any, {"a": [1]}, {"a": [1]}),
    (object, 5, 5),
    (None, None, None),
    (None, 1, R("must be null")),
    (list, [1, "x"], [1, "x"]),
    (list, {"0": 1}, R("must be a list")),
    (list[int], [1, 2], [1, 2]),
    (list[int], [], []),
    (list[int], [1, "2"], R("[1] must be an integer")),
    (list[int], "1,2", R("must be a list")),
    (list[list[int]], [[1], [None]], R("[1][0] must be an integer")),
    (list[list[int]], [[1], [2]], [[1], [2]]),
    (dict, {"a": 1}, {"a": 1}),
    (dict, [], R(MUST_OBJECT)),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[str, int], {"a": "1"}, R(".a must be an integer")),
    (dict[str, Any], {"a": None}, {"a": None}),
    (Optional[int], None, None),
    (Optional[int], 5, 5),
    (int | None, "5", R("must be an integer")),
    (int | str, "5", "5"),
    (int | str, 5, 5),
    (int | str, 5.5, R("must be an integer or a string")),
    (Union[list[int], None], [1, "x"], R("[1] must be an integer")),
    (Literal["a", "b"], "a", "a"),
    (Literal["a", "b"], "c", R("must be one of a, b")),
    (Literal["a", "b"], [], R("must be one of a, b")),
    (Literal[1, True], True, True),
    (Literal[1, 2], True, R("must be one of 1, 2")),
    (Literal[1, None], None, None),
    (Color, "red", Color.RED),
    (Color, "RED", R("must be one of red, blue")),
    (Level, 2, Level.HIGH),
    (Level, "2", R("must be one of 1, 2")),
    (Literal[Color.RED], "red", Color.RED),
    (datetime, "2024-05-06T12:00:00Z", MIDDAY),
    (datetime, "2024-05-06T12:00:00", MIDDAY),
    (datetime, "2024-05-06T14:00:00+02:00", datetime(2024, 5, 6, 14, tzinfo=timezone(timedelta(hours=2)))),
    (datetime, 1714996800000, MIDDAY),
    (datetime, "yesterday", R(MUST_MOMENT)),
    (datetime, 10**30, R(MUST_MOMENT)),
    (datetime, True, R(MUST_MOMENT)),
    (date, "2024-05-06", date(2024, 5, 6)),
    (date, "2024-13-06", R("must be an ISO 8601 date")),
    (date, 5, R("must be an ISO 8601 date")),
    (UserId, 5, 5),
    (UserId, "5", R("must be an integer")),
    (Point, {"x": 1}, Point(1)),
    (Point, {"x": 1, "y": 2.5, "tags": ["t"], "other": 1}, Point(1, 2.5, ["t"])),
    (Point, {"x": 1, "y": None}, Point(1)),
    (Point, {"y": 1}, R(".x is required")),
    (Point, {"x": 1, "tags": ["t", 2]}, R(".tags[1] must be a string")),
    (Point, {"x": -1}, R("is not valid: x is negative")),
    (Point, [1], R(MUST_OBJECT)),
    (list[Point], [{"x": 1}, {"x": "1"}], R("[1].x must be a number")),
    (Item, {"name": "n"}, {"name": "n"}),
    (Item, {"name": "n", "pieces": 2, "other": 3}, {"name": "n", "pieces": 2}),
    (Item, {"pieces": 2}, R(".name is required")),
    (Small, 9, 9),
    (Small, 10, R("must be at most 9")),
    (Small, 0, R("must be at least 1")),
    (Small, "5", R("must be an integer")),
    (Optional[Small], None, None),
    (Annotated[int | None, ahd.Input(minimum=1)], None, None),
    (Annotated[int | None, ahd.Input(minimum=1)], 0, R("must be at least 1")),
    (Annotated[str, ahd.Input(min_length=2, max_length=3)], "ab", "ab"),
    (Annotated[str, ahd.Input(min_length=2)], "a", R("must have at least 2 characters")),
    (Annotated[str, ahd.Input(max_length=3)], "abcd", R("must have at most 3 characters")),
    (Annotated[list[int], ahd.Input(max_length=1)], [1, 2], R("must have at most 1 items")),
    (Annotated[str, ahd.Input(pattern="^a+$")], "aa", "aa"),
    (Annotated[str, ahd.Input(pattern="^a+$")], "ab", R("must match ^a+$")),
    (Annotated[int, "a note of somebody else", []], 5, 5),
]

TEXTS: list[tuple[Any, Any, Any]] = [
    # annotation, what came as text, what the action gets or why it does not
    (str, "5", "5"),
    (Any, "5", "5"),
    (int, "5", 5),
    (int, "-007", -7),
    (int, "+5", 5),
    (int, "5.0", R("must be an integer")),
    (int, "", R("must be an integer")),
    (int, " 5", R("must be an integer")),
    (int, "1_000", R("must be an integer")),
    (int, "٥", R("must be an integer")),
    (int, "1" * 5000, R("must be an integer")),
    (int, 5, 5),
    (int, True, R("must be an integer")),
    (float, "2.5", 2.5),
    (float, "3", 3),
    (float, "-1e3", -1000.0),
    (float, ".5", 0.5),
    (float, "1e999", R("must be a number")),
    (float, "nan", R("must be a number")),
    (float, "inf", R("must be a number")),
    (float, "0x10", R("must be a number")),
    (bool, "true", True),
    (bool, "False", False),
    (bool, "1", True),
    (bool, "0", False),
    (bool, "yes", R("must be true or false")),
    (None, "null", None),
    (None, "", R("must be null")),
    (int | None, "5", 5),
    (int | None, "null", None),
    (str | None, "x", "x"),
    (str | int, "5", 5),
    (str | int, "x", "x"),
    (int | bool, "x", R("must be an integer or true or false")),
    (list[int], "1,2", [1, 2]),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], ["1", "2"], [1, 2]),
    (list[int], "5", [5]),
    (list[int], "", []),
    (list[int], "1,x", R("[1] must be an integer")),
    (list[int], '["1"]', R("[0] must be an integer")),
    (list[int], "[1", R("must be a list")),
    (list[int], "[" * 100_000, R("must be a list")),
    (list[str], ["a,b", "c"], ["a,b", "c"]),
    (list, "a,b", ["a", "b"]),
    (list[int] | None, ["1", "2"], [1, 2]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (dict[str, int], '{"a": "1"}', R(".a must be an integer")),
    (dict, "[1]", R(MUST_OBJECT)),
    (dict, "{", R(MUST_OBJECT)),
    (dict, '{"a": NaN}', R(MUST_OBJECT)),
    (Point, '{"x": 1}', Point(1)),
    (Item, '{"name": 5}', R(".name must be a string")),
    (Literal[1, 2, None], "2", 2),
    (Literal[1, 2, None], "null", None),
    (Literal["a", True], "true", True),
    (Literal[1], "x", R("must be one of 1")),
    (Color, "red", Color.RED),
    (Level, "2", Level.HIGH),
    (datetime, "1714996800000", MIDDAY),
    (datetime, "2024-05-06T12:00:00Z", MIDDAY),
    (datetime, "20240506", datetime(2024, 5, 6, tzinfo=UTC)),
    (date, "2024-05-06", date(2024, 5, 6)),
    (Small, "5", 5),
    (Small, "12", R("must be at most 9")),
    (Annotated[list[int], ahd.Input(max_length=1)], ["1", "2"], R("must have at most 1 items")),
]


def bound(made: Action, params: dict[str, Any], text: bool = False) -> dict[str, Any]:
    """The arguments that parameters become."""
    call = beginning(made.function, made.parameters, made.context, text=text, at_once=False)(params, None)
    arguments: dict[str, Any] = call.keywords
    return arguments


def taking(annotation: Any, default: Any = ...) -> Any:
    async def take(value: Any = default) -> dict[str, Any]:
        return {}

    if default is ...:

        async def take(value: Any) -> dict[str, Any]:  # type: ignore[misc]
            return {}

    take.__annotations__["value"] = annotation
    return described(take)


def check(annotation: Any, value: Any, expected: Any, text: bool) -> None:
    made = taking(annotation)
    if isinstance(expected, Reason):
        join = "" if expected[:1] in ".[" else " "
        with pytest.raises(Refused) as refused:
            bound(made, {"value": value, "other": 1}, text)
        assert refused.value.sentence == f"Error: value{join}{expected}"
    else:
        arguments = bound(made, {"value": value, "other": 1}, text)
        assert arguments == {"value": expected}
        assert type(arguments["value"]) is type(expected)


@pytest.mark.parametrize(("annotation", "value", "expected"), VALUES)
def test_json_values(annotation: Any, value: Any, expected: Any) -> None:
    check(annotation, value, expected, False)


@pytest.mark.parametrize(("annotation", "value", "expected"), TEXTS)
def test_texts(annotation: Any, value: Any, expected: Any) -> None:
    check(annotation, value, expected, True)


@pytest.mark.parametrize(("annotation", "value", "expected"), VALUES)
def test_the_schema_agrees_with_the_check(annotation: Any, value: Any, expected: Any) -> None:
    schema = taking(annotation).schema()
    assert schema["type"] == "object"
    assert schema["required"] == ["value"]
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(schema)
    says_more = annotation in (datetime, date) or (annotation is Point) or value == 10**400
    valid = jsonschema.Draft202012Validator(schema).is_valid({"value": value})
    if not says_more:
        assert valid is not isinstance(expected, Reason)


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({"a": 1}, {"a": 1, "b": 5, "c": "c", "d": None}),
        ({"a": 1, "b": None, "c": None}, {"a": 1, "b": 5, "c": None, "d": None}),
        ({"a": 1, "b": 2, "c": "x", "d": 4, "undeclared": 5}, {"a": 1, "b": 2, "c": "x", "d": 4}),
    ],
)
def test_what_is_not_given_is_the_default(params: dict[str, Any], arguments: dict[str, Any]) -> None:
    async def act(a: int, b: int = 5, *, c: str | None = "c", d: int = None) -> dict[str, Any]:  # type: ignore[assignment]  # noqa: RUF013
        return {}

    assert bound(described(act), params) == arguments
    assert bound(described(act), params, True) == arguments


def test_the_first_problem_in_the_order_of_the_signature_is_told() -> None:
    async def act(a: int, b: int) -> None: ...

    for params, sentence in (
        ({}, "Error: a is a required parameter for this action"),
        ({"a": None, "b": 1}, "Error: a is a required parameter for this action"),
        ({"a": 1}, "Error: b is a required parameter for this action"),
        ({"a": "x"}, "Error: a must be an integer"),
    ):
        with pytest.raises(Refused) as refused:
            bound(described(act), params)
        assert refused.value.sentence == sentence


def test_a_parameter_can_have_another_name_for_clients() -> None:
    async def act(
        sleep_duration: Annotated[int, ahd.Input("milliseconds", name="sleepDuration")] = 5,
        name: Annotated[str, ahd.Input("whose")] = "",
    ) -> None:
        """Sleeps.

        More is not told.
        """

    made = described(act, output_example={"a": 1})
    assert bound(made, {"sleepDuration": 7, "sleep_duration": 8}) == {"sleep_duration": 7, "name": ""}
    assert made.view() == {
        "name": "act",
        "description": "Sleeps.",
        "inputs": {"required": [], "optional": ["sleepDuration", "name"]},
        "outputExample": {"a": 1},
    }
    assert made.schema() == {
        "type": "object",
        "properties": {
            "sleepDuration": {"type": "integer", "description": "milliseconds", "default": 5},
            "name": {"type": "string", "description": "whose", "default": ""},
        },
    }


def test_an_enum_as_default_stands_in_the_schema_by_its_value() -> None:
    async def act(color: Color = Color.BLUE) -> None: ...

    assert described(act).schema()["properties"]["color"] == {"enum": ["red", "blue"], "default": "blue"}


def test_the_decorated_function_stays_what_it_is() -> None:
    async def act(a: int) -> dict[str, Any]:
        return {"a": a}

    assert action(act) is act
    assert action(description="x")(act) is act


def test_only_a_function_can_be_decorated() -> None:
    with pytest.raises(TypeError, match="goes on a function"):
        action(description="x")(len)


def test_annotations_may_be_text_and_name_what_comes_later() -> None:
    async def act(where: Later, who: ahd.Context) -> None: ...

    made = described(act)
    assert made.context == "who"
    assert [parameter.name for parameter in made.parameters] == ["where"]
    assert bound(made, {"where": {"x": 1}}) == {"where": Later(1), "who": None}


@dataclasses.dataclass
class Later:
    x: int


# How an action runs


async def _anything() -> Any: ...


def styles() -> list[tuple[Callable[..., Any], str]]:
    async def nothing() -> None: ...

    async def comprehension(a: list[int]) -> dict[str, Any]:
        return {"a": [x + 1 for x in a], "b": {x: x for x in a}}

    async def nested() -> None:
        async def inner() -> None:
            await _anything()

        inner().close()

    async def awaits() -> None:
        await _anything()

    async def awaits_seldom(a: int) -> None:
        if a:
            return await _anything()
        return None

    async def loops() -> None:
        async for _ in await _anything():
            pass

    async def loops_only(a: Any) -> None:
        async for _ in a:
            pass

    async def enters(a: Any) -> None:
        async with a:
            pass

    async def comprehends(a: Any) -> dict[str, Any]:
        return {"a": [x async for x in a]}

    async def comprehends_awaiting(a: Any) -> dict[str, Any]:
        return {"a": [await x for x in a]}

    def plain() -> None: ...

    return [
        (nothing, "direct"),
        (comprehension, "direct"),
        (nested, "direct"),
        (awaits, "task"),
        (awaits_seldom, "task"),
        (loops, "task"),
        (loops_only, "task"),
        (enters, "task"),
        (comprehends, "task"),
        (comprehends_awaiting, "task"),
        (plain, "thread"),
    ]


@pytest.mark.smoke
@pytest.mark.parametrize(("function", "style"), styles(), ids=lambda value: getattr(value, "__name__", value))
def test_what_can_wait_is_seen_in_the_code(function: Any, style: str) -> None:
    assert described(function).style == style


# Declarations that cannot be


class Recursive(TypedDict):
    inner: list[Recursive]


def method_of(function: Any) -> Any:
    function.__qualname__ = "Shop.buy"
    return function


def bad_declarations() -> list[tuple[Any, dict[str, Any], list[str]]]:
    async def positional(a: int, /) -> None: ...

    async def many(*a: int, **b: int) -> None: ...

    async def unknown(a: set[int]) -> None: ...

    async def keys(a: dict[int, str]) -> None: ...

    async def literal(a: Literal[b"x"]) -> None: ...

    async def undefined(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    async def recursive(a: Recursive) -> None: ...

    async def two_contexts(a: ahd.Context, b: ahd.Context) -> None: ...

    async def twice(a: int, b: Annotated[int, ahd.Input(name="a")]) -> None: ...

    async def reserved(action: str) -> None: ...

    async def empty(a: Annotated[int, ahd.Input(name="")]) -> None: ...

    async def bad_rule(a: Annotated[str, ahd.Input(minimum=1)]) -> None: ...

    async def bad_pattern(a: Annotated[str, ahd.Input(pattern="(")]) -> None: ...

    async def bad_bound(a: Annotated[int | str, ahd.Input(maximum=1)]) -> None: ...

    async def fine() -> None: ...

    async def yields() -> Any:
        yield 1

    def generates() -> Any:
        yield 1

    async def buy(self: Any) -> None: ...

    both = ["the parameter a is positional only, but clients give parameters by name"]
    return [
        (positional, {}, both),
        (
            many,
            {},
            [
                "the parameter a stands for any number of them (*a); name each parameter",
                "the parameter b stands for any number of them (**b); name each parameter",
            ],
        ),
        (unknown, {}, ["the parameter a has a type that cannot be described to clients: set[int]"]),
        (keys, {}, ["the parameter a has a dict whose keys are not str"]),
        (
            literal,
            {},
            ["the parameter a has a Literal of something else than strings, numbers, True, False and None"],
        ),
        (undefined, {}, ["an annotation cannot be read: name 'Missing' is not defined"]),
        (recursive, {}, ["the parameter a has a type that contains itself"]),
        (two_contexts, {}, ["only one parameter can receive the Context, not a and b"]),
        (twice, {}, ["two parameters have the name a"]),
        (reserved, {}, ["the parameter action has the reserved name action"]),
        (empty, {}, ["the parameter a has an empty name"]),
        (bad_rule, {}, ["the parameter a has Input(minimum=…), which is for integer and number only"]),
        (
            bad_pattern,
            {},
            [
                "the parameter a has a pattern that is not a regular expression: "
                "missing ), unterminated subpattern at position 0"
            ],
        ),
        (bad_bound, {}, ["the parameter a has Input(maximum=…), which is for integer and number only"]),
        (yields, {}, ["an action cannot yield; let it return one object"]),
        (generates, {}, ["an action cannot yield; let it return one object"]),
        (method_of(buy), {}, ["a method cannot be an action; use a function of the module"]),
        (fine, {"name": "say"}, ["the name say is reserved; use another one: @action(name=…)"]),
        (fine, {"name": "paramAdd"}, ["the name paramAdd is reserved; use another one: @action(name=…)"]),
        (fine, {"name": "a b"}, ["the name 'a b' is not made of 1 to 100 letters, digits, _, . and -, a letter first"]),
        (fine, {"name": ""}, ["the name '' is not made of 1 to 100 letters, digits, _, . and -, a letter first"]),
        (
            fine,
            {"output_example": {"a": {1}}},
            ["output_example is not JSON: Object of type set is not JSON serializable"],
        ),
        (
            positional,
            {"name": "quit"},
            ["the name quit is reserved; use another one: @action(name=…)", *both],
        ),
    ]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("function", "options", "reasons"),
    bad_declarations(),
    ids=lambda value: getattr(value, "__name__", None),
)
def test_declarations_that_cannot_be(function: Any, options: dict[str, Any], reasons: list[str]) -> None:
    made, found = describe(action(**options)(function).__ahd_action__)
    assert made is None
    assert found == reasons


# Whatever comes in

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
ANY_KIND = st.sampled_from([kind_of(annotation) for annotation, _, _ in VALUES])


def taken_or_refused(convert: Callable[[Any], Any], value: Any) -> bool:
    """Whether a conversion that fails does so with a reason; any other exception goes through."""
    try:
        convert(value)
    except Unfit as unfit:
        return unfit.reason.startswith(("must ", "is "))
    return True


@given(ANY_KIND, JSON_VALUES)
def test_any_value_is_taken_or_refused_with_a_reason(kind: Kind, value: Any) -> None:
    assert taken_or_refused(kind.check, value)
    assert taken_or_refused(kind.read_any, value)


@given(ANY_KIND, st.text() | st.from_regex(r"[-+.0-9eE\[\]{}\",:naifty]{0,12}", fullmatch=True))
def test_any_text_is_taken_or_refused_with_a_reason(kind: Kind, text: str) -> None:
    assert taken_or_refused(kind.read, text)


@given(st.integers(-(10**30), 10**30))
def test_every_integer_is_read_as_it_is_written(number: int) -> None:
    assert kind_of(int).read(str(number)) == number
    assert kind_of(list[int]).read(f"{number},{number}") == [number, number]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_it_is_written(number: float) -> None:
    read = kind_of(float).read(repr(number))
    assert read == number
    assert math.isfinite(read)
    assert kind_of(float).check(number) == number


@given(JSON_VALUES.filter(lambda value: type(value) is dict))
def test_every_object_is_read_from_its_json(value: dict[str, Any]) -> None:
    assert kind_of(dict).read(json.dumps(value)) == value


@given(st.text())
def test_a_string_is_never_changed(text: str) -> None:
    assert kind_of(str).read(text) == kind_of(str).check(text) == text
