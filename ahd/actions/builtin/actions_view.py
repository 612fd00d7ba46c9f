"""What can be called."""

from __future__ import annotations

from typing import Any

from ahd.actions.action import action
from ahd.actions.context import Context


@action(
    name="actionsView",
    description="Tells every action: its name, description, inputs and an example of its output.",
    output_example={
        "actions": [
            {
                "name": "add",
                "description": "Adds two numbers",
                "inputs": {"required": ["a"], "optional": ["b"]},
                "outputExample": {"sum": 3},
            }
        ]
    },
)
async def actions_view(context: Context) -> dict[str, Any]:
    return {"actions": [known.view() for known in context.services.registry.values()]}
