"""How the server is, and the system of which it is a node."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from ahd.actions.action import action
from ahd.actions.context import Context
from ahd.core.message import now_ms


@action(
    name="status",
    description="Tells which server this is, how long it has been up (ms), its figures, and those of all nodes.",
    output_example={
        "id": "5f0c9a3e",
        "uptime": 86400000,
        "stats": {"connections": {"webSocket": 3, "socket": 0}},
        "nodes": [
            {
                "id": "5f0c9a3e",
                "uptime": 86400000,
                "age": 0,
                "configuration": "9b1deb4d3b7d",
                "stats": {"connections": 3},
            }
        ],
        "total": {"says": 3},
    },
)
async def status(context: Context) -> dict[str, Any]:
    services, now = context.services, now_ms()
    total: Counter[str] = Counter()
    nodes = []
    for node in await services.nodes.all():
        total.update(node.figures)
        nodes.append(
            {
                "id": node.id,
                "uptime": max(now - node.started_at, 0),
                "age": max(now - node.seen_at, 0),
                "configuration": node.configuration,
                "stats": node.figures,
            }
        )
    return {
        "id": services.nodes.id,
        "uptime": round((time.monotonic() - services.started_at) * 1000),
        "stats": services.stats(),
        "nodes": nodes,
        "total": dict(total),
    }
