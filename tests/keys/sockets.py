"""Proofs of webSockets: its keys, its settings and its options."""

from __future__ import annotations

import json
from typing import Any

from websockets.exceptions import ConnectionClosed

from ahd.client.fetch import VERSION
from tests.harness.raw import Answer, Polling, WebSocket
from tests.keys.proving import Node, Proof, ask

ORIGIN = "https://other.example"
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
SCRIPT = "/socket.io/socket.io.js"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDAwMDAwMDAwMDAwMDAwMA==",
    "Sec-WebSocket-Extensions": "permessage-deflate",
}


def status_of(path: str, **headers: str) -> Any:
    def observe(node: Node) -> Any:
        return node.get(path, headers=headers).status

    return observe


def header_of(name: str, path: str, **headers: str) -> Any:
    def observe(node: Node) -> Any:
        return node.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()}).headers[name]

    return observe


def handshake(name: str) -> Any:
    def observe(node: Node) -> Any:
        return node.polling().open()[name]

    return observe


def upgrade(node: Node) -> Answer:
    return node.get("/socket.io/?EIO=4&transport=websocket", headers=UPGRADE)


def offered(node: Node) -> Any:
    return node.polling().open()["upgrades"], upgrade(node).status


def extensions(node: Node) -> Any:
    answer = upgrade(node)
    return answer.status, "permessage-deflate" in (answer.headers["Sec-WebSocket-Extensions"] or "")


def quiet_poll(node: Node) -> Any:
    """What a poll with nothing to say is answered with within 1 s."""
    client = node.polling()
    client.connect()
    client.until('42["welcome"')
    try:
        return client.poll(1)
    except TimeoutError:
        return None


def heartbeat(node: Node) -> Any:
    """Whether a heartbeat comes within 0.6 s."""
    client = WebSocket(node.url)
    try:
        client.connect()
        client.until("2", 0.6)
        return True
    except (TimeoutError, AssertionError):
        return False
    finally:
        client.close()


def silent(node: Node) -> Any:
    """Whether a client that answers no heartbeat is closed within 1.5 s."""
    client = WebSocket(node.url)
    try:
        client.wait_closed(1.5)
        return True
    except AssertionError:
        return False
    finally:
        client.close()


def large_message(node: Node) -> Any:
    """What the handshake tells of the largest message, and whether one of 2000 bytes is taken."""
    with node.websocket() as client:
        try:
            reply = ask(client, "say", {"message": "x" * 2000})
            taken = "error" not in reply
        except ConnectionClosed:
            taken = False
    return node.polling().open()["maxPayload"], taken


def dispatched(node: Node) -> Any:
    """The verbs of two that are answered."""
    with node.websocket() as client:
        client.send('421["roomView",{}]')
        client.send('422["detailsView",{}]')
        seen = []
        while "2" not in seen:
            packet = str(client.receive())
            if packet.startswith("43"):
                seen.append(packet[2])
    return seen


def news(node: Node) -> Any:
    client = WebSocket(node.url)
    try:
        client.open()
        client.send("40/news,")
        return client.until("4")[:2]
    finally:
        client.close()


def bad_packets(node: Node) -> Any:
    """Whether the log tells of a packet that is none: an information of Socket.IO's own."""
    with node.websocket() as client:
        client.send('42["say",')
        client.wait_closed()
    node.daemon.stop()
    return len(node.daemon.events("badPacket"))


def colours(node: Node) -> Any:
    node.daemon.stop()
    return "\x1b[" in node.daemon.log()


def script(node: Node) -> Any:
    answer = node.get(SCRIPT)
    return answer.text.splitlines()[0] if answer.status == 200 else answer.status


def changed_on_disk(node: Node) -> Any:
    """Whether a change to the file on the disk shows in the next answer."""
    assert node.package is not None
    before = node.get("/socket.io/ahsocket.js").body
    file = node.package / "ahd" / "client" / "ahsocket.js"
    file.write_bytes(file.read_bytes() + b"// changed\n")
    return node.get("/socket.io/ahsocket.js").body != before


def not_modified(node: Node) -> Any:
    etag = node.get(SCRIPT).headers["ETag"]
    return etag is not None and node.get(SCRIPT, headers={"If-None-Match": etag}).status


