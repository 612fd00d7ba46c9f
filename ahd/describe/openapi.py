"""OpenAPI 3.1 of the actions over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahd.actions.action import Action
from ahd.actions.binding import Parameter
from ahd.actions.kinds import JsonSchema
from ahd.config.model import Auth, CommonWeb, General
from ahd.describe.schemas import is_plain, is_upload, params_schema, query_schema
from ahd.describe.security import SCHEME, required, scheme

METHODS = ("get", "post", "put", "patch", "delete")
WITH_BODY = ("post", "put", "patch")

_FIELD_NAME = r"^[ !#-\[\]-~]+$"
"""What the name of a form's field can be without escapes that programs disagree about."""

_SERVER = {
    "type": "object",
    "required": ["serverName", "apiVersion", "requestDuration", "currentTime"],
    "properties": {
        "serverName": {"type": "string"},
        "apiVersion": {"type": "string"},
        "requestDuration": {"type": "number", "description": "Milliseconds the request took."},
        "currentTime": {"type": "integer", "description": "Epoch milliseconds."},
    },
}
_REQUESTOR = {
    "type": "object",
    "required": ["id", "remoteAddress", "receivedParams"],
    "properties": {
        "id": {"type": "string", "description": "The client's public id."},
        "remoteAddress": {"type": "string"},
        "receivedParams": {"type": "object"},
    },
}
_ERRORS = {
    "400": ("Malformed", "The request cannot be read."),
    "403": ("NotAllowed", "The client, or a page of this origin, may not do this."),
    "404": ("UnknownAction", "There is no such action."),
    "413": ("TooLarge", "The body is larger than the server takes."),
    "415": ("UnknownType", "The body is of a type the server does not understand."),
    "422": ("BadInput", "A parameter is missing or is not what the action takes."),
    "429": ("TooMany", "The client has too many requests under way, or sends too many."),
    "500": ("ServerError", "The action failed."),
    "503": ("Unavailable", "The server is shutting down, or its store is away."),
    "504": ("TookTooLong", "The action took too long."),
}


def openapi(actions: Mapping[str, Action], settings: CommonWeb, general: General, auth: Auth) -> JsonSchema:
    """The document. Every action has its path and every method calls it; routes have theirs."""
    base = f"/{settings.url_path_for_actions}"
    paths: dict[str, Any] = {}
    for name, action in sorted(actions.items()):
        paths[f"{base}/{name}"] = {method: _operation(action, method, name, []) for method in _methods(action)}
    for route_method, routes in settings.routes.items():
        for route in routes:
            action_or_none = actions.get(route["action"])
            if action_or_none is not None:
                _add_route(paths, base, route["path"], route_method, action_or_none)
    paths[f"{base}/openapi.json"] = {
        "get": {
            "operationId": "openapi",
            "summary": "This document.",
            "responses": {
                "200": {"description": "OpenAPI.", "content": {"application/json": {"schema": {"type": "object"}}}}
            },
        }
    }
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": general.server_name,
            "version": general.api_version,
            "description": "Actions over HTTP. Parameters come in the query, as a form, or as a JSON object.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                "Answer": {
                    "type": "object",
                    "required": ["serverInformation", "requestorInformation"],
                    "properties": {"serverInformation": _SERVER, "requestorInformation": _REQUESTOR},
                },
                "Failure": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string", "description": "What is wrong, for people."}},
                },
            },
            "responses": {
                name: {
                    "description": sentence,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
                }
                for name, sentence in _ERRORS.values()
            },
        },
    }
    token = scheme(auth)
    if token is not None:
        _add_token(document, token, required(auth))
    return document


def _add_token(document: JsonSchema, token: JsonSchema, needed: list[dict[str, Any]]) -> None:
    """Say that clients show a token, and how they are answered when it is not good."""
    document["security"] = needed
    document["components"]["securitySchemes"] = {SCHEME: token}
    document["components"]["responses"]["NotKnown"] = {
        "description": "The token is missing or not valid.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer, and what is wrong."}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"]["401"] = {"$ref": "#/components/responses/NotKnown"}


def _add_route(paths: dict[str, Any], base: str, path: str, method: str, action: Action) -> None:
    parts = path.strip("/").split("/")
    names = [part[1:] for part in parts if part.startswith(":")]
    written = "/".join(f"{{{part[1:]}}}" if part.startswith(":") else part for part in parts)
    item = paths.setdefault(f"{base}/{written}", {})
    for one in _methods(action):
        if method in (one, "all"):
            item.setdefault(one, _operation(action, one, written, names))
    if not item:
        del paths[f"{base}/{written}"]


def _methods(action: Action) -> tuple[str, ...]:
    """The methods with which a call can succeed: a file needs a body."""
    needs_file = any(parameter.required and is_upload(parameter) for parameter in action.parameters)
    return WITH_BODY if needs_file else METHODS


def _operation(action: Action, method: str, path: str, in_path: list[str]) -> JsonSchema:
    operation: JsonSchema = {"operationId": f"{method} {path}", "tags": [action.name]}
    if action.description:
        operation["summary"] = action.description
    declared = {parameter.name: parameter for parameter in action.parameters}
    parameters = [_path_parameter(name, declared.get(name)) for name in in_path]
    rest = [parameter for parameter in action.parameters if parameter.name not in in_path]
    if method in WITH_BODY:
        if rest:
            operation["requestBody"] = _body(action, rest, frozenset(in_path))
    else:
        parameters += [_query_parameter(parameter) for parameter in rest if not is_upload(parameter)]
    if parameters:
        operation["parameters"] = parameters
    answer: JsonSchema = {"schema": {"$ref": "#/components/schemas/Answer"}}
    if action.output_example:
        answer["example"] = action.output_example
    operation["responses"] = {
        "200": {"description": "The action's answer.", "content": {"application/json": answer}},
        **{status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in _ERRORS.items()},
    }
    return operation


def _path_parameter(name: str, parameter: Parameter | None) -> JsonSchema:
    schema = {"type": "string", "minLength": 1} if parameter is None else query_schema(parameter)
    if schema.get("type") == "string":
        schema = {"minLength": 1, **schema}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Parameter) -> JsonSchema:
    schema = query_schema(parameter)
    written: JsonSchema = {"name": parameter.name, "in": "query", "required": parameter.required}
    if "description" in schema:
        written["description"] = schema.pop("description")
    # A list of scalars may come as a repeated parameter; anything deeper is JSON text.
    if is_plain(schema) or (schema.get("type") == "array" and is_plain(schema.get("items", {"type": "string"}))):
        return {**written, "schema": schema}
    return {**written, "content": {"application/json": {"schema": schema}}}


def _body(action: Action, parameters: list[Parameter], in_path: frozenset[str]) -> JsonSchema:
    required = any(parameter.required for parameter in parameters)
    if not any(is_upload(parameter) for parameter in parameters):
        return {"required": required, "content": {"application/json": {"schema": params_schema(action, in_path)}}}
    schema: JsonSchema = {
        "type": "object",
        "properties": {p.name: query_schema(p) for p in parameters},
        "propertyNames": {"pattern": _FIELD_NAME},
    }
    needed = [parameter.name for parameter in parameters if parameter.required]
    if needed:
        schema["required"] = needed
    return {"required": required, "content": {"multipart/form-data": {"schema": schema}}}
