"""`ahd check`: validate a configuration and put the server together, without listening.

With `--against` it also asks a running server what a reload of this configuration would change.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ahd import __version__
from ahd.config import load
from ahd.config.model import Config
from ahd.config.reload import Change, differences, hidden, told

TIMEOUT = 10.0
"""Seconds for a running server to answer."""
LARGEST = 10_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration to check")
    parser.add_argument(
        "--against",
        metavar="URL",
        help="the monitor's address of a running server: tell what a reload (SIGHUP) would change, and whether it can;"
        " 1 when it cannot, or when the server does not answer",
    )


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    app = importlib.import_module("ahd.app")

    app.assemble(config, arguments.config)
    for line in config.socket_io.report:
        print(line)
    for note in config.notes:
        print(note)
    print(f"{arguments.config} is valid")
    if arguments.against is None:
        return 0
    try:
        running = _ask(arguments.against)
    except _NoAnswerError as why:
        print(f"{arguments.against} cannot be asked: {why}", file=sys.stderr)
        return 1
    return _compare(config, running)


def _compare(config: Config, running: dict[str, Any]) -> int:
    """Print what a reload would change; the exit code."""
    found = differences(hidden(running["settings"]), hidden(told(config, running["salt"])))
    if running["version"] != __version__:
        print(f"it runs ahd {running['version']}, this is {__version__}: keys that only one of them has are left out")
    for change in found:
        for part in change.parts():
            print(f"{'reload ' if change.reloadable else 'restart'} {part}")
    fixed = [change.path for change in found if not change.reloadable]
    print(_outcome(found, fixed))
    return int(bool(fixed))


def _outcome(found: list[Change], fixed: list[str]) -> str:
    if fixed:
        return f"a reload would be refused: {', '.join(fixed)} cannot change while the server runs; restart it"
    if not found:
        return "a reload would change nothing; it reads the TLS certificates again"
    return f"a reload would take up {len(found)} change{'' if len(found) == 1 else 's'}"


class _NoAnswerError(Exception):
    """The text says why there is no configuration to compare with."""


def _ask(url: str) -> Any:
    """What a running server tells of its configuration."""
    if "://" not in url:
        url = f"http://{url}"
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _NoAnswerError("it must be like http://127.0.0.1:9090, the monitor's address")
    wanted = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/config').rstrip('/')}/config"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(wanted, timeout=TIMEOUT) as answer:
            found = json.loads(answer.read(LARGEST))
    except urllib.error.HTTPError as error:
        error.close()
        raise _NoAnswerError(f"{error.code} for {wanted}; is it the monitor's address (monitor.port)?") from None
    except urllib.error.URLError as error:
        reason = error.reason
        raise _NoAnswerError(getattr(reason, "strerror", None) or str(reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _NoAnswerError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    except ValueError:
        found = None
    if not _is_told(found):
        raise _NoAnswerError(f"what {wanted} answers is not ahd's; is it the monitor's address (monitor.port)?")
    return found


def _is_told(found: Any) -> bool:
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("version", "salt")):
        return False
    settings = found.get("settings")
    right = isinstance(settings, dict) and all(isinstance(section, dict) for section in settings.values())
    return right and re.fullmatch(r"(?:[0-9a-f]{2}){1,64}", found["salt"]) is not None
