"""The actions and verbs as a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ahd.actions.action import Action
from ahd.actions.kinds import JsonSchema
from ahd.config.model import Config
from ahd.describe.schemas import is_upload
from ahd.describe.security import scheme
from ahd.describe.verbs import FAREWELLS, VERBS


def markdown(actions: Mapping[str, Action], config: Config) -> str:
    """The page."""
    general, base = config.general, f"/{config.common_web.url_path_for_actions}"
    lines = [f"# {_plain(general.server_name)} {_plain(general.api_version)}", ""]
    token = scheme(config.auth)
    if token is not None:
        lines += [f"A client shows a token. Over HTTP: {token['description'][0].lower()}{token['description'][1:]}", ""]
    lines += ["## Actions", ""]
    for name, action in sorted(actions.items()):
        lines += _action(name, action, base)
    routes = [
        f"| {method.upper()} | `{base}{route['path']}` | `{route['action']}` |"
        for method, table in config.common_web.routes.items()
        for route in table
    ]
    if routes:
        lines += ["## Routes", "", "| method | path | action |", "| --- | --- | --- |", *routes, ""]
    lines += ["## Verbs", "", "| verb | data | does |", "| --- | --- | --- |"]
    for name, verb in VERBS.items():
        data = ", ".join(f"`{key}`" for key in verb.data["properties"]) or "–"
        lines.append(f"| `{name}` | {data} | {_cell(verb.summary)} |")
    lines.append("| `action` | `action`, parameters | Call an action. |")
    lines += [f"| `{name}` | – | {_cell(summary)} |" for name, summary in FAREWELLS.items()]
    return "\n".join(lines) + "\n"


def _action(name: str, action: Action, base: str) -> list[str]:
    lines = [f"### {name}", ""]
    if action.description:
        lines += [_plain(action.description), ""]
    lines += [f"`{base}/{name}`", ""]
    if action.parameters:
        lines += ["| parameter | type | required | default | description |", "| --- | --- | --- | --- | --- |"]
        for parameter in action.parameters:
            default = getattr(parameter.default, "value", parameter.default)
            shown = "" if parameter.required or default is None else f"`{_cell(_json(default))}`"
            kind = "file" if is_upload(parameter) else type_of(parameter.kind.schema)
            required = "yes" if parameter.required else "no"
            about = _cell(parameter.description)
            lines.append(f"| `{parameter.name}` | {_cell(kind)} | {required} | {shown} | {about} |")
        lines.append("")
    if action.output_example:
        lines += ["```json", json.dumps(action.output_example, indent=2, ensure_ascii=False), "```", ""]
    return lines


def type_of(schema: JsonSchema) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return " or ".join(_json(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(member) for member in schema["anyOf"]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {type_of(schema['items'])}" if "items" in schema else "list"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
