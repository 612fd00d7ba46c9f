"""Actions over HTTP: every way to call one, the envelope, statuses, origins, scripts, uploads."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahd import ActionError, Context, Upload, action
from ahd.core import errors
from ahd.servers.http import HttpRequest, HttpResponse
from ahd.servers.web.uploads import Uploads
from tests.web.building import Built
from tests.web.serving import DEADLINE, Answer, ask, exchange, head, parse, serving, until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
SEEN: dict[str, Any] = {"go on": threading.Event()}


@action(description="Adds two numbers", output_example={"sum": 3})
async def add(a: float, b: float = 0) -> dict[str, Any]:
    return {"sum": a + b}


@action
async def show(value: Any = None, names: list[str] | None = None, flag: bool = False) -> dict[str, Any]:
    return {"value": value, "names": names, "flag": flag}


@action
async def user(id: int) -> dict[str, Any]:
    return {"user": id}


@action
async def method_of(context: Context) -> dict[str, Any]:
    return {"method": context.method, "room": context.room, "address": context.remote_address}


@action
async def breaks() -> dict[str, Any]:
    raise RuntimeError("the secret inside")


@action
async def strange() -> dict[str, Any]:
    return {"value": {1, 2}}


@action
async def refuses() -> dict[str, Any]:
    raise ActionError("not today")


@action
async def slow(seconds: float = 5) -> dict[str, Any]:
    SEEN["slow"] = SEEN.get("slow", 0) + 1
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@action
def keep(file: Upload, note: str = "") -> dict[str, Any]:
    SEEN["path"] = file.path
    return {"text": file.path.read_text(), "name": file.name, "size": file.size, "note": note}


@action
def keep_long(file: Upload) -> dict[str, Any]:
    SEEN["go on"].wait(DEADLINE)
    SEEN["read"] = file.path.read_text() if file.path.exists() else None
    return {}


@action
async def count(files: list[Upload]) -> dict[str, Any]:
    return {"sizes": [file.size for file in files]}


FUNCTIONS = (add, show, user, method_of, breaks, strange, refuses, slow, keep, keep_long, count)


@asynccontextmanager
async def actions(tmp_path: Path, text: str = "{}", describe: Callable[[], bytes] | None = None) -> AsyncIterator[int]:
    built = Built(text, tmp_path, *FUNCTIONS, describe=describe)
    await built.open()
    async with serving(built.site, built.site.largest_body) as port:
        yield port
    await built.close()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with actions(tmp_path) as port:
        yield port


async def test_the_envelope(port: int) -> None:
    answer = await ask(port, "/api/add?a=1&b=2")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-powered-by"] == "ahd"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    document = answer.json
    assert document["sum"] == 3
    assert document["serverInformation"].keys() == {"serverName", "apiVersion", "requestDuration", "currentTime"}
    assert document["serverInformation"]["serverName"] == "ahd"
    assert isinstance(document["serverInformation"]["currentTime"], int)
    asker = document["requestorInformation"]
    assert asker["remoteAddress"] == "127.0.0.1"
    assert asker["receivedParams"] == {"action": "add", "a": "1", "b": "2", "limit": 100, "offset": 0}
    assert set(document) == {"sum", "serverInformation", "requestorInformation"}


@pytest.mark.parametrize(
    ("target", "method", "headers", "body"),
    [
        ("/api/add?a=1&b=2", "GET", {}, b""),
        ("/api/add/?a=1&b=2", "GET", {}, b""),
        ("/api?action=add&a=1&b=2", "GET", {}, b""),
        ("/api/?action=add&a=1&b=2", "GET", {}, b""),
        ("/api/add?a=%31&b=+2".replace("+", ""), "GET", {}, b""),
        ("/api/add?a=1", "POST", FORM, b"b=2"),
        ("/api/add", "POST", {}, b"a=1&b=2"),
        ("/api/add", "POST", FORM, b"a=1&b=2\r\n"),
        ("/api/add", "POST", JSON, b'{"a": 1, "b": 2}'),
        ("/api/add", "POST", {"Content-Type": "application/vnd.api+json"}, b'{"a": 1, "b": 2}'),
        ("/api/add", "POST", {"Content-Type": "application/json; charset=utf-8"}, b'{"a": 1, "b": 2}'),
        ("/api/add", "POST", {}, b' {"a": 1, "b": 2}'),
        ("/api/add?a=1", "POST", JSON, b'{"b": 2}'),
        ("/api", "POST", JSON, b'{"action": "add", "a": 1, "b": 2}'),
        ("/api/add?a=9", "PUT", JSON, b'{"a": 1, "b": 2}'),
        ("/api/add?a=1&b=2", "DELETE", {}, b""),
        ("/api/add", "PATCH", JSON, b'{"a": 1, "b": 2}'),
        ("/api/%61dd?a=1&b=2", "GET", {}, b""),
    ],
)
async def test_every_way_to_call(port: int, target: str, method: str, headers: dict[str, str], body: bytes) -> None:
    answer = await ask(port, target, method, headers, body)
    assert (answer.status, answer.json.get("sum")) == (200, 3), answer


async def test_text_is_converted_and_json_is_not(port: int) -> None:
    assert (await ask(port, "/api/show?flag=true&names=a&names=b")).json["names"] == ["a", "b"]
    assert (await ask(port, "/api/show?value=1")).json["value"] == "1"
    answer = await ask(port, "/api/show", "POST", JSON, b'{"flag": "true"}')
    assert (answer.status, answer.json["error"]) == (422, "Error: flag must be true or false")
    answer = await ask(port, "/api/show", "POST", JSON, b'{"value": {"a": [1, null]}, "flag": true}')
    assert (answer.json["value"], answer.json["flag"]) == ({"a": [1, None]}, True)
    for spelling in ("%C3%BC", "ü"):
        assert (await ask(port, f"/api/show?value={spelling}")).json["value"] == "ü"


async def test_the_method_reaches_the_action(port: int) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        assert (await ask(port, "/api/method_of", method)).json["method"] == method
    answer = await ask(port, "/api/method_of", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 100


@pytest.mark.parametrize(
    ("target", "method", "headers", "body", "status", "error"),
    [
        ("/api/none", "GET", {}, b"", 404, "Error: none is not a known action."),
        ("/api", "GET", {}, b"", 404, "Error: {no action} is not a known action."),
        ("/api/", "GET", {}, b"", 404, "Error: {no action} is not a known action."),
        ("/api/add/more", "GET", {}, b"", 404, "Error: add/more is not a known action."),
        ("/api/add", "GET", {}, b"", 422, "Error: a is a required parameter for this action"),
        ("/api/add?a=x", "GET", {}, b"", 422, "Error: a must be a number"),
        ("/api/breaks", "GET", {}, b"", 500, "Error: The server experienced an internal error"),
        ("/api/strange", "GET", {}, b"", 500, "Error: The server experienced an internal error"),
        ("/api/refuses", "GET", {}, b"", 422, "not today"),
        ("/api/add", "POST", JSON, b"{", 400, "Error: the body is not valid JSON"),
        (
            *("/api/add", "POST", {**JSON, "Content-Encoding": "gzip"}, b"\x1f\x8b", 415),
            "Error: a body with a Content-Encoding is not understood",
        ),
        ("/api/add", "POST", JSON, b"[" * 100_000, 400, "Error: the body is not valid JSON"),
        ("/api/add", "POST", JSON, b"[1]", 422, "Error: the body must be a JSON object"),
        ("/api/add", "POST", FORM, b"a=\xff", 400, "Error: the body is not valid UTF-8"),
        ("/api/add?a=%ff", "GET", {}, b"", 400, "Error: the query is not valid UTF-8"),
        ("/api/%ff", "GET", {}, b"", 400, "Error: the path is not valid UTF-8"),
        ("/api/add", "POST", {"Content-Type": "text/csv"}, b"a,b", 415, None),
        ("/api/add", "POST", {"Content-Type": "multipart/form-data"}, b"x", 400, None),
        ("/api/add", "POST", {"Content-Type": "multipart/form-data; boundary=b"}, b"x", 400, None),
        ("/api/add", "POST", FORM, b"&".join(b"p%d=1" % n for n in range(1001)), 400, None),
        ("/api/add", "POST", FORM, b"x" * 1001 + b"=1", 400, None),
        ("/api/add?callback=alert(1)", "GET", {}, b"", 422, None),
        ("/api/keep", "POST", JSON, b'{"file": {"path": "/etc/passwd"}}', 422, None),
        ("/api/keep?file=/etc/passwd", "GET", {}, b"", 422, None),
    ],
)
async def test_failures(
    port: int, target: str, method: str, headers: dict[str, str], body: bytes, status: int, error: str | None
) -> None:
    answer = await ask(port, target, method, headers, body)
    assert answer.status == status, answer
    assert error is None or answer.json["error"] == error
    assert {"error", "serverInformation", "requestorInformation"} <= answer.json.keys()
    assert b"secret" not in answer.body


async def test_statuses_may_be_turned_off(tmp_path: Path) -> None:
    async with actions(tmp_path, "commonWeb: {returnErrorCodes: false}") as port:
        answer = await ask(port, "/api/none")
        assert (answer.status, answer.json["error"]) == (200, "Error: none is not a known action.")


async def test_a_body_has_its_limit(tmp_path: Path) -> None:
    async with actions(tmp_path, "commonWeb: {maxBodySize: 1000}") as port:
        assert (await ask(port, "/api/show", "POST", FORM, b"value=" + b"x" * 900)).status == 200
        answer = await ask(port, "/api/show", "POST", FORM, b"value=" + b"x" * 1000)
        assert (answer.status, answer.json) == (413, {"error": "The body is too large; the limit is 1000 bytes."})


async def test_an_action_that_takes_too_long(tmp_path: Path) -> None:
    async with actions(tmp_path, "general: {actionTimeout: 0.05}") as port:
        answer = await ask(port, "/api/slow")
        assert (answer.status, answer.json["error"]) == (504, "Error: the action took too long")


async def test_one_client_has_a_bounded_number_under_way(tmp_path: Path) -> None:
    async with actions(tmp_path, "general: {simultaneousActions: 2}") as port:
        cookie = {"Cookie": "sessionID=" + "x" * 32}
        answers = await asyncio.gather(
            *(ask(port, "/api/slow?seconds=0.2", headers=cookie) for _ in range(4)),
            *(ask(port, "/api/slow?seconds=0.2") for _ in range(4)),
        )
        assert sorted(answer.status for answer in answers[:4]) == [200, 200, 429, 429]
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.json["error"] == "you have too many pending requests"
        assert refused.headers["retry-after"] == "1"
        assert {answer.status for answer in answers[4:]} == {200}


async def test_a_server_that_shuts_down_says_so(tmp_path: Path) -> None:
    built = Built("{}", tmp_path, *FUNCTIONS)
    await built.open()
    async with serving(built.site, 1000) as port:
        pending = asyncio.ensure_future(ask(port, "/api/slow"))
        await until(lambda: built.runner.running > 0)
        await built.runner.stop()
        for answer in (await pending, await ask(port, "/api/add?a=1")):
            assert (answer.status, answer.json["error"]) == (503, "the server is shutting down")
    await built.close()


async def test_requests_have_ids(port: int) -> None:
    first, second = await ask(port, "/api/status"), await ask(port, "/api/none")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    answer = await ask(port, "/api/status", headers={"X-Request-ID": "from-the-proxy.1"})
    assert answer.headers["x-request-id"] == "from-the-proxy.1"
    answer = await ask(port, "/api/status", headers={"X-Request-ID": "<script>"})
    assert answer.headers["x-request-id"] != "<script>"


ROUTES = """
commonWeb:
  routes:
    get: [{path: "/users/:id", action: user}, {path: /sum, action: add}]
    all: [{path: "/any/:value", action: show}]
    post: [{path: /sum/all, action: add}]
