"""Actions with parameters of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ahd import Input, Upload, action


@dataclass
class Place:
    x: int
    label: str = ""


@action(description="Adds two numbers", output_example={"sum": 3})
async def add(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b}


@action
async def kinds(
    text: Annotated[str, Input("a | text", min_length=2, max_length=5)],
    choice: Literal["one", "two"] = "one",
    number: Annotated[int, Input(minimum=-3, maximum=3)] | None = None,
    flag: bool = False,
    anything: Any = None,
    names: list[str] | None = None,
    numbers: list[int] = [],  # noqa: B006
    places: list[Place] | None = None,
    place: Place | None = None,
    table: dict[str, int] | None = None,
) -> dict[str, Any]:
    return {"text": text, "numbers": numbers}


@action
async def user(id: int, detail: bool = False) -> dict[str, Any]:
    return {"user": id}


@action
def keep(file: Upload, copies: int = 1) -> dict[str, Any]:
    return {"size": file.size * copies}
