"""The rules of the file as the core asks them, and whether the actions that they name are there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path as FilePath

from ahd.config.load import where
from ahd.config.mistakes import ConfigError, Mistake, Path, did_you_mean, dotted
from ahd.config.model import Config
from ahd.core.permissions import Permissions, Rule


def permissions(config: Config, actions: Collection[str], source: FilePath) -> Permissions | None:
    """What `auth.rules` comes to; None for no rules. Raises ConfigError with every name that no action has."""
    rules, mistakes = [], []
    for index, rule in enumerate(config.auth.rules):
        for number, name in enumerate(rule.get("actions", ())):
            if not re.search(r"[*?{]", name) and name not in actions:
                path: Path = ("auth", "rules", index, "actions", number)
                reason = f"there is no action {name}{did_you_mean(name, actions)}"
                mistakes.append(Mistake(where(source, path, os.environ), dotted(path), reason))
        rules.append(
            Rule(
                allow="allow" in rule,
                verbs=frozenset(rule.get("allow") or rule["deny"]),
                rooms=rule.get("rooms"),
                actions=rule.get("actions"),
                who=rule.get("who", "anyone"),
                claims=rule.get("claims", {}),
            )
        )
    if mistakes:
        raise ConfigError(mistakes)
    return Permissions(rules) if rules else None
