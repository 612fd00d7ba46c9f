"""The files that are written from the schema are as it is now; every shipped file is valid."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ahd.config import load, loads
from ahd.config import schema as schemas
from ahd.config.document import main, page
from ahd.config.write import FIRST_LINE, default_file, effective

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = schemas.load_schema()
SHIPPED = sorted(file for file in (ROOT / "etc").glob("*.yaml") if file.name != "alerts.yaml")  # that is Prometheus's
AGAIN = "run: python -m ahd.config.document --write"


def test_the_default_file_is_written():
    assert (ROOT / "etc" / "ahd.yaml").read_text(encoding="utf-8") == default_file(), AGAIN


def test_the_page_is_written():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page(), AGAIN


def test_the_page_has_every_section_and_key():
    text = page()
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [name for name, _ in schemas.sections(SCHEMA)]
    for _, part in schemas.sections(SCHEMA):
        for key, inner in schemas.keys(SCHEMA, part):
            assert f"\n| `{key}` | " in text
            for name, _ in schemas.keys(SCHEMA, inner) if not inner.get("x-secret") else ():
                assert f"\n| `{name}` | " in text


def test_the_page_is_printed(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out == page()
    assert main(["--wriet"]) == 2


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_file_names_the_schema_and_is_valid(file):
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == FIRST_LINE
    assert (file.parent / first.split("=")[1]).resolve() == schemas.schema_file()
    environ = {"PORT": "5000", "REDIS_URL": "redis://127.0.0.1:6379"}
    assert load(file, environ).notes == ()


def test_the_default_file_is_the_default():
    assert load(ROOT / "etc" / "ahd.yaml", {}) == loads("{}", {})


def test_heroku():
    config = load(ROOT / "etc" / "heroku.yaml", {"PORT": "5000"})
    assert (config.http_server.bind_ip, config.http_server.port) == ("0.0.0.0", 5000)
    assert config.socket_io.transports == ("polling",)
    assert config.socket_io.polling_duration == 10
    assert effective(config)["webSockets"]["options"] == {"transports": ["xhr-polling"], "polling duration": 10}


def test_the_schema_is_found_beside_the_package():
    assert schemas.schema_file() == ROOT / "schema" / "ahd.schema.json"
    assert os.access(schemas.schema_file(), os.R_OK)
