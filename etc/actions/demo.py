"""What actions can do. To offer these: `actions: {modules: [./actions]}` in a configuration file of this directory."""

from __future__ import annotations

import asyncio
import hashlib
from enum import Enum
from typing import Annotated, Any

from ahd import ActionError, Context, Input, action


class Unit(Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


@action(description="Adds two numbers", output_example={"sum": 3})
async def add(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b}


@action(description="Gives back what it is given, of any type", output_example={"payload": "hello"})
async def echo(payload: Any) -> dict[str, Any]:
    return {"payload": payload}


@action(description="Converts a temperature to the other unit", output_example={"degrees": 32, "unit": "F"})
async def convert(degrees: float, unit: Unit = Unit.CELSIUS) -> dict[str, Any]:
    if unit is Unit.CELSIUS:
        return {"degrees": degrees * 9 / 5 + 32, "unit": Unit.FAHRENHEIT.value}
    return {"degrees": (degrees - 32) * 5 / 9, "unit": Unit.CELSIUS.value}


@action(description="Counts about how often it was called, by anybody", output_example={"calls": 7})
async def countCalls(context: Context) -> dict[str, Any]:  # noqa: N802 - clients see the name
    kept = await context.cache.load("demo.calls")
    calls = 1 if kept is None else kept.value + 1
    await context.cache.save("demo.calls", calls)
    return {"calls": calls}


@action(
    description="Rings a bell in a room, in the server's own name, and tells who was there",
    output_example={"members": ["…"]},
)
async def ring(context: Context, room: str, times: Annotated[int, Input(minimum=1, maximum=3)] = 1) -> dict[str, Any]:
    members = await context.rooms.members(room)
    if not members:
        raise ActionError(f"there is nobody in {room}")
    for _ in range(times):
        await context.rooms.say(room, "ding")
        await asyncio.sleep(0.1)
    context.logger.info("rang %d times in %s for %s", times, room, context.id)
    return {"members": members}


@action(
    description="Derives a key from a password; a plain function, so that it computes in a thread",
    output_example={"key": "8f0c…"},
)
def derive(
    password: Annotated[str, Input(min_length=1, max_length=1000)],
    rounds: Annotated[int, Input("more is slower", minimum=1, maximum=1_000_000)] = 100_000,
) -> dict[str, Any]:
    key = hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "replace"), b"demonstration", rounds)
    return {"key": key.hex()}
