"""The browser client's answers: what its settings say (docs/configuration.md), and RFC 9110."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from ahd.client.fetch import FILES, VERSION
from ahd.config.legacy import BrowserClientPlan
from ahd.servers.socketio.bundle import SHORT, BrowserClient

VERSIONED = f"socket.io.v{VERSION}.js"


def plan(**changed: Any) -> BrowserClientPlan:
    """Everything on, but for what is `changed`."""
    on = {"enable": True, "minification": True, "etag": True, "gzip": True, "cache": True, "expires": 315360000}
    return BrowserClientPlan(**{**on, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(f"/* {name} */\n//# sourceMappingURL={name}.map\n")
    for name in ("io09.js", "ahsocket.js", "ahsocket.mjs", "ahsocket.d.ts", "ahsocket.d.mts"):
        (tmp_path / name).write_text(f"/* {name} */\n")
    return tmp_path


def test_main_script_is_the_build_then_the_old_face_then_the_map(folder: Path) -> None:
    status, headers, body = BrowserClient(plan(), folder).answer("socket.io.js", {})
    assert status == 200
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert body.decode() == "/* socket.io.min.js */\n/* io09.js */\n//# sourceMappingURL=socket.io.min.js.map\n"
    assert headers["Content-Length"] == str(len(body))


def test_minification_chooses_the_build(folder: Path) -> None:
    plain = BrowserClient(plan(minification=False), folder)
    for name in ("socket.io.js", VERSIONED):
        assert b"/* socket.io.js */" in plain.answer(name, {})[2]
    assert b"/* socket.io.min.js */" in plain.answer("socket.io.min.js", {})[2]


def test_every_name_is_served(folder: Path) -> None:
    client = BrowserClient(plan(), folder)
    assert {*FILES, VERSIONED, "ahsocket.js", "ahsocket.mjs", "ahsocket.d.ts", "ahsocket.d.mts"} == client.names
    for name in client.names:
        status, headers, body = client.answer(name, {})
        assert (status, len(body) > 0) == (200, True)
        assert headers["Content-Type"] == {
            ".js": "text/javascript; charset=utf-8",
            ".mjs": "text/javascript; charset=utf-8",
            ".map": "application/json",
        }.get(Path(name).suffix, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "name", ["", "x.js", "io09.js", "fetch.py", "../__init__.py", "socket.io.js/", "%2e%2e", "socket.io.js\0"]
)
def test_other_names_are_not_found(folder: Path, name: str) -> None:
    status, headers, body = BrowserClient(plan(), folder).answer(name, {})
    assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert body == b"There is no such file.\n"


def test_another_version_names_the_one_there_is(folder: Path) -> None:
    status, _, body = BrowserClient(plan(), folder).answer("socket.io.v0.9.16.js", {})
    assert (status, body) == (404, f"This server has {VERSIONED}.\n".encode())


def test_disabled_serves_nothing(folder: Path) -> None:
    client = BrowserClient(plan(enable=False), folder)
    assert client.names == frozenset()
    assert client.missing() is None
    for name in ("socket.io.js", "ahsocket.js"):
        status, _, body = client.answer(name, {})
        assert (status, body) == (404, b"The browser client is not enabled on this server.\n")


def test_versioned_names_keep_for_expires_others_shortly(folder: Path) -> None:
    client = BrowserClient(plan(expires=1000), folder)
    assert client.answer(VERSIONED, {})[1]["Cache-Control"] == "public, max-age=1000, immutable"
    for name in client.names - {VERSIONED}:
        assert client.answer(name, {})[1]["Cache-Control"] == f"public, max-age={SHORT}"
    never = BrowserClient(plan(expires=0), folder)
    assert never.answer(VERSIONED, {})[1]["Cache-Control"] == f"public, max-age={SHORT}"


def test_etag_answers_304_without_a_body(folder: Path) -> None:
    client = BrowserClient(plan(), folder)
    etag = client.answer("socket.io.js", {})[1]["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    for condition in (etag, f"W/{etag}", f'"a", {etag}', f'"a,b" ,W/"c",W/{etag}', "*", " * "):
        status, headers, body = client.answer("socket.io.js", {"If-None-Match": condition})
        assert (status, body) == (304, b""), condition
        # RFC 9110, 15.4.5: what a 200 would say of caching.
        assert headers == {"ETag": etag, "Cache-Control": f"public, max-age={SHORT}", "Vary": "Accept-Encoding"}
    for condition in ("", '"other"', etag.strip('"'), f'"x{etag[1:]}', "W/"):
        assert client.answer("socket.io.js", {"if-none-match": condition})[0] == 200, condition


def test_without_etag_there_is_none_and_no_304(folder: Path) -> None:
    status, headers, _ = BrowserClient(plan(etag=False), folder).answer("socket.io.js", {"If-None-Match": "*"})
    assert status == 200
    assert "ETag" not in headers


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("br;q=1.0, *;q=0.1", True),
        ("gzip; q=1.000", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=many", False),
        (";;,,=", False),
    ],
)
def test_gzip_when_accepted(folder: Path, accepted: str, zipped: bool) -> None:
    client = BrowserClient(plan(), folder)
    plain = client.answer("socket.io.js", {})
    status, headers, body = client.answer("socket.io.js", {"Accept-Encoding": accepted})
    assert status == 200
    assert headers["Vary"] == "Accept-Encoding"
    assert headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert (gzip.decompress(body) if zipped else body) == plain[2]
    # Two representations never share a strong tag.
    assert (headers["ETag"] != plain[1]["ETag"]) == zipped


def test_a_zipped_copy_is_confirmed_by_its_own_tag(folder: Path) -> None:
    client = BrowserClient(plan(), folder)
    zipped = {"Accept-Encoding": "gzip"}
    etag = client.answer("socket.io.js", zipped)[1]["ETag"]
    assert client.answer("socket.io.js", {**zipped, "If-None-Match": etag})[0] == 304
    assert client.answer("socket.io.js", {"If-None-Match": etag})[0] == 200


def test_gzip_off_means_never(folder: Path) -> None:
    _, headers, body = BrowserClient(plan(gzip=False), folder).answer("socket.io.js", {"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in headers
    assert "Vary" not in headers
    assert body.startswith(b"/*")


def test_cache_keeps_in_memory_and_without_it_each_request_reads(folder: Path) -> None:
    kept, read = BrowserClient(plan(cache=True), folder), BrowserClient(plan(cache=False), folder)
    before = kept.answer("ahsocket.js", {})
    assert read.answer("ahsocket.js", {}) == before
    (folder / "ahsocket.js").write_text("/* changed */")
    assert kept.answer("ahsocket.js", {}) == before
    after = read.answer("ahsocket.js", {})
    assert after[2] == b"/* changed */"
    assert after[1]["ETag"] != before[1]["ETag"]


def test_head_has_the_headers_of_get_and_no_body(folder: Path) -> None:
    client = BrowserClient(plan(), folder)
    get = client.answer("socket.io.js", {"Accept-Encoding": "gzip"})
    assert client.answer("socket.io.js", {"Accept-Encoding": "gzip"}, "HEAD") == (200, get[1], b"")
    assert client.answer("nothing", {}, "HEAD")[::2] == (404, b"")


def test_other_methods_are_refused(folder: Path) -> None:
    status, headers, _ = BrowserClient(plan(), folder).answer("socket.io.js", {}, "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_missing_build_is_said_and_the_rest_is_served(folder: Path) -> None:
    client = BrowserClient(plan(), folder)
    assert client.missing() is None
    (folder / "socket.io.min.js").unlink()
    warning = client.missing()
    assert warning is not None
    assert "python -m ahd.client.fetch" in warning
    status, headers, body = client.answer("socket.io.js", {})
    assert (status, headers["Cache-Control"]) == (503, "no-store")
    assert b"python -m ahd.client.fetch" in body
    assert client.answer("ahsocket.js", {})[0] == 200
    # It may come while the server runs.
    (folder / "socket.io.min.js").write_text("here")
    assert client.answer("socket.io.js", {})[0] == 200
