"""A plugin that asks who connects: on `/` it lets nobody in whose claims say so, on `/own` it tells the claims."""

from __future__ import annotations

from typing import Any


def plug(app: Any) -> None:
    sio = app.sio

    @sio.on("connect")  # type: ignore[untyped-decorator,unused-ignore]
    async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> bool:
        return not environ["ahd.claims"].get("banned")

    @sio.on("connect", namespace="/own")  # type: ignore[untyped-decorator,unused-ignore]
    async def connect_own(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        await sio.save_session(sid, dict(environ["ahd.claims"]), namespace="/own")

    @sio.on("who", namespace="/own")  # type: ignore[untyped-decorator,unused-ignore]
    async def who(sid: str) -> Any:
        return await sio.get_session(sid, namespace="/own")
