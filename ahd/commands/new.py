"""`ahd new`: a project that runs at once."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ahd.project import ProjectError, create


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="the project's directory: a new one, or an empty one"
    )


def run(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory
    try:
        written = create(directory)
    except ProjectError as error:
        print(f"ahd new: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    print(f"\nRun it: ahd --config {shlex.quote(str(directory / 'etc' / 'ahd.yaml'))}")
    return 0
