"""docs/security.md says what clients are told."""

from __future__ import annotations

import inspect

from ahd.auth import grant
from ahd.auth.grant import Refusal
from ahd.core.errors import NOT_ALLOWED, REFUSALS
from tests.harness.daemon import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
MAKERS = (grant.token_required, grant.expired, grant.token_in_address, grant.keys_away, grant.not_allowed)


def refusals() -> list[Refusal]:
    made = [make() for make in MAKERS] + [grant.invalid("why")]
    makers = [name for name, one in inspect.getmembers(grant, inspect.isfunction) if one.__module__ == grant.__name__]
    assert len(makers) == len(made)
    return made


def test_every_refusal_is_documented() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for refusal in refusals():
        row = next((row for row in rows if f"| `{refusal.word}` |" in row), "")
        assert f"`{refusal.sentence}`" in row, refusal.word
        assert row.endswith(f"| {refusal.status} |"), row


def test_what_lines_are_closed_with_has_its_codes() -> None:
    assert {refusal.word for refusal in refusals()} == set(grant.CODES) >= REFUSALS
    assert NOT_ALLOWED in PAGE
