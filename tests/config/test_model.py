"""The sets of names in schema, classes and documents are the same, and the classes hold what the schema says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from ahd.config import Secret, loads, model
from ahd.config import schema as schemas

SCHEMA = schemas.load_schema()
KEYS = [(section, key) for section, part in schemas.sections(SCHEMA) for key, _ in schemas.keys(SCHEMA, part)]
ROOT = Path(__file__).resolve().parents[2]


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


def test_sections_are_the_same():
    names = [name for name, _ in schemas.sections(SCHEMA)]
    assert list(model.SECTIONS) == names
    fields = [field.name for field in dataclasses.fields(model.Config)]
    assert fields == [*map(schemas.snake, names), "socket_io", "notes"]
    hints = get_type_hints(model.Config)
    assert [hints[schemas.snake(name)] for name in names] == list(model.SECTIONS.values())


@pytest.mark.parametrize("section", model.SECTIONS)
def test_keys_are_the_same(section):
    part = dict(schemas.sections(SCHEMA))[section]
    names = [schemas.snake(key) for key, _ in schemas.keys(SCHEMA, part)]
    cls = model.SECTIONS[section]
    assert [field.name for field in dataclasses.fields(cls)] == names
    assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(cls))


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_whole(section, key):
    part = schemas.at(SCHEMA, (section, key))
    assert part is not None
    assert part["description"].endswith(".")
    assert isinstance(part["x-reload"], bool)
    assert schemas.types(part)
    assert not list(Draft202012Validator(SCHEMA).iter_errors({section: {key: schemas.default(part)}}))


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_the_class_has_the_schemas_type(section, key):
    part = schemas.at(SCHEMA, (section, key))
    assert part is not None
    hint = get_type_hints(model.SECTIONS[section])[schemas.snake(key)]
    assert _holds(hint, getattr(getattr(loads("{}", {}), schemas.snake(section)), schemas.snake(key)))
    text = str(hint)
    assert ("None" in text) == ("null" in schemas.types(part))
    if part.get("x-secret"):
        assert "Secret" in text
    elif part.get("x-path") in ("file", "directory", "socket"):
        assert "Path" in text
    words = {"integer": "int", "number": "float", "boolean": "bool", "array": "tuple", "object": "Mapping"}
    for name, word in words.items():
        if name in schemas.types(part) and not part.get("x-secret"):
            assert word in text


def _holds(hint: Any, value: Any) -> bool:
    if value is None:
        return "None" in str(hint)
    return type(value).__name__.lower() in str(hint).lower() or (hasattr(value, "items") and "Mapping" in str(hint))


def test_environment_names_are_different():
    names = schemas.environment_names(SCHEMA)
    parts = [schemas.at(SCHEMA, key) or {} for key in KEYS]
    inner = [name for part in parts if not part.get("x-secret") for name, _ in schemas.keys(SCHEMA, part)]
    assert len(inner) > 40
    assert len(names) == len(KEYS) + len(inner)


def test_a_secret_does_not_show_itself():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret:>20}"
    assert secret == "hunter2"
    assert type(secret.reveal()) is str
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bindIP", "bind_ip"), ("httpClientMessageTTL", "http_client_message_ttl"), ("DB", "db"), ("log", "log")],
)
def test_snake(name, expected):
    assert schemas.snake(name) == expected


def test_a_configuration_cannot_be_changed():
    config = loads("{}", {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.general.server_name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.web_sockets.options["x"] = 1  # type: ignore[index]


def test_defaults_of_two_configurations_are_not_shared():
    assert schemas.defaults(SCHEMA) == schemas.defaults(SCHEMA)
    first = schemas.defaults(SCHEMA)
    first["webSockets"]["settings"].append("x")
    assert "x" not in schemas.defaults(SCHEMA)["webSockets"]["settings"]
