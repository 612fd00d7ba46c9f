"""The documents are what the public validators call valid, and say what the actions are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from ahd.actions.registry import load
from ahd.config import loads
from ahd.core import verbs
from ahd.describe import asyncapi, markdown, openapi
from ahd.describe.verbs import FAREWELLS, VERBS
from tests.describe import offered
from tests.harness.daemon import ROOT
from tests.harness.node import modules
from tests.web.building import described

TEXT = """
general: {apiVersion: '1.2', serverName: "my | server"}
commonWeb:
  routes:
    get: [{path: "/users/:id", action: user}, {path: /no/files, action: keep}]
    put: [{path: "/files/:copies", action: keep}]
    all: [{path: "/sum/:a/:b", action: add}, {path: /gone, action: none}]
"""
"""A configuration with routes."""


def run_command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `ahd …`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ahd", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    return ran.returncode, ran.stdout, ran.stderr


def actions() -> dict[str, Any]:
    own = [described(function) for function in (offered.add, offered.kinds, offered.user, offered.keep)]
    return {**load([], loads("{}", {}).actions.builtin, Path()).by_name, **{one.name: one for one in own}}


def document(auth: str = "") -> dict[str, Any]:
    config = loads(TEXT + auth, {})
    return json.loads(json.dumps(openapi(actions(), config.common_web, config.general, config.auth)))


TOKENS = "auth: {tokens: [{token: 0123456789abcdef}]}"
JWT = "auth: {required: true, jwt: {secret: 0123456789abcdef0123456789abcdef}}"


def test_openapi_is_valid() -> None:
    validate(document())


@pytest.mark.parametrize(("auth", "needed"), [(TOKENS, [{"token": []}, {}]), (JWT, [{"token": []}])])
def test_openapi_says_that_a_token_is_shown(auth: str, needed: list[Any]) -> None:
    made = document(auth)
    validate(made)
    assert made["security"] == needed
    token = made["components"]["securitySchemes"]["token"]
    assert (token["type"], token["scheme"], token.get("bearerFormat")) == (
        "http",
        "bearer",
        "JWT" if auth == JWT else None,
    )
    answers = [operation["responses"] for item in made["paths"].values() for operation in item.values()]
    assert answers
    assert all("401" in answer for answer in answers)


def test_nothing_is_said_of_tokens_where_nobody_asks_for_them() -> None:
    made = json.dumps([document(), document("auth: {rules: [{deny: [say]}]}")])
    assert "securitySchemes" not in made
    assert '"401"' not in made
    assert "token" not in markdown(actions(), loads(TEXT, {}))
    assert "Over HTTP: the header `Authorization: Bearer TOKEN`" in markdown(actions(), loads(TEXT + JWT, {}))


def test_openapi_says_what_the_actions_are() -> None:
    made = document()
    assert made["info"]["title"] == "my | server"
    assert made["info"]["version"] == "1.2"
    get = made["paths"]["/api/add"]["get"]
    assert get["summary"] == "Adds two numbers"
    assert [(p["name"], p["required"], p["schema"]) for p in get["parameters"]] == [
        ("a", True, {"type": "number"}),
        ("b", False, {"type": "number", "default": 0}),
    ]
    body = made["paths"]["/api/add"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["a"]
    assert body["properties"]["b"] == {"type": ["number", "null"], "default": 0}
    assert made["paths"]["/api/users/{id}"]["get"]["parameters"][0]["in"] == "path"
    assert set(made["paths"]["/api/users/{id}"]) == {"get"}
    assert set(made["paths"]["/api/sum/{a}/{b}"]) == {"get", "post", "put", "patch", "delete"}
    assert "/api/gone" not in made["paths"]
    upload = made["paths"]["/api/keep"]["post"]["requestBody"]["content"]
    assert upload["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"
    assert set(made["paths"]["/api/keep"]) == {"post", "put", "patch"}, "a file needs a body"
    assert set(made["paths"]["/api/files/{copies}"]) == {"put"}
    assert "/api/no/files" not in made["paths"]
    kinds = {p["name"]: p for p in made["paths"]["/api/kinds"]["get"]["parameters"]}
    assert kinds["text"]["schema"]["minLength"] == 2
    assert kinds["choice"]["schema"]["enum"] == ["one", "two"]
    assert kinds["number"]["schema"]["type"] == "integer"
    assert "content" in kinds["place"]
    assert "schema" in kinds["names"]
    operations = [one["operationId"] for item in made["paths"].values() for one in item.values()]
    assert len(operations) == len(set(operations))


def asyncapi_schema() -> dict[str, Any]:
    file = modules() / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
    return json.loads(file.read_text())


@pytest.mark.parametrize("auth", ["", TOKENS, JWT], ids=["open", "tokens", "jwt"])
def test_asyncapi_is_valid(auth: str) -> None:
    made = json.loads(json.dumps(asyncapi(actions(), loads(TEXT + auth, {}))))
    assert ("security" in made["servers"]["socket"]) == bool(auth)
    validator = jsonschema.Draft7Validator(asyncapi_schema())
    assert [f"{list(e.path)}: {e.message[:300]}" for e in validator.iter_errors(made)] == []
    assert list(validator.iter_errors({**made, "operations": {"x": {"action": "shout"}}}))
    # Every reference leads somewhere.
    for operation in made["operations"].values():
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            target: Any = made
            for part in message["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            jsonschema.Draft7Validator.check_schema(target["payload"])


def test_every_verb_is_described() -> None:
    assert VERBS.keys() == verbs.VERBS.keys()
    assert FAREWELLS.keys() == verbs.FAREWELLS
    made = asyncapi(actions(), loads("{}", {}))
    messages = made["channels"]["socket"]["messages"]
    assert {m["name"] for n, m in messages.items() if not n.endswith(("Reply", "Event"))} == verbs.NAMES
    assert {"action.add", "action.addReply", "action.kinds", "sayReply", "sayEvent", "welcomeEvent"} <= messages.keys()
    assert messages["action.add"]["payload"]["required"] == ["action", "a"]


def test_markdown() -> None:
    page = markdown(actions(), loads(TEXT, {}))
    assert page.startswith("# my | server 1.2\n")
    assert "### add\n\nAdds two numbers\n\n`/api/add`\n" in page
    assert "| `text` | string | yes |  | a \\| text |" in page
    assert "| `b` | number | no | `0` |  |" in page
    assert "| `file` | file | yes |  |  |" in page
    assert "| GET | `/api/users/:id` | `user` |" in page
    assert "| `say` | `message` |" in page


@pytest.mark.parametrize("kind", ["openapi", "asyncapi", "markdown"])
def test_the_command(kind: str, tmp_path: Path) -> None:
    config = tmp_path / "ahd.yaml"
    config.write_text("general: {serverName: mine}\n")
    code, out, _ = run_command("describe", f"--{kind}", "--config", str(config))
    assert code == 0
    assert "mine" in out
    if kind != "markdown":
        assert json.loads(out)["info"]["title"] == "mine"
    assert run_command("describe", f"--{kind}")[0] == 0


def test_wrong_use_of_the_command(tmp_path: Path) -> None:
    assert run_command("describe")[0] == 2
    assert run_command("describe", "--openapi", "--markdown")[0] == 2
    code, out, error = run_command("describe", "--openapi", "--config", str(tmp_path / "none.yaml"))
    assert (code, out) == (78, "")
    assert "Traceback" not in error