"""


async def test_routes(tmp_path: Path) -> None:
    async with actions(tmp_path, ROUTES) as port:
        answer = await ask(port, "/api/users/17?limit=5")
        assert (answer.status, answer.json["user"]) == (200, 17)
        assert answer.json["requestorInformation"]["receivedParams"]["action"] == "user"
        assert (await ask(port, "/api/users/17?id=18&action=add")).json["user"] == 17
        assert (await ask(port, "/api/users/%31%37/")).json["user"] == 17
        assert (await ask(port, "/api/users/x")).status == 422
        assert (await ask(port, "/api/users/17", "HEAD")).status == 200
        for method in ("GET", "POST", "DELETE"):
            assert (await ask(port, "/api/any/a%2Fb", method)).json["value"] == "a/b"
        answer = await ask(port, "/api/users/17", "POST")
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert (await ask(port, "/api/users/17/18")).status == 404
        assert (await ask(port, "/api/sum?a=1&b=2")).json["sum"] == 3
        answer = await ask(port, "/api/sum/all", "POST", JSON, b'{"a": 4}')
        assert answer.json["sum"] == 4
        assert (await ask(port, "/api/add?a=1")).status == 200


async def test_other_paths_may_be_actions_too(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the page")
    text = "commonWeb: {rootEndpointType: api, urlPathForActions: v1/call, urlPathForFiles: files}"
    async with actions(tmp_path, text) as port:
        assert (await ask(port, "/add?a=1")).json["sum"] == 1
        assert (await ask(port, "/v1/call/add?a=1")).json["sum"] == 1
        assert (await ask(port, "/")).status == 404
        assert (await ask(port, "/files/")).body == b"the page"


async def test_scripts_from_before_cors(port: int) -> None:
    answer = await ask(port, "/api/show?value=%E2%80%A8&callback=my.call_back1")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.body.startswith(b"/**/my.call_back1({")
    assert answer.body.endswith(b"});")
    assert b"\xe2\x80\xa8" not in answer.body
    document = json.loads(answer.body[len(b"/**/my.call_back1(") : -2])
    assert document["value"] == "\u2028"
    assert "callback" not in document["requestorInformation"]["receivedParams"]
    assert (await ask(port, "/api/none?callback=f")).status == 200
    foreign = {"Sec-Fetch-Site": "cross-site", "Referer": "http://evil.example/page"}
    assert (await ask(port, "/api/add?a=1&callback=f", headers=foreign)).status == 403
    for old in ("http://evil.example/page", "http://[::bad", "nonsense"):
        # A browser that does not say of what kind the page is still says its address.
        assert (await ask(port, "/api/add?a=1&callback=f", headers={"Referer": old})).status == 403
    for own in ({"Sec-Fetch-Site": "same-origin"}, {"Referer": "http://127.0.0.1/page"}, {}):
        assert (await ask(port, "/api/add?a=1&callback=f", headers=own)).status == 200
    for name in ("a%20b", "a;b", "1a", "a.", "a" * 101, "<x>", "a%0a", "%C3%BC", "x&callback=y"):
        assert (await ask(port, f"/api/add?a=1&callback={name}")).status == 422, name


async def test_pages_of_other_origins(tmp_path: Path) -> None:
    async with actions(tmp_path, "commonWeb: {allowedOrigins: ['https://good.example']}") as port:
        good = {"Origin": "https://good.example"}
        answer = await ask(port, "/api/add?a=1", headers=good)
        assert answer.headers["access-control-allow-origin"] == "https://good.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
        preflight = {**good, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
        answer = await ask(port, "/api/add", "OPTIONS", preflight)
        assert answer.status == 204
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert "Content-Type" in answer.headers["access-control-allow-headers"]
        own = {"Origin": "http://127.0.0.1"}
        assert (await ask(port, "/api/add?a=1", headers=own)).status == 200
        SEEN.pop("slow", None)
        for origin in ("https://evil.example", "http://good.example", "null", "garbage"):
            for method in ("GET", "POST", "OPTIONS"):
                answer = await ask(port, "/api/slow?seconds=0", method, {"Origin": origin})
                assert answer.status == 403, origin
                assert "access-control-allow-origin" not in answer.headers
        assert "slow" not in SEEN


async def test_any_origin_without_credentials(tmp_path: Path) -> None:
    async with actions(tmp_path, "commonWeb: {allowedOrigins: ['*']}") as port:
        answer = await ask(port, "/api/add?a=1", headers={"Origin": "https://any.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_options_without_an_origin(port: int) -> None:
    answer = await ask(port, "/api/add", "OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert "POST" in answer.headers["allow"]


async def test_uploads(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    async with (
        actions(tmp_path, f"commonWeb: {{uploadDirectory: '{folder}'}}") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        files = {"file": ("../../evil ü.txt", b"the text", "text/plain")}
        document = (await client.post("/api/keep", data={"note": "n"}, files=files)).json()
        assert (document["text"], document["size"], document["note"]) == ("the text", 8, "n")
        assert document["name"] == "../../evil ü.txt"
        received = document["requestorInformation"]["receivedParams"]["file"]
        assert received == {"name": "../../evil ü.txt", "type": "text/plain", "size": 8}
        assert SEEN["path"].parent.parent == folder
        assert not SEEN["path"].exists()
        both = [("files", ("a", b"1")), ("files", ("b", b"22"))]
        assert (await client.post("/api/count", files=both)).json()["sizes"] == [1, 2]
        assert (await client.post("/api/count", files=both[:1])).json()["sizes"] == [1]
        for wrong in ("/api/none", "/api/breaks", "/api/add"):
            assert (await client.post(wrong, files=files)).status_code in (404, 422, 500)
        assert list(folder.iterdir()) == []
        folder.rmdir()
        assert (await client.post("/api/keep", files=files)).status_code == 503


async def test_an_upload_is_removed_when_its_client_has_gone(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    async with actions(
        tmp_path, f"{{general: {{actionTimeout: 0.3}}, commonWeb: {{uploadDirectory: '{folder}'}}}}"
    ) as port:
        body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n123\r\n--b--\r\n'
        fields = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(len(body))}
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("POST", "/api/slow", fields) + body)
        await until(lambda: list(folder.iterdir()) != [])
        writer.close()
        await until(lambda: list(folder.iterdir()) == [])


async def test_an_upload_stays_as_long_as_its_action(tmp_path: Path) -> None:
    """Neither a time-out nor the end of the client's membership takes the file from under an action that goes on."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    files = {"file": ("x", b"the text")}
    text = f"{{general: {{actionTimeout: 0.2}}, commonWeb: {{uploadDirectory: '{folder}'}}}}"
    built = Built(text, tmp_path, *FUNCTIONS)
    await built.open()
    async with (
        serving(built.site, built.site.largest_body) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/api/chat?method=roomView")).status_code == 200
        for ending, status in (("time-out", 504), ("membership", 422)):
            SEEN["go on"].clear()
            asked = asyncio.ensure_future(client.post("/api/keep_long", files=files))
            await until(lambda: built.runner.running == 1)
            if ending == "membership":
                (member,) = built.web.clients.connections().values()
                member.close(errors.CLIENT_QUIT)
            assert (await asked).status_code == status
            assert [path.read_bytes() for path in folder.rglob("0")] == [b"the text"], ending
            SEEN["go on"].set()
            await until(lambda: list(folder.iterdir()) == [])
            assert SEEN.pop("read") == "the text"
        SEEN["go on"].clear()
        asked = asyncio.ensure_future(client.post("/api/keep_long", files=files))
        await until(lambda: list(folder.iterdir()) != [] and built.runner.running == 1)
        await built.close()
        assert list(folder.iterdir()) == []
        SEEN["go on"].set()
        await asked


async def test_a_client_that_goes_while_its_upload_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    go_on, write = threading.Event(), Uploads.write
    states: list[str] = []

    def slowly(uploads: Uploads) -> dict[str, Any]:
        states.append("begun")
        go_on.wait(DEADLINE)
        try:
            return write(uploads)
        finally:
            states.append("written")

    monkeypatch.setattr(Uploads, "write", slowly)
    async with actions(tmp_path, f"commonWeb: {{uploadDirectory: '{folder}'}}") as port:
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n123\r\n--b--\r\n'
        fields = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(len(body))}
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("POST", "/api/keep", fields) + body)
        await until(lambda: states == ["begun"])
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        go_on.set()
        await until(lambda: states == ["begun", "written"] and list(folder.iterdir()) == [])


