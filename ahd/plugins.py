"""`general.plugins`: functions of the user's that are called with the App before it starts."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ahd.config import where
from ahd.config.mistakes import ConfigError, Mistake, dotted
from ahd.config.mistakes import Path as KeyPath

logger = logging.getLogger("ahd")


def call(plugins: Iterable[str], app: Any, source: Path) -> None:
    """Call each `module:function` with the App. ConfigError: all that cannot be called, at their place in `source`."""
    mistakes: list[Mistake] = []
    for index, name in enumerate(plugins):
        module, _, function = name.partition(":")
        try:
            target: Any = importlib.import_module(module)
            for part in function.split("."):
                target = getattr(target, part)
            if inspect.iscoroutinefunction(target):
                raise TypeError("it must be a plain function: it runs before the loop does")
            target(app)
        except Exception as error:
            logger.debug("the plugin %s failed", name, exc_info=True)
            entry: KeyPath = ("general", "plugins", index)
            reason = f"{name}: {type(error).__name__}: {error}"
            mistakes.append(Mistake(where(source, entry, os.environ), dotted(entry), reason))
    if mistakes:
        raise ConfigError(mistakes)
