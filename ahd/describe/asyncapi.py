"""AsyncAPI 3 of the verbs and events over Socket.IO, with a message for every action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahd.actions.action import Action
from ahd.actions.kinds import JsonSchema
from ahd.config.model import Config
from ahd.describe.schemas import params_schema
from ahd.describe.security import SCHEME, scheme
from ahd.describe.verbs import EVENTS, FAREWELLS, VERBS, action_reply, reply

_CHANNEL = "#/channels/socket"


def asyncapi(actions: Mapping[str, Action], config: Config) -> JsonSchema:
    """The document, from the server's point of view: it receives verbs and sends replies and events."""
    general, http = config.general, config.http_server
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}

    def received(name: str, event: str, summary: str, data: JsonSchema, answer: JsonSchema | None) -> None:
        messages[name] = {"name": event, "summary": summary, "payload": data}
        operation: dict[str, Any] = {
            "action": "receive",
            "channel": {"$ref": _CHANNEL},
            "summary": summary,
            "messages": [{"$ref": f"{_CHANNEL}/messages/{name}"}],
        }
        if answer is not None:
            messages[f"{name}Reply"] = {
                "name": "response",
                "summary": f"The reply to {event}, as a response event or as the acknowledgement.",
                "payload": answer,
            }
            operation["reply"] = {
                "channel": {"$ref": _CHANNEL},
                "messages": [{"$ref": f"{_CHANNEL}/messages/{name}Reply"}],
            }
        operations[f"receive{name[0].upper()}{name[1:]}"] = operation

    for name, verb in VERBS.items():
        received(name, name, verb.summary, verb.data, reply(verb.reply))
    for name, summary in FAREWELLS.items():
        received(name, name, summary, {}, None)
    for name, action in sorted(actions.items()):
        params = params_schema(action)
        data = {
            **params,
            "properties": {"action": {"const": name}, **params["properties"]},
            "required": ["action", *params.get("required", ())],
        }
        summary = action.description or f"Call the action {name}."
        received(f"action.{name}", "action", summary, data, action_reply())
        if action.output_example:
            messages[f"action.{name}Reply"]["examples"] = [{"payload": action.output_example}]
    for name, event in EVENTS.items():
        key = f"{name}Event"
        messages[key] = {"name": name, "summary": event.summary, "payload": event.data}
        operations[f"send{name[0].upper()}{name[1:]}"] = {
            "action": "send",
            "channel": {"$ref": _CHANNEL},
            "summary": event.summary,
            "messages": [{"$ref": f"{_CHANNEL}/messages/{key}"}],
        }
    host = f"[{http.bind_ip}]" if ":" in http.bind_ip else http.bind_ip
    document: JsonSchema = {
        "asyncapi": "3.0.0",
        "info": {
            "title": general.server_name,
            "version": general.api_version,
            "description": "Rooms and actions over Socket.IO 5 (Engine.IO 4).",
        },
        "defaultContentType": "application/json",
        "servers": {
            "socket": {
                "host": f"{host}:{http.port}",
                "pathname": f"{config.socket_io.path}/",
                "protocol": "wss" if http.secure else "ws",
                "protocolVersion": "13",
                "description": "Socket.IO: the name of a message is its event, the payload the event's only argument.",
            }
        },
        "channels": {
            "socket": {
                "address": "/",
                "description": "The default namespace.",
                "servers": [{"$ref": "#/servers/socket"}],
                "messages": messages,
            }
        },
        "operations": operations,
    }
    token = scheme(config.auth)
    if token is not None:
        how = "`auth: {token}` of Socket.IO's CONNECT, or the header `Authorization: Bearer TOKEN` of the handshake"
        end = "." if config.auth.required else "; without it a client is anonymous."
        document["components"] = {"securitySchemes": {SCHEME: {**token, "description": f"{how}{end}"}}}
        document["servers"]["socket"]["security"] = [{"$ref": f"#/components/securitySchemes/{SCHEME}"}]
    return document
