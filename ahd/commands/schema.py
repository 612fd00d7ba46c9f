"""`ahd schema`: the JSON Schema of the configuration, for editors and other programs."""

from __future__ import annotations

import argparse
import sys

from ahd.config.schema import schema_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(arguments: argparse.Namespace) -> int:
    sys.stdout.write(schema_file().read_text(encoding="utf-8"))
    return 0