async def test_the_description_is_served(tmp_path: Path) -> None:
    async with actions(tmp_path, describe=lambda: b'{"openapi": "3.1.0"}') as port:
        answer = await ask(port, "/api/openapi.json", headers={"Origin": "http://127.0.0.1"})
        assert answer.json == {"openapi": "3.1.0"}
        assert answer.headers["access-control-allow-origin"]
    async with actions(tmp_path) as port:
        assert (await ask(port, "/api/openapi.json")).status == 404


async def test_what_may_be_reloaded(tmp_path: Path) -> None:
    built = Built("{}", tmp_path, *FUNCTIONS)
    await built.open()
    async with serving(built.site, 1000) as port:
        other = Built(
            """
            general: {serverName: other, apiVersion: '2', serverErrorMessage: changed}
            commonWeb: {returnErrorCodes: false, httpHeaders: {X-New: yes}, routes: {get: [{path: /s, action: add}]}}
            """,
            tmp_path,
        ).config
        assert (await ask(port, "/api/s?a=1")).status == 404
        built.web.configure(other.common_web, other.general)
        answer = await ask(port, "/api/s?a=1")
        assert (answer.json["sum"], answer.headers["x-new"]) == (1, "yes")
        assert answer.json["serverInformation"]["serverName"] == "other"
        assert (await ask(port, "/api/none")).status == 200
    await built.close()


