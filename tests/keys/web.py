"""Proofs of commonWeb, chat, log and shutdown."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from tests.harness.raw import Answer
from tests.harness.waiting import accepts, eventually
from tests.keys.proving import ACTIONS, Node, Proof, Room, ask, call

WITH_ACTIONS = {"actions": {"modules": [ACTIONS]}}
ORIGIN = "https://other.example"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def files(room: Room) -> str:
    """A directory of files to serve."""
    directory = room.directory / "files"
    directory.mkdir()
    for name in ("index.html", "start.html", "hello.txt"):
        (directory / name).write_text(name)
    return str(directory)


def uploads(room: Room) -> str:
    directory = room.directory / "uploads"
    directory.mkdir()
    return str(directory)


def status_of(path: str) -> Any:
    def observe(node: Node) -> Any:
        return node.get(path).status

    return observe


def header_of(name: str, path: str = "/", **headers: str) -> Any:
    def observe(node: Node) -> Any:
        return node.get(path, headers=headers).headers[name]

    return observe


def text_of(path: str) -> Any:
    def observe(node: Node) -> Any:
        answer = node.get(path)
        return answer.text if answer.status == 200 and len(answer.body) < 100 else answer.status

    return observe


def routed(node: Node) -> Any:
    """The methods that the routes of `every_route` answer, each at the path named after the key it stands below."""
    return {
        method: [key for key in EVERY_ROUTE if node.get(f"/api/proof/{key}", method=method).status == 200]
        for method in METHODS
    }


EVERY_ROUTE = {
    key: [{"path": f"/proof/{key}", "action": "randomNumber"}]
    for key in ("all", "get", "post", "put", "patch", "delete")
}
ONE_ROUTE = {"get": [{"path": "/proof/one", "action": "randomNumber"}]}


def one_route(node: Node) -> Any:
    """What the two paths that a route may have answer with: the keys of the actions' own."""
    found = []
    for path in ("/api/proof/one", "/api/proof/two"):
        answer = node.get(path).json()
        found.append(next((key for key in ("randomNumber", "actions") if key in answer), None))
    return found


def cookie(node: Node) -> str:
    return node.get("/api/randomNumber").headers["Set-Cookie"] or ""


def cookie_name(node: Node) -> Any:
    return cookie(node).partition("=")[0]


def known_again(node: Node) -> Any:
    ids = {node.get("/api/randomNumber").json()["requestorInformation"]["id"] for _ in range(2)}
    return len(ids) == 1


def max_age(node: Node) -> Any:
    return [part.strip() for part in cookie(node).split(";") if "max-age" in part.lower()]


def chat(node: Node, who: str, **params: str) -> Answer:
    """A call of chat by an HTTP client; its name is made a cookie of the right form."""
    query = "&".join(f"{key}={value}" for key, value in params.items())
    return node.get(f"/api/chat?{query}", headers={"Cookie": f"sessionID={who * 20}"})


def two_says(pause: float) -> Any:
    """What waits for an HTTP client after two says: the texts, and how many it has missed."""

    def observe(node: Node) -> Any:
        for who in "ab":
            chat(node, who, method="roomView")
        for who in "ab":
            chat(node, who, method="messages")
        for text in ("one", "two"):
            assert chat(node, "b", method="say", message=text).status == 200
        # Longer than what was said may wait, where that is bounded.
        time.sleep(pause)
        answer = chat(node, "a", method="messages").json()
        for who in "ab":
            chat(node, who, method="quit")
        return [say["message"] for say in answer["messages"]], answer["missed"]

    return observe


def left_by_itself(node: Node) -> Any:
    """Whether an HTTP client that makes no more requests is announced as gone within a second."""
    with node.websocket() as listener:
        chat(node, "c", method="roomView")
        listener.until('42["say"')
        try:
            return "left" in listener.until('42["say"', 1)
        except (TimeoutError, AssertionError):
            return False


def one_client(node: Node) -> Any:
    return chat(node, "d", method="roomView").json().get("error", "OK")


