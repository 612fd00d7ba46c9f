"""The events that the rules of the Socket.IO protocol are tried with, on `/` and on `/custom`."""

from __future__ import annotations

from typing import Any


def install(app: Any) -> None:
    sio = app.sio

    async def connected(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        await sio.save_session(sid, {"auth": auth}, namespace="/custom")

    async def who(sid: str) -> Any:
        """What the client has proved itself with."""
        return (await sio.get_session(sid, namespace="/custom"))["auth"]

    sio.on("connect", connected, namespace="/custom")
    sio.on("auth", who, namespace="/custom")

    def handlers(namespace: str) -> None:
        async def message(sid: str, *args: Any) -> None:
            await sio.emit("message-back", args, to=sid, namespace=namespace)

        async def message_with_ack(sid: str, *args: Any) -> tuple[Any, ...]:
            return args

        async def call_me(sid: str, *args: Any) -> Any:
            """Asks the client and hands its acknowledgement back."""
            return await sio.call("question", args, to=sid, namespace=namespace, timeout=5)

        async def leave(sid: str) -> None:
            await sio.disconnect(sid, namespace=namespace)

        async def room(sid: str, name: str) -> int:
            """A room of the plugin's own: enter, emit to it, leave, emit again."""
            await sio.enter_room(sid, name, namespace=namespace)
            await sio.emit("in-room", 1, room=name, namespace=namespace)
            await sio.leave_room(sid, name, namespace=namespace)
            await sio.emit("in-room", 2, room=name, namespace=namespace)
            return len(sio.rooms(sid, namespace=namespace))

        sio.on("message", message, namespace=namespace)
        sio.on("message-with-ack", message_with_ack, namespace=namespace)
        sio.on("call-me", call_me, namespace=namespace)
        sio.on("leave", leave, namespace=namespace)
        sio.on("room", room, namespace=namespace)

    handlers("/")
    handlers("/custom")
