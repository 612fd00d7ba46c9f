"""The table of `make bench`: what its figures become, without measuring anything."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import MODULES, ROWS, Table, chosen
from tests.bench.row import Result, Row, line_of


def row(name: str = "row", **other: object) -> Row:
    figures: dict[str, float] = {"ahd": 300, "node": 100}

    def measure(peer: str, seconds: float, rate: float) -> Result:
        if peer == "away":
            raise RuntimeError("away does not listen:\nits log")
        return {"rate": figures[peer], "per_cpu_s": figures[peer] * 2, "again": figures[peer] / 100}

    return Row(name, "What is done", measure, 2, **{"peers": ("ahd", "node"), **other})  # type: ignore[arg-type]


def line(*rows: Row) -> str:
    table = Table(list(rows))
    table.round(1, 1)
    return table.text().splitlines()[-1]


def test_a_line_tells_the_ratio_and_whether_the_target_is_reached() -> None:
    assert line(row()) == "| What is done | node | 3.00 (±0 %) | 3.00 | 600 | at least 2 | yes |  |  |"
    assert "at most 2 | **no**" in line(row(less=True))


def test_a_peer_that_fails_is_told_of_and_the_others_stay() -> None:
    text = line(row(peers=("ahd", "node", "away")))
    assert "3.00" in text
    assert "away failed: away does not listen:" in text
    assert "its log" not in text


def test_a_row_without_its_base_has_not_reached_its_target() -> None:
    assert "**no** | | away failed" in line(row(peers=("ahd", "away"), base="away"))


def test_a_row_can_read_the_runs_of_another() -> None:
    assert "| 3.0 µs | at least 2" in line(row(), row("other", shares="row", key="again", unit="µs"))


def test_median_and_noise_are_over_the_rounds() -> None:
    runs: dict[str, list[Result]] = {
        "ahd": [{"per_cpu_s": value, "rate": value} for value in (100, 300, 200)],
        "node": [{"per_cpu_s": 100, "rate": 100}],
    }
    assert "| 2.00 (±50 %) | 2.00 | 200 |" in line_of(row(), runs, [], {})


def test_rows_are_chosen_by_name() -> None:
    assert len(ROWS) == sum(len(module.ROWS) for module in MODULES), "two rows have one name"
    assert chosen("") == list(ROWS.values())
    assert [one.name for one in chosen("tcp-k1,idle")] == ["idle", "tcp-k1"]
    with pytest.raises(SystemExit, match=r"no row nonsense; there are: echo64k1, "):
        chosen("idle,nonsense")