def poll_encoding(size: int) -> Any:
    """How the answer to a poll with `size` characters more is encoded."""

    def observe(node: Node) -> Any:
        client: Polling = node.polling(headers={"Accept-Encoding": "gzip"})
        query = f"?EIO=4&transport=polling&sid={node_open(client)}"
        client.headers = {}
        client.post("40")
        client.until('42["welcome"')
        if size:
            client.post("421" + json.dumps(["roomChange", {"room": "x" * size}]))
        else:
            client.post('421["roomView",{}]')
        return node.get("/socket.io/" + query, headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"]

    return observe


def node_open(client: Polling) -> str:
    client.headers = {}
    client.open()
    return client.sid


def option(name: str, value: Any, observe: Any, usual: Any, changed: Any, **given: Any) -> Proof:
    """`also`: other options that are in both files."""
    also, base = given.pop("also", {}), given.pop("base", {})
    web_sockets = {"settings": [], **base.get("webSockets", {}), "options": also}
    return Proof(
        ("webSockets", "options", name), value, observe, usual, changed, {**base, "webSockets": web_sockets}, **given
    )


def setting(name: str, observe: Any, usual: Any, changed: Any, **given: Any) -> Proof:
    also, base = given.pop("also", {}), given.pop("base", {})
    web_sockets = {"settings": [], "options": also}
    return Proof(
        ("webSockets", "settings"),
        [name],
        observe,
        usual,
        changed,
        {**base, "webSockets": web_sockets},
        note=name,
        **given,
    )


ALLOWED = {"cors_allowed_origins": [ORIGIN]}
credentials = header_of("Access-Control-Allow-Credentials", HANDSHAKE, Origin=ORIGIN)
gzipped = header_of("Content-Encoding", SCRIPT, Accept_Encoding="gzip")
TEXT = {"log": {"format": "text"}, "general": {"plugins": ["tests.keys.plugin:write_every_level"]}}
MINIFIED, PLAIN = "// the minified build", "// the plain build"
LOGS = {"webSockets": {"logLevel": 2}}
FAST = {"ping_interval": 0.2}
VERSIONED = f"/socket.io/socket.io.v{VERSION}.js"
DAY = "public, max-age=86400, immutable"

SECTION = [
    Proof(("webSockets", "enable"), False, status_of(HANDSHAKE), 200, 404),
    Proof(("webSockets", "logLevel"), 2, bad_packets, 0, 1, fresh=True),
    setting("browser client minification", script, PLAIN, MINIFIED, package=True),
    setting("browser client etag", not_modified, False, 304, package=True),
    setting("browser client gzip", gzipped, None, "gzip", package=True),
    setting("log colors", colours, False, True, base=TEXT, fresh=True, quiet=True),
    setting("cors_credentials", credentials, None, "true", also=ALLOWED),
    setting("per_message_deflate", extensions, (101, False), (101, True)),
]

OPTIONS = [
    option("transports", ["xhr-polling"], offered, (["websocket"], 101), ([], 400)),
    option("polling duration", 0.2, quiet_poll, None, ["6"]),
    option("heartbeat interval", 0.2, heartbeat, False, True),
    option("ping_interval", 0.2, heartbeat, False, True),
    option("heartbeat timeout", 0.2, silent, False, True, also=FAST),
    option("close timeout", 0.2, silent, False, True, also=FAST),
    option("ping_timeout", 0.2, silent, False, True, also=FAST),
    option("resource", "/live", status_of("/live/?EIO=4&transport=polling"), 404, 200),
    option("origins", "other.example:*", status_of(HANDSHAKE, Origin=ORIGIN), 403, 200),
    option("cors_allowed_origins", [ORIGIN], status_of(HANDSHAKE, Origin=ORIGIN), 403, 200),
    option("destroy buffer size", 1000, large_message, (1000000, True), (1000, False)),
    option("max_http_buffer_size", 1000, large_message, (1000000, True), (1000, False)),
    option("browser client", False, script, PLAIN, 404, package=True),
    option("browser client minification", True, script, PLAIN, MINIFIED, package=True),
    option("browser client etag", True, not_modified, False, 304, package=True),
    option("browser client gzip", True, gzipped, None, "gzip", package=True),
    option("browser client cache", False, changed_on_disk, False, True, package=True),
    option(
        "browser client expires",
        86400,
        header_of("Cache-Control", VERSIONED),
        "public, max-age=315360000, immutable",
        DAY,
        package=True,
    ),
    option("blacklist", ["roomView"], dispatched, ["1", "2"], ["2"]),
    option("log", False, bad_packets, 1, 0, base=LOGS, fresh=True),
    option("log level", 2, bad_packets, 0, 1, fresh=True),
    option("log colors", True, colours, False, True, base=TEXT, fresh=True, quiet=True),
    option("cors_credentials", True, credentials, None, "true", also=ALLOWED),
    option("allow_upgrades", False, handshake("upgrades"), ["websocket"], []),
    option("http_compression", False, poll_encoding(0), "gzip", None, also={"compression_threshold": 1}),
    option("compression_threshold", 1, poll_encoding(0), None, "gzip"),
    option("cookie", "io", lambda node: "io=" in (node.get(HANDSHAKE).headers["Set-Cookie"] or ""), False, True),
    option("per_message_deflate", True, extensions, (101, False), (101, True)),
    option("namespaces", ["/news"], news, "44", "40"),
]
