"""Actions that the proofs call."""

from __future__ import annotations

import threading
import time
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


_napping: set[int] = set()


@action(description="Blocks its thread for a moment, and tells how many did at the same time")
def nap() -> dict[str, Any]:
    number = threading.get_ident()
    _napping.add(number)
    together = 0
    for _ in range(20):
        time.sleep(0.02)
        together = max(together, len(_napping))
    _napping.discard(number)
    return {"together": together}


@action(description="Tells in which directory an uploaded file is")
async def where(file: Upload) -> dict[str, Any]:
    return {"directory": str(file.path)}
