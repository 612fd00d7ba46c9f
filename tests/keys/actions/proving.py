"""Actions that the proofs call."""

from __future__ import annotations

from typing import Any

from ahd import Context, action
from ahd.actions.upload import Upload


@action(description="Raises an exception")
async def fail() -> dict[str, Any]:
    raise RuntimeError("on purpose")


@action(description="Saves values under k0, k1, … of some bytes each, and tells which are still there")
async def remember(context: Context, count: int, size: int) -> dict[str, Any]:
    for number in range(count):
        await context.cache.save(f"k{number}", "x" * size)
    return {"kept": [number for number in range(count) if await context.cache.load(f"k{number}") is not None]}


@action(description="Tells in which directory an uploaded file is")
async def where(file: Upload) -> dict[str, Any]:
    return {"directory": str(file.path)}
