"""`ahd actions`: what clients can call on a server with this configuration."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from ahd.actions.action import Action
from ahd.actions.registry import load, shown
from ahd.config import load as load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration that names the actions")
    parser.add_argument("--json", action="store_true", help="print the inputs as JSON Schemas")


def run(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config, os.environ)
    actions = load(config.actions.modules, config.actions.builtin, Path(arguments.config))
    if arguments.json:
        print(json.dumps([{**action.view(), "schema": action.schema()} for action in actions.values()], indent=2))
    else:
        print("\n\n".join(map(text, actions.values())))
    return 0


def text(action: Action) -> str:
    """An action for a reader: its name, where it is, what it does and takes."""
    lines = [f"{action.name}  ({shown(action.file)}:{action.line})"]
    if action.description:
        lines.append(f"    {action.description}")
    for parameter in action.parameters:
        need = "" if parameter.required else f" [{json.dumps(parameter.default, default=_shown)}]"
        about = f": {parameter.description}" if parameter.description else ""
        lines.append(f"    {parameter.name}{need}  {parameter.kind.noun}{about}")
    return "\n".join(lines)


def _shown(value: object) -> object:
    return getattr(value, "value", str(value))
