"""`ahd --config FILE`: run the server."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from ahd.config import load


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    daemon = importlib.import_module("ahd.daemon")  # much to import: not before the configuration is known to be valid

    code: int = daemon.run(config, Path(arguments.config))
    return code