def body_of_300(node: Node) -> Any:
    body = json.dumps({"key": "k", "value": "x" * 300})
    return node.get("/api/cacheTest", method="POST", body=body, headers={"Content-Type": "application/json"}).status


def uploaded_to(node: Node) -> Any:
    """Whether an uploaded file is in the directory that the test has made."""
    body = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = node.get("/api/where", method="POST", body=body, headers=headers).json()
    return Path(answer["directory"]).is_relative_to(node.room.thing(uploads))


def web(key: str, value: Any, observe: Any, usual: Any, changed: Any, **options: Any) -> Proof:
    return Proof(("commonWeb", *key.split(".")), value, observe, usual, changed, **options)


NONE_WAIT: Any = (["one", "two"], 0)

COMMON_WEB = [
    web("urlPathForActions", "rpc", status_of("/rpc/randomNumber"), 404, 200),
    web("urlPathForFiles", "files", status_of("/files/index.html"), 404, 200),
    web("rootEndpointType", "api", status_of("/randomNumber"), 404, 200),
    web("flatFileDirectory", files, text_of("/hello.txt"), 404, "hello.txt"),
    web(
        "directoryFileType",
        "start.html",
        text_of("/"),
        "index.html",
        "start.html",
        base={"commonWeb": {"flatFileDirectory": files}},
    ),
    web(
        "flatFileCacheDuration",
        7,
        header_of("Cache-Control", "/hello.txt"),
        "public, max-age=60",
        "public, max-age=7",
        base={"commonWeb": {"flatFileDirectory": files}},
    ),
    web("httpHeaders", {"X-Proof": "yes"}, header_of("X-Proof", "/api/randomNumber"), None, "yes"),
    web(
        "allowedOrigins",
        [ORIGIN],
        header_of("Access-Control-Allow-Origin", "/api/randomNumber", Origin=ORIGIN),
        None,
        ORIGIN,
    ),
    web("returnErrorCodes", False, status_of("/api/nothing"), 404, 200),
    web(
        "routes",
        EVERY_ROUTE,
        routed,
        {method: [] for method in METHODS},
        {method: ["all", method.lower()] for method in METHODS},
    ),
    web(
        "routes.get",
        [{"path": "/proof/two", "action": "randomNumber"}],
        one_route,
        ["randomNumber", None],
        [None, "randomNumber"],
        base={"commonWeb": {"routes": ONE_ROUTE}},
        note="path",
    ),
    web(
        "routes.get",
        [{"path": "/proof/one", "action": "actionsView"}],
        one_route,
        ["randomNumber", None],
        ["actions", None],
        base={"commonWeb": {"routes": ONE_ROUTE}},
        note="action",
    ),
    web("fingerprintOptions.cookieKey", "who", cookie_name, "sessionID", "who"),
    web("fingerprintOptions.toSetCookie", False, cookie_name, "sessionID", ""),
    web("fingerprintOptions.onlyStaticElements", True, known_again, False, True),
    web("fingerprintOptions.maxAge", 100, max_age, [], ["Max-Age=100"]),
    web("httpClientMessageTTL", 1, two_says(0.02), NONE_WAIT, ([], 2)),
    web("httpClientTimeout", 0.1, left_by_itself, False, True),
    web("httpClientMessages", 1, two_says(0), NONE_WAIT, (["two"], 1)),
    web("httpClients", 0, one_client, "OK", "too many HTTP clients are in rooms; try again later"),
    web("maxBodySize", 200, body_of_300, 200, 413),
    web("uploadDirectory", uploads, uploaded_to, False, True, base=WITH_ACTIONS),
]

# -- chat


def announced(node: Node) -> Any:
    """The says that a client has heard when another one has come."""
    with node.websocket() as first, node.websocket():
        first.send('421["detailsView",{}]')
        heard = []
        while not (packet := str(first.receive())).startswith("431["):
            if packet.startswith('42["say"'):
                heard.append(json.loads(packet[2:])[1]["message"])
        return heard


def verb_error(verb: str, data: Any) -> Any:
    def observe(node: Node) -> Any:
        with node.websocket() as client:
            return ask(client, verb, data).get("error", "OK")

    return observe


