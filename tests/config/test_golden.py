"""Configurations in, what they amount to or the exact mistakes out."""

from __future__ import annotations

import pytest

from tests.config import golden

CASES = golden.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden(case):
    suffix, text = golden.outcome(case)
    expected = [file for file in (case.with_suffix(".json"), case.with_suffix(".errors")) if file.exists()]
    assert [file.suffix for file in expected] == [suffix], text
    assert text == expected[0].read_text(encoding="utf-8")


def test_there_are_enough_and_no_leftovers():
    assert len(CASES) >= 120
    names = {case.stem for case in CASES}
    assert {file.stem for file in golden.GOLDEN.iterdir() if file.is_file()} - names == {"README"}
