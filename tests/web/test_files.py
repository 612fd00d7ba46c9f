"""Files: what is served, how it may be asked for, and that there is no way out of the directory."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahd.servers.http import HttpRequest
from ahd.servers.web.content import KEPT_FILE, Content, Kept, Stamp
from ahd.servers.web.files import Files, names
from ahd.servers.web.site import Mount, Site
from tests.web.serving import ask, serving

SECRET = b"the secret outside"
TEXT = b"some text, said often. " * 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "public-else").mkdir()
    (tmp_path / "public-else" / "secret.txt").write_bytes(SECRET)
    root = tmp_path / "public"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "sub" / "index.html").write_text("<h1>sub</h1>")
    (root / "text.txt").write_bytes(TEXT)
    (root / "large.bin").write_bytes(os.urandom(KEPT_FILE * 3))
    (root / "ü ö.txt").write_text("names of the world")
    (root / "a%2e.txt").write_text("percent")
    (root / ".env").write_bytes(SECRET)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(SECRET)
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_text("Contact: none")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "beside").symlink_to(tmp_path / "public-else")
    (root / "loop").symlink_to(root / "loop")
    (root / "inner.txt").symlink_to(root / "text.txt")
    os.mkfifo(root / "pipe")
    return root


def service(folder: Path, max_age: int = 60) -> Site:
    files = Files(folder, "index.html", max_age)
    return Site(
        [
            Mount("/public", lambda request: files.answer(request, request.path[len("/public/") :])),
            Mount("", lambda request: files.answer(request, request.path[1:])),
        ],
        {"X-Powered-By": "ahd"},
        "server error",
    )


@pytest.fixture
async def port(folder: Path) -> AsyncIterator[int]:
    async with serving(service(folder)) as port:
        yield port


async def test_a_file_comes_with_its_type_tag_and_dates(port: int) -> None:
    answer = await ask(port, "/text.txt")
    assert (answer.status, answer.body) == (200, TEXT)
    headers = answer.headers
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["etag"].startswith('"')
    assert headers["last-modified"].endswith("GMT")
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-powered-by"] == "ahd"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    assert "date" in headers


async def test_both_addresses_of_a_file_and_the_index(port: int) -> None:
    assert (await ask(port, "/public/text.txt")).body == TEXT
    assert (await ask(port, "/")).body == b"<h1>hello</h1>"
    assert (await ask(port, "/public/sub/")).body == b"<h1>sub</h1>"
    assert (await ask(port, "/inner.txt")).body == TEXT
    assert (await ask(port, "/%C3%BC%20%C3%B6.txt")).body == b"names of the world"
    assert (await ask(port, "/a%252e.txt")).body == b"percent"
    assert (await ask(port, "/.well-known/security.txt")).body == b"Contact: none"
    assert (await ask(port, "http://127.0.0.1/text.txt")).body == TEXT


async def test_a_directory_without_its_slash_is_redirected(port: int) -> None:
    answer = await ask(port, "/public/sub?a=1&b=%0d%0a")
    assert (answer.status, answer.headers["location"]) == (301, "/public/sub/?a=1&b=%0d%0a")
    assert (await ask(port, "/sub/deep/")).status == 404
    assert (await ask(port, "//sub")).status == 404


async def test_an_unchanged_file_is_not_sent_again(port: int, folder: Path) -> None:
    first = await ask(port, "/text.txt")
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": modified},
    ):
        answer = await ask(port, "/text.txt", headers=headers)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == tag
    for headers in (
        {"If-None-Match": '"other"', "If-Modified-Since": modified},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "nonsense"},
    ):
        assert (await ask(port, "/text.txt", headers=headers)).status == 200
    (folder / "text.txt").write_bytes(b"changed")
    answer = await ask(port, "/text.txt", headers={"If-None-Match": tag})
    assert (answer.status, answer.body) == (200, b"changed")


async def test_preconditions_that_do_not_hold(port: int) -> None:
    assert (await ask(port, "/text.txt", headers={"If-Match": '"other"'})).status == 412
    past = {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert (await ask(port, "/text.txt", headers=past)).status == 412


async def test_gzip_when_it_is_accepted(port: int) -> None:
    plain = await ask(port, "/text.txt")
    assert plain.headers["vary"] == "Accept-Encoding"
    zipped = await ask(port, "/text.txt", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == TEXT
    assert len(zipped.body) < len(TEXT)
    assert zipped.headers["etag"] != plain.headers["etag"]
    same = {"Accept-Encoding": "gzip", "If-None-Match": zipped.headers["etag"]}
    assert (await ask(port, "/text.txt", headers=same)).status == 304
    for refused in ("gzip;q=0", "br", "identity"):
        answer = await ask(port, "/text.txt", headers={"Accept-Encoding": refused})
        assert "content-encoding" not in answer.headers
    assert "content-encoding" not in (await ask(port, "/large.bin", headers={"Accept-Encoding": "gzip"})).headers


@pytest.mark.parametrize("name", ["text.txt", "large.bin"])
async def test_ranges(port: int, folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    size = len(whole)
    for wanted, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=-7", size - 7, size - 1),
        (f"bytes={size - 5}-", size - 5, size - 1),
        (f"bytes=5-{size * 2}", 5, size - 1),
        (f"bytes=-{size * 2}", 0, size - 1),
    ):
        answer = await ask(port, f"/{name}", headers={"Range": wanted, "Accept-Encoding": "gzip"})
        assert (answer.status, answer.body) == (206, whole[first : last + 1]), wanted
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert "content-encoding" not in answer.headers
    for wanted in ("bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=0-1,3-4", "bytes=-", "bytes"):
        answer = await ask(port, f"/{name}", headers={"Range": wanted})
        assert (answer.status, answer.body) == (200, whole), wanted
    for wanted in (f"bytes={size}-", "bytes=-0"):
        answer = await ask(port, f"/{name}", headers={"Range": wanted})
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")
    tag = (await ask(port, f"/{name}")).headers["etag"]
    assert (await ask(port, f"/{name}", headers={"Range": "bytes=0-1", "If-Range": tag})).status == 206
    assert (await ask(port, f"/{name}", headers={"Range": "bytes=0-1", "If-Range": '"other"'})).status == 200


@pytest.mark.parametrize("target", ["/", "/text.txt", "/large.bin", "/none"])
async def test_head_says_what_get_would(port: int, target: str) -> None:
    get, head = await ask(port, target), await ask(port, target, "HEAD")
    assert head.status == get.status
    assert head.body == b""
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


async def test_other_methods(port: int) -> None:
    answer = await ask(port, "/text.txt", "OPTIONS")
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
        answer = await ask(port, "/text.txt", method)
        assert answer.status == 405, method
        assert "GET" in answer.headers["allow"]
        assert "error" in answer.json
    assert (await ask(port, "*", "OPTIONS")).status == 204


async def test_a_body_where_none_belongs_is_refused_before_it_is_read(port: int) -> None:
    answer = await ask(port, "/text.txt", "POST", {"Content-Length": "900000"}, b"x")
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    del chunked["Content-Length"]
    answer = await ask(port, "/text.txt", "PUT", {**chunked}, b"5\r\nabcde\r\n0\r\n\r\n")
    assert answer.status in (400, 413)


async def test_what_is_not_there(port: int) -> None:
    answer = await ask(port, "/none.txt")
    assert (answer.status, answer.json) == (404, {"error": "There is no such file."})
    assert answer.headers["cache-control"] == "no-store"
    page = await ask(port, "/<script>", headers={"Accept": "text/html,*/*"})
    assert page.status == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<script>" not in page.body


ESCAPES = [
    "/../secret.txt",
    "/public/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/public/%2e%2e/%2e%2e/secret.txt",
    "/%252e%252e/secret.txt",
    "/..%2fsecret.txt",
    "/..%252fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/.%00./secret.txt",
    "/text.txt%00.html",
    "/..;/secret.txt",
    "/....//secret.txt",
    "/sub/../../secret.txt",
    "/sub/..%2f..%2fsecret.txt",
    "//secret.txt",
    "/%2fsecret.txt",
    "///etc/passwd",
    "/%2fetc%2fpasswd",
    "/public//etc/passwd",
    "/out.txt",
    "/out/secret.txt",
    "/out/public/text.txt/../../secret.txt",
    "/beside/secret.txt",
    "/../public-else/secret.txt",
    "/loop",
    "/pipe",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/.GIT/config",
    "/sub/./index.html",
    "/~root/secret.txt",
    "/text.txt/",
    "/text.txt/x",
    "/" + "a" * 300,
    "/" + "a/" * 2000,
    "/%ff",
    "/%",
    "/%zz",
]


@pytest.mark.parametrize("target", ESCAPES)
async def test_nothing_outside_the_directory(port: int, target: str) -> None:
    answer = await ask(port, target)
    assert answer.status == 404, answer
    assert SECRET not in answer.body
    assert b"Traceback" not in answer.body


async def test_a_link_that_is_turned_outside_later_is_not_followed(folder: Path, tmp_path: Path) -> None:
    async with serving(service(folder)) as port:
        assert (await ask(port, "/text.txt")).status == 200
        (folder / "text.txt").unlink()
        (folder / "text.txt").symlink_to(tmp_path / "secret.txt")
        assert (await ask(port, "/text.txt")).status == 404


async def test_caching_may_be_turned_off(folder: Path) -> None:
    async with serving(service(folder, max_age=0)) as port:
        assert (await ask(port, "/text.txt")).headers["cache-control"] == "no-cache"


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["..", ".", "/", "//", "\\", "%2e", "%2E", "%2f", "%5c", "%00", "%25", "secret.txt", "out", "sub"]
        ),
        st.text(max_size=4),
    ),
    max_size=10,
).map("".join)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=PIECES)
def test_whatever_the_path_the_answer_is_inside(folder: Path, path: str) -> None:
    files = Files(folder, "index.html", 60)
    answer = files.answer(HttpRequest("GET", f"/{path}", "", {}, b"", "127.0.0.1", "http"), path)
    assert answer.status in (200, 301, 404)
    assert answer.body != SECRET
    if answer.file is not None:
        answer.file.close()
    if answer.status == 301:
        location = dict(answer.headers)["Location"]
        assert location.startswith("/")
        assert not location.startswith("//")


def test_names_are_decoded_once() -> None:
    assert names("a/b%20c") == ["a", "b c"]
    assert names("a/") == ["a", ""]
    assert names("") == [""]
    assert names("%252e%252e") == ["%2e%2e"]
    assert names("a//b") is None


def test_what_is_kept_in_memory_is_bounded() -> None:
    kept = Kept(bound=1000)
    for number in range(50):
        kept.put(str(number), Content(Stamp(number, 100, number), "text/plain", '"x"', b"x" * 100, b""))
    assert kept.get("0", Stamp(0, 100, 0)) is None
    assert kept.get("49", Stamp(49, 100, 49)) is not None
    assert kept.get("49", Stamp(50, 100, 49)) is None
