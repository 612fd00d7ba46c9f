"""The rules of the file as the core asks them, and whether the actions that they name are there."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ahd.config.mistakes import ConfigError, Mistake, did_you_mean
from ahd.config.model import Config
from ahd.core.permissions import Permissions, Rule


def permissions(config: Config, actions: Collection[str], source: Path) -> Permissions | None:
    """What `auth.rules` comes to; None for no rules. Raises ConfigError with every name that no action has."""
    rules, mistakes = [], []
    for index, rule in enumerate(config.auth.rules):
        for number, name in enumerate(rule.get("actions", ())):
            if not re.search(r"[*?{]", name) and name not in actions:
                key = f"auth.rules[{index}].actions[{number}]"
                reason = f"there is no action {name}{did_you_mean(name, actions)}"
                mistakes.append(Mistake(config.place(key, str(source)), key, reason))
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
