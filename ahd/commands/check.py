"""`ahd check`: validate a configuration and put the server together, without listening."""

from __future__ import annotations

import argparse
import importlib
import os

from ahd.config import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration to check")


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    app = importlib.import_module("ahd.app")

    app.assemble(config, arguments.config)
    for line in config.socket_io.report:
        print(line)
    for note in config.notes:
        print(note)
    print(f"{arguments.config} is valid")
    return 0
