"""Plugins that the proofs name."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("plugin")


def install(app: Any) -> None:
    """Show that it was called, and with what."""
    logger.info("called", extra={"event": "pluginCalled", "room": app.config.general.default_chat_room})


def write_every_level(app: Any) -> None:
    """Write a line of each level to the log."""
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "a line", extra={"event": "pluginWrote"})
