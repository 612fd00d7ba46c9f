"""Every test that talks to the server does so twice: through Tornado, and directly."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.web import serving


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function) and "serving" in metafunc.module.__dict__:
        metafunc.fixturenames.insert(0, "served_by")
        metafunc.parametrize("served_by", serving.SHELLS, indirect=True)


@pytest.fixture
def served_by(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which shell serves the site."""
    serving.served_by[0] = request.param
    yield request.param
    serving.served_by[0] = "tornado"