DOCUMENTED = {200, 204, 400, 403, 404, 405, 413, 415, 422}
TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["add", "show", "a=1", "&", "=", "%", "%00", "%ff", "+", "/", "?", "callback=", "action=", "users"]
    ),
)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    path=st.lists(TEXT, max_size=4).map("".join),
    query=st.lists(TEXT, max_size=6).map("".join),
    kind=st.one_of(
        st.sampled_from(
            ["", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "x/y"]
        ),
        st.text(max_size=20),
    ),
    body=st.one_of(
        st.binary(max_size=60),
        st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=4).map(lambda d: json.dumps(d).encode()),
        st.lists(
            st.sampled_from(
                [b"--b\r\n", b"--b--\r\n", b'Content-Disposition: form-data; name="a"\r\n', b"\r\n", b"x\r\n"]
            ),
            max_size=8,
        ).map(b"".join),
    ),
    headers=st.dictionaries(
        st.sampled_from(["origin", "cookie", "x-request-id", "accept", "referer", "sec-fetch-site", "host"]),
        st.text(max_size=20),
        max_size=4,
    ),
)
async def test_whatever_is_sent_the_answer_is_documented(
    tmp_path: Path, method: str, path: str, query: str, kind: str, body: bytes, headers: dict[str, str]
) -> None:
    built = Built(ROUTES, tmp_path, add, show, user)
    await built.open()
    latin = [text.encode("utf-8", "replace").decode("latin-1") for text in (path, query)]
    fields = {**headers, **({"content-type": kind} if kind else {})}
    request = HttpRequest(method, f"/api/{latin[0]}", latin[1], fields, body, "127.0.0.1", "http")
    answer = built.site.answer(request)
    if not isinstance(answer, HttpResponse):
        answer = await answer
    assert answer.status in DOCUMENTED, answer
    for name, value in answer.headers:
        assert name.isascii()
        assert "\r" not in value
        assert "\n" not in value
        value.encode("latin-1")
    if dict(answer.headers).get("Content-Type", "").startswith("application/json"):
        json.loads(answer.body)
    await built.close()


async def test_pipelined_calls_are_answered_in_order(port: int) -> None:
    data = b"".join(head("GET", f"/api/add?a={n}") for n in range(20)) + head(
        "GET", "/api/slow?seconds=0", {"Connection": "close"}
    )
    rest = await exchange(port, data)
    answers: list[Answer] = []
    while rest:
        answer, rest = parse(rest)
        answers.append(answer)
    assert [answer.json.get("sum") for answer in answers] == [*range(20), None]
