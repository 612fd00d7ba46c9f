"""Actions that succeed, fail and take their time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ahd import action


@action(description="Adds two numbers", output_example={"sum": 3})
async def add(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b}


@action(description="Fails", output_example={})
async def boom() -> dict[str, Any]:
    raise RuntimeError("the secret is 4711")


@action(description="Never ends", output_example={})
async def hang() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


@action(description="Blocks its thread", output_example={"slept": 10})
def block(ms: int) -> dict[str, Any]:
    time.sleep(ms / 1000)
    return {"slept": ms}


@action(description="Answers what JSON cannot say", output_example={})
async def unsayable() -> dict[str, Any]:
    return {"value": object()}
