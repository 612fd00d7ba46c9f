"""`ahd config`: the effective configuration of a file, or the whole default file."""

from __future__ import annotations

import argparse
import os
import sys

from ahd.config import load
from ahd.config.write import default_file, effective, yaml_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", metavar="FILE", help="print what this file and the environment amount to")
    which.add_argument("--default", action="store_true", help="print every key with its default and its description")


def run(arguments: argparse.Namespace) -> int:
    if arguments.default:
        sys.stdout.write(default_file())
    else:
        sys.stdout.write(yaml_text(effective(load(arguments.config, os.environ))))
    return 0
