"""Actions of these tests."""

from __future__ import annotations

from typing import Any

from ahd import Context, action


@action(name="whoAmI", description="What the caller's token says.")
async def who_am_i(context: Context) -> dict[str, Any]:
    return {"claims": dict(context.claims), "authenticated": context.connection.authenticated}
