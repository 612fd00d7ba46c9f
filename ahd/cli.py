"""The commands and their exit codes: 0, 1 failure, 2 usage, 78 configuration.

To add a command: a line in COMMANDS, and ahd/commands/NAME.py with `add_arguments(parser)` and `run(arguments) -> int`.
Only the module of the command that is called is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ahd.config import ConfigError

OK, FAILURE, USAGE, CONFIGURATION = 0, 1, 2, 78

COMMANDS = {
    "actions": "list the actions that clients can call",
    "check": "say whether a configuration is valid, and what becomes of its Socket.IO options",
    "config": "print the effective configuration, or the whole default file",
    "console": "talk to a running server: http(s)://… or tcp://…",
    "describe": "print what the server offers: OpenAPI, AsyncAPI or Markdown",
    "new": "make a project that runs at once",
    "schema": "print the JSON Schema of the configuration",
    "version": "print the version",
}
_RUN = "run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Raises SystemExit for --help (0) and wrong usage (2)."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(config="")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name or a text need not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parse(given)
        code: int = _module(arguments.command or _RUN).run(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        print(_with_actions(error, arguments.config), file=sys.stderr)
        return CONFIGURATION
    except BrokenPipeError:
        # Whoever read this has gone, as head does. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return FAILURE
    return code


def _with_actions(error: ConfigError, source: str | None) -> ConfigError:
    """The mistakes of the file, and those of the modules that it names: all are told at once."""
    if error.actions is None or source is None:
        return error
    registry = importlib.import_module("ahd.actions.registry")
    try:
        registry.load(error.actions.modules, error.actions.builtin, Path(source))
    except ConfigError as more:
        return ConfigError([*error.mistakes, *more.mistakes])
    return error


def _parse(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ahd",
        description="A real-time server from one configuration file: Socket.IO, chat rooms and actions.",
        epilog="Exit codes: 0, 1 failure, 2 usage, 78 configuration.",
    )
    parser.add_argument("--config", metavar="FILE", help="run the server that this file describes")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    called = next((word for word in given if word in COMMANDS), None)
    for name, sentence in COMMANDS.items():
        command = commands.add_parser(name, help=sentence, description=f"{sentence[0].upper()}{sentence[1:]}.")
        if name == called:
            _module(name).add_arguments(command)
    arguments = parser.parse_args(given)
    if arguments.command is None and arguments.config is None:
        parser.error("--config FILE or a command is needed")
    return arguments


def _module(command: str) -> Any:
    return importlib.import_module(f"ahd.commands.{command}")
