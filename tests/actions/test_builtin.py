"""The actions that come with ahd: their exact outputs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.actions.conftest import Caller, MakeRunner

BUILTIN = ("status", "actionsView", "cacheTest", "randomNumber", "sleepTest")


@pytest.fixture
def caller(make_runner: MakeRunner) -> Caller:
    return Caller(make_runner(builtin=BUILTIN))


async def test_status(caller: Caller) -> None:
    reply = await caller.ask("status")
    assert abs(reply.pop("uptime") - (time.monotonic() - 1000) * 1000) < 5000
    own = caller.runner._services.nodes.id
    (node,) = reply.pop("nodes")
    assert node["id"] == own
    assert set(node) == {"id", "uptime", "age", "configuration", "stats"}
    assert reply == {"context": "response", "id": own, "stats": {"answers": 42}, "total": node["stats"]}


async def test_actions_view(caller: Caller) -> None:
    reply = await caller.ask("actionsView")
    assert set(reply) == {"context", "actions"}
    actions = reply["actions"]
    assert [action["name"] for action in actions] == sorted(BUILTIN)
    assert all(set(action) == {"name", "description", "inputs", "outputExample"} for action in actions)
    assert {action["name"]: action["inputs"] for action in actions} == {
        "actionsView": {"required": [], "optional": []},
        "cacheTest": {"required": ["key", "value"], "optional": []},
        "randomNumber": {"required": [], "optional": []},
        "sleepTest": {"required": [], "optional": ["sleepDuration"]},
        "status": {"required": [], "optional": []},
    }
    assert all(action["description"] and action["outputExample"] for action in actions)


@pytest.mark.parametrize("value", ["v", 5, {"a": [None]}, None, False])
async def test_cache_test(caller: Caller, value: Any) -> None:
    cache = caller.runner._services.cache
    await cache.save("k", "somebody's")
    reply = await caller.ask("cacheTest", key="k", value=value)
    results = reply["cacheTestResults"]
    created = results["loadResp"]["createdAt"]
    assert abs(created - time.time() * 1000) < 5000
    assert reply == {
        "context": "response",
        "cacheTestResults": {
            "key": "k",
            "value": value,
            "saveResp": True,
            "sizeResp": 2,
            "loadResp": {
                "key": "k",
                "value": value,
                "expireTimestamp": created + 5000,
                "createdAt": created,
                "readAt": None,
            },
            "deleteResp": True,
        },
    }
    kept = await cache.load("k")
    assert kept is not None
    assert kept.value == "somebody's", "a client cannot reach what the application keeps"
    assert await cache.size() == 1


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "Error: key is a required parameter for this action"),
        ({"key": "k"}, "Error: value is a required parameter for this action"),
        ({"key": 5, "value": 1}, "Error: key must be a string"),
        ({"key": "k", "value": "x" * 20_000}, "Error: value cannot be saved: larger than the whole cache"),
    ],
)
async def test_cache_test_refuses(caller: Caller, params: dict[str, Any], error: str) -> None:
    reply = await caller.ask("cacheTest", **params)
    assert reply["error"].startswith(error)


@pytest.mark.parametrize(("method", "factor"), [("", 1), ("GET", 1), ("PUT", 10), ("POST", 100), ("DELETE", 1000)])
async def test_random_number(caller: Caller, method: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    caller.runner.call(caller.connection, "randomNumber", {}, caller.answer, True, method)
    assert caller.replies == [{"context": "response", "randomNumber": 0.5 * factor}]


async def test_sleep_test(caller: Caller) -> None:
    started = time.time() * 1000
    reply = await caller.ask("sleepTest", sleepDuration=30)
    assert set(reply) == {"context", "sleepStarted", "sleepEnded", "sleepDelta", "sleepDuration"}
    assert reply["sleepDuration"] == 30
    assert reply["sleepDelta"] == reply["sleepEnded"] - reply["sleepStarted"] >= 28
    assert abs(reply["sleepStarted"] - started) < 2000


async def test_sleep_test_refuses(caller: Caller) -> None:
    assert (await caller.ask("sleepTest", sleepDuration=-1))["error"] == "Error: sleepDuration must be at least 0"
    assert (await caller.ask("sleepTest", sleepDuration="1"))["error"] == "Error: sleepDuration must be a number"
    assert (await caller.ask("sleepTest", sleepDuration=1e300))["error"].startswith("Error: sleepDuration must be at")
