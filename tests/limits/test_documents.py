"""docs/limits.md has every bound with its default, and every bound that is counted is counted somewhere."""

from __future__ import annotations

import re

from ahd.config.schema import defaults, load_schema, option_defaults
from ahd.core.hits import LIMITS
from tests.harness.daemon import ROOT

PAGE = (ROOT / "docs" / "limits.md").read_text()
ROWS = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
KEYS = re.findall(r"`(\w+(?:\.\w+)?)` \[([^\],]+)", ROWS)


def test_every_key_of_limits_has_a_row_with_its_default() -> None:
    schema = load_schema()
    known = {f"{section}.{key}": value for section, keys in defaults(schema).items() for key, value in keys.items()}
    known |= option_defaults(schema)
    told = dict(KEYS)
    assert {key for key in known if key.startswith("limits.")} - told.keys() == set()
    wrong = {key: (text, known.get(key)) for key, text in told.items() if text != f"{known.get(key)}"}
    assert wrong == {}


def test_every_counted_limit_has_a_row_and_is_counted() -> None:
    assert set(LIMITS) - {key.rpartition(".")[2] for key, _ in KEYS} == set()
    source = "\n".join(path.read_text() for path in (ROOT / "ahd").rglob("*.py") if path.name != "hits.py")
    counted = set(re.findall(r"\bhit\(\s*\"(\w+)\"", source + (ROOT / "ahd/core/hits.py").read_text()))
    counted |= set(re.findall(r": \"(\w+)\"", "\n".join(re.findall(r"^LIMITS = \{.*\}$", source, re.MULTILINE))))
    assert counted == set(LIMITS)
