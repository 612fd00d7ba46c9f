"""`ahd version`."""

from __future__ import annotations

import argparse

from ahd import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(arguments: argparse.Namespace) -> int:
    print(f"ahd {__version__}")
    return 0
