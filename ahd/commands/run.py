"""`ahd --config FILE`: run the server."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from ahd.config import load


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    app = importlib.import_module("ahd.app")  # much to import: not before the configuration is known to be valid

    code: int = app.run(config, Path(arguments.config))
    return code
