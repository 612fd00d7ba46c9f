"""The golden configurations: `python -m tests.config.golden --write` writes what they amount to now."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from ahd.config import ConfigError, load, loads
from ahd.config.write import effective

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def cases() -> list[Path]:
    return sorted(GOLDEN.glob("*.yaml"))


def environment(case: Path) -> dict[str, str]:
    file = case.with_suffix(".env")
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.replace("GOLDEN", str(GOLDEN)).split("=", 1) for line in lines)


def outcome(case: Path) -> tuple[str, str]:
    """The suffix and the text of the file that belongs to a case."""
    try:
        config = load(case, environment(case))
    except ConfigError as error:
        return ".errors", _relative(f"{error}\n")
    default = loads("{}", {})
    plan = dataclasses.asdict(config.socket_io)
    plan.pop("report")
    found = {
        "config": _difference(effective(config), effective(default)),
        "plan": _difference(plan, dataclasses.asdict(default.socket_io)),
        "report": [str(line) for line in config.socket_io.report if line not in default.socket_io.report],
        "notes": [str(note) for note in config.notes],
    }
    text = json.dumps(
        {key: value for key, value in found.items() if value}, indent=2, ensure_ascii=False, default=sorted
    )
    return ".json", _relative(f"{text}\n")


def _difference(new: dict[str, Any], old: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict) and not path:
            found.update(_difference(value, old[key], f"{path}{key}."))
        elif value != old[key]:
            found[f"{path}{key}"] = value
    return found


def _relative(text: str) -> str:
    return text.replace(f"{GOLDEN}/", "")


def main() -> None:
    for case in cases():
        suffix, text = outcome(case)
        for other in {".json", ".errors"} - {suffix}:
            case.with_suffix(other).unlink(missing_ok=True)
        file = case.with_suffix(suffix)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(file.name)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    main()
