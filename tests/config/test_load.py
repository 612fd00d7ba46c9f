"""Files, secrets, and the promise: a configuration or ConfigError, never anything else."""

from __future__ import annotations

import copy
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahd.config import Config, ConfigError, Secret, files, load, loads, tree
from ahd.config import schema as schemas
from ahd.config.load import read
from ahd.config.write import default_file, effective, yaml_text
from tests.config import golden

SCHEMA = schemas.load_schema()
PEOPLE = [file.read_bytes() for file in golden.cases() if file.stat().st_size < 2000]
LINE = re.compile(r"(.+:\d+:\d+|\$AHD_.*): .+", re.DOTALL)


def mistakes(text: str, environ: dict[str, str] | None = None, **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, environ or {}, **more)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})
    assert str(caught.value) == f"{tmp_path}/none.yaml:1:1: there is no such file\n1 mistake"


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="it is a directory, not a file"):
        load(tmp_path, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    file = tmp_path / "ahd.yaml"
    file.write_text("{}")
    file.chmod(0)
    with pytest.raises(ConfigError, match="it may not be read"):
        load(file, {})


def test_permission_is_told():
    assert files.why_unreadable(PermissionError(13, "x")) == "it may not be read (permission denied)"


def test_a_path_with_a_nul():
    with pytest.raises(ConfigError, match="cannot be read"):
        load("a\0b", {})


def test_a_file_that_is_too_large(tmp_path):
    file = tmp_path / "ahd.yaml"
    file.write_text("#" * (files.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(file, {})


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "pages").mkdir()
    (tmp_path / "etc" / "ahd.yaml").write_text("commonWeb: {flatFileDirectory: pages}")
    monkeypatch.chdir(tmp_path)
    assert load("etc/ahd.yaml", {}).common_web.flat_file_directory == tmp_path / "etc" / "pages"


def test_all_mistakes_are_told_in_the_order_of_the_file():
    found = mistakes("log: {level: x}\nfoo: 1\nlog2: 1\nchat: {announce: 3, announce: 4}\n", {"AHD_B": "", "AHD_A": ""})
    places = [line.split(": ")[0] for line in found]
    assert places == [
        "ahd.yaml:1:14",
        "ahd.yaml:2:1",
        "ahd.yaml:3:1",
        "ahd.yaml:4:18",
        "ahd.yaml:4:21",
        "$AHD_A",
        "$AHD_B",
    ]


def with_secret() -> schemas.Schema:
    schema = copy.deepcopy(dict(SCHEMA))
    part = {"$ref": "#/$defs/secret", "description": "A secret.", "default": None, "x-reload": False}
    schema["$defs"]["chat"]["properties"]["key"] = part
    return schema


def secret(text: str, environ: dict[str, str], directory: Path) -> tuple[object, list[str]]:
    root, found = tree.parse(text, "ahd.yaml")
    assert root is not None
    _, values, _, more = read(root, environ, with_secret(), directory)
    return values["chat"]["key"], [str(mistake) for mistake in [*found, *more]]


def test_a_secret_as_text(tmp_path):
    value, found = secret("chat: {key: hunter2}", {}, tmp_path)
    assert (value, found) == ("hunter2", [])
    assert isinstance(value, Secret)


def test_a_secret_from_a_credential(tmp_path):
    (tmp_path / "chatkey").write_text("hunter2\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secret("chat: {key: {file: chatkey}}", environ, tmp_path / "elsewhere") == ("hunter2", [])


def test_a_secret_from_a_path_beside_the_file(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "chat").write_text("hunter 2\r\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}
    value, found = secret("chat: {key: {file: keys/chat}}", environ, tmp_path)
    assert (value, found) == ("hunter 2", [])
    assert isinstance(value, Secret)


@pytest.mark.parametrize("text", ["12345", "null", "true", "[a", "9" * 200, "${X}"])
def test_a_secret_from_the_environment_is_taken_as_it_is(text, tmp_path):
    assert secret("chat: {key: '${KEY}'}", {"KEY": text}, tmp_path) == (text, [])
    assert secret("{}", {"AHD_CHAT_KEY": text}, tmp_path) == (text, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chat: {key: {file: none}}", "chat.key.file: the secret's file: there is no such file"),
        ("chat: {key: {file: empty}}", "chat.key.file: the secret's file: it cannot be read (it is empty)"),
        ("chat: {key: {file: binary}}", "chat.key.file: the secret's file: it cannot be read (not UTF-8 text)"),
        ("chat: {key: {file: .}}", "chat.key.file: the secret's file: it is a directory, not a file"),
        ("chat: {key: {path: x}}", "chat.key.path: unknown key; keys here: file"),
        ("chat: {key: {}}", "chat.key: needs the key file"),
        ("chat: {key: 773311}", "chat.key: must be text or an object, not this value; put it in quotes"),
    ],
)
def test_a_secret_that_is_wrong_is_not_shown(text, reason, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    _, found = secret(text, {}, tmp_path)
    assert any(reason in line for line in found)
    assert "773311" not in "".join(found)


def test_the_effective_configuration_masks_secrets():
    config = loads("{}", {})
    general = replace(config.general, server_name=Secret("hunter2"))
    text = yaml_text(effective(replace(config, general=general)))
    assert "hunter2" not in text
    assert f'serverName: "{Secret.MASK}"' in text


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.stem)
def test_the_effective_configuration_is_read_back_as_the_same(case):
    try:
        config = load(case, golden.environment(case))
    except ConfigError:
        return
    values = effective(config)
    if config.redis.url is not None:
        values["redis"]["url"] = config.redis.url.reveal()  # the mask is no URL
    # Masks are too short for secrets, and all the same token.
    for number, token in enumerate(values["auth"]["tokens"]):
        token["token"] = f"{Secret.MASK}-{number}".replace("*", "token")
    if values["auth"]["jwt"]["secret"]:
        values["auth"]["jwt"]["secret"] *= 8
    again = loads(yaml_text(values), {})
    assert effective(again) == effective(config)


def test_the_default_file_means_nothing_else():
    assert loads(default_file(), {}) == loads("{}", {})


@given(st.text(max_size=30))
def test_any_text_survives_the_writing(text):
    written = yaml_text({"general": {"welcomeMessage": text}, "commonWeb": {"httpHeaders": {}}})
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert loads(written, {}).general.welcome_message == text


def only_documented(text: str, environ: dict[str, str]) -> None:
    try:
        assert isinstance(loads(text, environ), Config)
    except ConfigError as error:
        documented = error
    else:
        return
    lines = [str(mistake) for mistake in documented.mistakes]
    assert lines
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert str(documented).splitlines()[-1].split()[1] in ("mistake", "mistakes")


FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(st.text(max_size=200))
def test_fuzz_text(text):
    only_documented(text, {})


PIECES = [
    *("&a", "*a", "!!str", "---", "...", "${", "${A}", "${A:-1}", "$${", "0x", "1e9", ".inf", "\\u", "\\ud83d", "null"),
    *("true", "1", "<<", "httpServer", "port", "webSockets", "options", "transports", "settings", "general"),
]
YAML_BITS = st.sampled_from(
    [*"[]{}:,-?&*!|>%@`'\"#\t \n~<=\u2028\x85\ufeff\0", "\n  ", ": ", "- ", "? ", "---\n", *PIECES]
)


@FUZZ
@given(st.lists(YAML_BITS, max_size=40).map("".join))
def test_fuzz_pieces_of_yaml(text):
    only_documented(text, {"A": "[1, x"})


@FUZZ
@given(st.sampled_from(PEOPLE), st.data())
def test_fuzz_bytes_of_files(tmp_path_factory, original, data):
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content)))
        content[where : where + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(content)
    found: list[str] = []
    try:
        load(file, {"PORT": "1"})
    except ConfigError as error:
        found = [str(mistake) for mistake in error.mistakes]
    assert all(LINE.fullmatch(line) for line in found)


SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KNOWN = list(schemas.environment_names(SCHEMA).values())


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(KNOWN), VALUES), max_size=6))
def test_fuzz_values_of_known_keys(entries):
    document: dict[str, dict[str, object]] = {}
    for path, value in entries:
        section = document.setdefault(str(path[0]), {})
        if len(path) == 2:
            section[str(path[1])] = value
        else:
            inner = section.setdefault(str(path[1]), {})
            if isinstance(inner, dict):
                inner[str(path[2])] = value
    only_documented(json.dumps(document), {})


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(list(schemas.environment_names(SCHEMA))) | st.text("ABC_", max_size=5).map("AHD_".__add__),
        st.text(max_size=20) | SCALARS.map(str) | st.sampled_from(["[", "{a: 1}", "[a, b]", "[[", "{", "*a", "&a"]),
        max_size=5,
    )
)
def test_fuzz_environment(environ):
    only_documented("{}", environ)
    only_documented("general: []\nwebSockets: {options: {origins: '${A}'}}", environ)