CHAT = [
    Proof(("chat", "announce"), False, announced, ["I have entered the room"], []),
    Proof(
        ("chat", "maxRoomNameLength"),
        12,
        verb_error("roomChange", {"room": "x" * 20}),
        "OK",
        "room must be a string of 1 to 12 characters without control characters",
    ),
    Proof(
        ("chat", "maxMessageSize"),
        10,
        verb_error("say", {"message": "x" * 20}),
        "OK",
        "message is too large",
    ),
]

# -- log and shutdown


def levels(node: Node) -> Any:
    node.daemon.stop()
    return [line["level"] for line in node.daemon.events("pluginWrote")]


def first_line_is_json(node: Node) -> Any:
    node.daemon.stop()
    return node.daemon.lines[0].startswith("{")


def request_lines(node: Node) -> Any:
    """The verbs and paths that the log tells of."""
    with node.websocket() as client:
        call(client, "randomNumber")
    node.get("/api/randomNumber")
    node.end()
    verbs = [line["verb"] for line in node.daemon.events("request")]
    return sorted(set(verbs)), "/api/randomNumber" in [line["path"] for line in node.daemon.events("webRequest")]


def logged_params(node: Node) -> Any:
    with node.websocket() as client:
        call(client, "randomNumber", sum="3", password="4")
    params = node.daemon.wait_for_event("request")["params"]
    return params["sum"], params["password"]


WRITES = {"general": {"plugins": ["tests.keys.plugin:write_every_level"]}}

LOG = [
    Proof(
        ("log", "level"),
        "debug",
        levels,
        ["info", "warn", "error"],
        ["debug", "info", "warn", "error"],
        base=WRITES,
        fresh=True,
        quiet=True,
        note="debug",
    ),
    Proof(
        ("log", "level"),
        "warning",
        levels,
        ["info", "warn", "error"],
        ["warn", "error"],
        base=WRITES,
        fresh=True,
        quiet=True,
        note="warning",
    ),
    Proof(
        ("log", "level"),
        "error",
        levels,
        ["info", "warn", "error"],
        ["error"],
        base=WRITES,
        fresh=True,
        quiet=True,
        note="error",
    ),
    Proof(("log", "format"), "text", first_line_is_json, True, False, fresh=True, quiet=True),
    Proof(("log", "logRequests"), False, request_lines, (["action"], True), ([], False), fresh=True),
    Proof(("log", "filteredParams"), ["SUM"], logged_params, ("3", "[FILTERED]"), ("[FILTERED]", "4"), fresh=True),
]


def listens_while_it_waits(node: Node) -> Any:
    """Whether the listener is still there for some time after SIGTERM."""
    port = node.daemon.port
    code, seconds = 0, 0.0
    node.daemon.signal(signal.SIGTERM)
    node.daemon.wait_for_event("draining")
    listening = accepts(port)
    code, seconds = node.end() if not node.daemon.running else _ended(node)
    return code, listening and seconds >= 0.5


def _ended(node: Node) -> tuple[int, float]:
    node.daemon.wait()
    return node.end()


def spread(node: Node) -> Any:
    """Whether twelve connections are closed over more than 0.4 s."""
    clients = [node.websocket() for _ in range(12)]
    code, seconds = node.end()
    for client in clients:
        client.close()
    return code, seconds >= 0.4


def waits_for_an_action(node: Node) -> Any:
    """The exit code with an action of 3 s under way, and whether it ended before the action could."""
    with node.websocket() as client:
        client.send('421["action",{"action":"sleepTest","sleepDuration":3000}]')
        eventually(lambda: node.get("/api/status").json()["stats"]["pendingActions"] > 1)
        code, seconds = node.end()
    return code, seconds < 2


SHUTDOWN = [
    Proof(("shutdown", "delay"), 0.6, listens_while_it_waits, (0, False), (0, True), fresh=True),
    Proof(("shutdown", "drain"), 1, spread, (0, False), (0, True), fresh=True),
    Proof(("shutdown", "timeout"), 0.5, waits_for_an_action, (0, False), (0, True), fresh=True),
]
