"""Logging: one line an event on stderr, as text for people or JSON for programs.

A record's `extra` may carry `event` (its name, camelCase) and any other fields; JSON lines show them all.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

from ahd.logwriter import LogWriter

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
"""The names of the file's levels."""
FILTERED = "[FILTERED]"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLORS = {logging.ERROR: "31", logging.WARNING: "33", logging.DEBUG: "2"}


class TextLines(logging.Formatter):
    """`2026-11-23 12:00:00.123 info  message`; a traceback stands on the same line, its lines divided by " | "."""

    def __init__(self, colors: bool) -> None:
        super().__init__()
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        text = f"{moment}.{int(record.msecs):03d} {_level(record):5} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = " | ".join(line for line in text.splitlines() if line.strip())
        text = _CONTROLS.sub(_escaped, text)  # a client's words must not move the cursor
        color = _COLORS.get(record.levelno) if self._colors else None
        return f"\x1b[{color}m{text}\x1b[0m" if color else text


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, `traceback` where there is one, and the extras."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _escaped(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()


def _level(record: logging.LogRecord) -> str:
    return "warn" if record.levelno == logging.WARNING else record.levelname.lower()


def set_up(level: str, format: str, colors: bool | None) -> None:
    """Send the process's logs to stderr. `format` is "text", "json" or "auto" (text on a terminal); `colors` None:
    on a terminal. Again replaces what was set up before."""
    terminal = sys.stderr.isatty()
    formatter: logging.Formatter
    if format == "text" or (format == "auto" and terminal):
        formatter = TextLines(terminal if colors is None else colors)
    else:
        formatter = JsonLines()
    handler = LogWriter()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """The least important lines that are written, from now on."""
    logging.getLogger().setLevel(LEVELS[level])


def lines_lost() -> int:
    """Lines that could not be written since the logs were set up: a full disk, a pipe that nobody reads."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, LogWriter))


def set_socket_io_level(level: int, enabled: bool) -> None:
    """`webSockets.logLevel`: 0 error, 1 warn, 2 info, 3 debug, for Socket.IO's own loggers; not enabled: silence."""
    chosen = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)[min(max(level, 0), 3)]
    for name in ("ahd.socketio", "ahd.engineio", "ahd.python-socketio", "ahd.servers.socketio"):
        logger = logging.getLogger(name)
        logger.setLevel(chosen)
        logger.disabled = not enabled


def masked(params: Mapping[str, Any], filtered: Collection[str]) -> dict[str, Any]:
    """Parameters as a log may show them: those with a filtered name are masked, at any depth.

    `filtered` are in lower case; names count in any case of letters.
    """
    return {name: FILTERED if name.lower() in filtered else _masked(value, filtered) for name, value in params.items()}


def _masked(value: Any, filtered: Collection[str]) -> Any:
    if isinstance(value, dict):
        return masked(value, filtered)
    return [_masked(item, filtered) for item in value] if isinstance(value, list) else value
