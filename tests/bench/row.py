"""A row of the benchmark's table: what it measures on whom, and how its figures become a line."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import servers

Result = Mapping[str, Any]
"""What one run gives. `rate`: by the clock; `per_cpu_s`: for each second of the server's CPU. As sioload gives them,
and all may be missing: `p99_us`; `errors` and `missing`, replies that were wrong or never came; `bound`, whose limit
the rate was; `noisy`, whether the machine was disturbed."""

HEAD = """\
| | beside | ratio, for each CPU second (noise) | by the clock | ahd itself | target | reached | \
p99 ms at the peer's rate: ahd / peer | others, notes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Row:
    """One scenario.

    `measure(peer, seconds, rate)` starts a fresh server, measures it and ends it; with a rate (requests a second) it
    sends only so many. It raises AssertionError, OSError, RuntimeError or subprocess.SubprocessError when it cannot.
    """

    name: str
    title: str
    measure: Callable[[str, float, float], Result]
    target: float
    """The ratio of `mine` to `base` that is to be reached."""
    peers: tuple[str, ...] = ("ahd", "node", "uvicorn")
    base: str = "node"
    mine: str = "ahd"
    key: str = "per_cpu_s"
    """The figure of a result that is compared."""
    unit: str = ""
    less: bool = False
    """Less is better: the target is the most."""
    pace: str = ""
    """The figure of the base's result that ahd is then paced at, for p99; empty: it is not."""
    shares: str = ""
    """Another row whose runs this one reads instead of measuring; `measure` is not called then."""
    install: Callable[[], None] = servers.install
    """Makes ready what is compared with; called once before the first round."""


def median(results: list[Result], key: str) -> float:
    return statistics.median(result[key] for result in results if key in result)


def spread(results: list[Result], key: str) -> str:
    """Half the distance from least to most, in percent of the median."""
    values = [result[key] for result in results]
    return f"±{(max(values) - min(values)) / 2 / statistics.median(values) * 100:.0f} %"


def line_of(row: Row, found: Mapping[str, list[Result]], paced: list[Result], failed: Mapping[str, str]) -> str:
    """The row's line of the table. `failed`: peer -> why it could not be measured."""
    key = row.key
    base, mine = found.get(row.base), found.get(row.mine)
    lost = [f"{peer} failed: {why}" for peer, why in failed.items()]
    if not base or not mine:
        return f"| {row.title} | {row.base} | | | | | **no** | | {'; '.join(lost)} |"
    ratio = median(mine, key) / median(base, key)
    wall = f"{median(mine, 'rate') / median(base, 'rate'):.2f}" if "rate" in mine[0] else ""
    reached = ratio <= row.target if row.less else ratio >= row.target
    others = [
        f"{peer} {median(runs, key) / median(base, key):.2f}"
        for peer, runs in found.items()
        if peer not in (row.mine, row.base)
    ]
    tail = ""
    if paced and "p99_us" in base[0]:
        tail = f"{median(paced, 'p99_us') / 1000:.1f} / {median(base, 'p99_us') / 1000:.1f}"
    notes = ["the generator was the limit"] if any(result.get("bound") for result in mine) else []
    notes += ["noisy machine"] if all(result.get("noisy") for result in mine) else []
    wrong = sum(result.get("errors", 0) + result.get("missing", 0) for result in mine)
    notes += [f"{wrong} replies wrong or missing"] if wrong else []
    figure = f"{median(mine, key):,.1f} {row.unit}" if row.unit else f"{median(mine, key):,.0f}"
    target = f"{'at most' if row.less else 'at least'} {row.target:g}"
    return (
        f"| {row.title} | {row.base} | {ratio:.2f} ({spread(mine, key)}) | {wall} | {figure} | {target} | "
        f"{'yes' if reached else '**no**'} | {tail} | {'; '.join([*others, *notes, *lost])} |"
    )
