"""An action that takes its time."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from ahd.actions.action import Input, action
from ahd.core.message import now_ms

DAY_MS = 24 * 60 * 60 * 1000


@action(
    name="sleepTest",
    description="Sleeps for as many milliseconds as it is told (1000), then tells how long that was.",
    output_example={"sleepStarted": 1700000000000, "sleepEnded": 1700000001001, "sleepDelta": 1001,
                    "sleepDuration": 1000},
)  # fmt: skip
async def sleep_test(
    duration: Annotated[float, Input("milliseconds", name="sleepDuration", minimum=0, maximum=DAY_MS)] = 1000,
) -> dict[str, Any]:
    started = now_ms()
    await asyncio.sleep(duration / 1000)
    ended = now_ms()
    return {
        "sleepStarted": started,
        "sleepEnded": ended,
        "sleepDelta": ended - started,
        "sleepDuration": duration,
    }
