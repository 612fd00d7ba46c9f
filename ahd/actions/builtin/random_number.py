"""A number that tells HTTP's methods apart."""

from __future__ import annotations

import random
from typing import Any

from ahd.actions.action import action
from ahd.actions.context import Context

FACTORS = {"PUT": 10, "POST": 100, "DELETE": 1000}


@action(
    name="randomNumber",
    description="Gives a random number below 1; times 10 for PUT, 100 for POST, 1000 for DELETE.",
    output_example={"randomNumber": 0.123},
)
async def random_number(context: Context) -> dict[str, Any]:
    return {"randomNumber": random.random() * FACTORS.get(context.method, 1)}
