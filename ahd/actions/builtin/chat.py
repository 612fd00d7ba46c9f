"""Rooms for HTTP clients, who have no connection that stays: each verb is a call, and what is said waits for them."""

from __future__ import annotations

from typing import Any, Literal, Protocol, cast

from ahd.actions.action import ActionError, action
from ahd.actions.context import Context
from ahd.core import errors
from ahd.core.errors import Code
from ahd.core.message import JsonObject

NOT_FOR_YOU = "chat is for HTTP clients; yours says {verb} itself"

CODES = {
    errors.STORE_UNAVAILABLE: Code.STORE_AWAY,
    errors.SHUTTING_DOWN: Code.SHUTTING_DOWN,
    errors.TOO_MANY_PENDING: Code.TOO_MANY,
    errors.TOO_MANY_ROOMS: Code.TOO_MANY,
    errors.NOT_ALLOWED: Code.NOT_ALLOWED,
}
"""What kind of failure a verb's reply is; any other is the client's input."""


class Mailbox(Protocol):
    """The link of an HTTP client. A client becomes a member of rooms with its first `ask` or `messages`."""

    async def ask(self, verb: str, data: JsonObject) -> JsonObject:
        """Say a verb; its reply."""

    def messages(self) -> JsonObject:
        """`{messages, missed}`: what was said since the last call, and how many says were given up."""

    def quit(self) -> bool:
        """Leave the rooms; whether it was in one."""


Method = Literal[
    "say", "messages", "roomView", "roomChange", "listenToRoom", "silenceRoom", "detailsView", "quit"
]  # fmt: skip


@action(
    name="chat",
    description=(
        "Takes part in the chat over HTTP: say, messages, roomView, roomChange, listenToRoom, silenceRoom, detailsView "
        "or quit. The client is known by its cookie."
    ),
    output_example={"room": "defaultRoom", "roomStatus": {"room": "defaultRoom", "members": ["…"], "membersCount": 1}},
)
async def chat(context: Context, method: Method, room: str | None = None, message: Any = None) -> dict[str, Any]:
    if context.kind != "web":
        raise ActionError(NOT_FOR_YOU.format(verb="these verbs" if method == "messages" else method))
    mailbox = cast(Mailbox, context.connection.link)
    if method == "messages":
        return mailbox.messages()
    if method == "quit":
        return {"left": mailbox.quit()}
    data: JsonObject = {}
    if room is not None:
        data["room"] = room
    if message is not None:
        data["message"] = message
    reply = await mailbox.ask(method, data)
    if "error" in reply:
        raise ActionError(reply["error"], CODES.get(reply["error"], Code.BAD_INPUT))
    return {name: value for name, value in reply.items() if name not in ("context", "messageCount")}
