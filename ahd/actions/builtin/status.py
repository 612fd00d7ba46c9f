"""How the server is."""

from __future__ import annotations

from typing import Any

from ahd.actions.action import action
from ahd.actions.context import Context
from ahd.core.message import now_ms


@action(
    name="status",
    description="Tells which server this is, how long it has been up (ms), and its figures.",
    output_example={"id": "ahd-1", "uptime": 86400000, "stats": {"connections": {"webSocket": 3, "socket": 0}}},
)
async def status(context: Context) -> dict[str, Any]:
    services = context.services
    return {"id": services.node_id, "uptime": now_ms() - services.started_at, "stats": services.stats()}
