"""The verbs and events of the protocol as schemas: what a client says, and what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ahd.core.errors import CLOSING_CODES

JsonSchema = dict[str, Any]

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1, "description": "The count of the verb that this answers."}
_ROOM = {"type": "string", "minLength": 1, "description": "A room's name."}
_MOMENT = {"type": "integer", "description": "Epoch milliseconds."}


def struct(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> JsonSchema:
    """An object with these properties, all but the optional ones required."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


@dataclass(frozen=True)
class Verb:
    """One thing a client says: the schema of its data, and what its reply has beside context, status and count."""

    summary: str
    data: JsonSchema = field(default_factory=lambda: struct({}))
    reply: dict[str, Any] = field(default_factory=dict)


VERBS = {
    "say": Verb(
        "Say a JSON value in the current room.",
        struct({"message": {"not": {"type": "null"}, "description": "Any JSON value but null."}}),
    ),
    "roomView": Verb(
        "Who is in the current room.",
        reply={
            "room": _TEXT,
            "roomStatus": struct(
                {"room": _TEXT, "members": {"type": "array", "items": _TEXT}, "membersCount": {"type": "integer"}}
            ),
        },
    ),
    "roomChange": Verb("Make another room the current one.", struct({"room": _ROOM}), {"room": _TEXT}),
    "listenToRoom": Verb("Hear a room without being in it.", struct({"room": _ROOM}), {"room": _TEXT}),
    "silenceRoom": Verb("Hear a room no more.", struct({"room": _ROOM}), {"room": _TEXT}),
    "detailsView": Verb(
        "What the server knows of this connection.",
        reply={
            "details": struct(
                {
                    "params": {"type": "object"},
                    "public": struct({"id": _TEXT, "connectedAt": _MOMENT}),
                    "room": _TEXT,
                    "totalActions": {"type": "integer"},
                    "pendingActions": {"type": "integer"},
                }
            )
        },
    ),
}

FAREWELLS = {
    "quit": "Be disconnected.",
    "exit": "The same as quit.",
    "close": "The same as quit.",
}

EVENTS = {
    "welcome": Verb(
        "Sent once, when the connection is in its first room.",
        struct({"welcome": _TEXT, "room": _TEXT, "context": {"const": "api"}}),
    ),
    "say": Verb(
        "What somebody said in a room that this client hears, or a goodbye before the server closes.",
        {
            "anyOf": [
                struct(
                    {
                        "message": {"description": "Any JSON value but null."},
                        "room": _TEXT,
                        "from": {"type": ["string", "null"], "description": "The speaker's public id."},
                        "context": {"enum": ["user", "api"]},
                        "sentAt": _MOMENT,
                    }
                ),
                struct(
                    {
                        "bye": {"const": "bye"},
                        "reason": _TEXT,
                        "context": {"const": "api"},
                        "retryAfter": {"type": "integer", "description": "Milliseconds."},
                    }
                ),
            ]
        },
    ),
    "closing": Verb(
        "Why the server is about to close the connection.",
        struct(
            {
                "code": {"enum": sorted(CLOSING_CODES), "description": "A word for programs."},
                "reason": _TEXT,
                "reconnect": {"type": "boolean", "description": "Whether to come back."},
                "retryAfter": {"type": "integer", "description": "Milliseconds after which to come back."},
                "context": {"const": "api"},
            },
            optional=("retryAfter",),
        ),
    ),
}

FAILURE = struct({"context": {"const": "response"}, "error": _TEXT, "messageCount": _COUNT})


def reply(extra: dict[str, Any]) -> JsonSchema:
    """The reply to a verb: what it brings when it was done, or why it was not."""
    done = {"context": {"const": "response"}, "status": {"const": "OK"}, **extra, "messageCount": _COUNT}
    return {"anyOf": [struct(done), FAILURE]}


def action_reply() -> JsonSchema:
    """The reply to an action: its own keys, or why it failed."""
    done = struct({"context": {"const": "response"}, "messageCount": _COUNT})
    return {"anyOf": [{**done, "not": {"required": ["error"]}}, FAILURE]}
