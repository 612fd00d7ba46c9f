"""Clients that users have: AHsocket and python-socketio with tokens, against the daemon."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import socketio
from aiohttp import ClientSession

from ahd.client import FOLDER
from tests.auth.minting import ANN, SECRET, TOKENS, hs
from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import run_node

AH_SOCKET = """
const AHsocket = require(process.env.AHSOCKET);
const [url, how, ...tokens] = process.argv.slice(1);
const seen = [];
const token = how === "fresh" ? async () => tokens.shift() : tokens[0];
const socket = new AHsocket({ url, token, reconnectionDelay: 100, transports: ["websocket"] });
const end = () => { console.log(JSON.stringify(seen)); process.exit(0); };
for (const event of ["connected", "reconnected"]) {
  socket.on(event, async () => {
    seen.push([event, socket.room, (await socket.action("whoAmI")).claims.sub]);
    if (event === "connected") await socket.roomChange("den");
    else end();
  });
}
socket.on("closing", (closing) => seen.push(["closing", closing.code]));
socket.on("error", (error) => seen.push(["error", error.message]));
socket.on("disconnected", (reason) => {
  if (socket.state !== "disconnected") return;
  seen.push(["disconnected", reason]);
  end();
});
"""


@pytest.fixture(scope="module")
def daemon(start_shared_daemon: StartDaemon) -> Daemon:
    auth = {"required": True, "tokens": TOKENS, "jwt": {"secret": SECRET}}
    return start_shared_daemon({"auth": auth, "actions": {"modules": ["tests.auth.actions"]}})


def ah_socket(daemon: Daemon, *arguments: str) -> list[Any]:
    """What an AHsocket has seen until it has come back, or has been closed for good."""
    output = run_node(AH_SOCKET, daemon.url, *arguments, AHSOCKET=str(FOLDER / "ahsocket.js"))
    seen: list[Any] = json.loads(output)
    return seen


def test_ahsocket_comes_back_with_a_fresh_token(daemon: Daemon) -> None:
    assert ah_socket(daemon, "fresh", hs(exp=int(time.time()) + 2), hs(sub="ann")) == [
        ["connected", "defaultRoom", "ann"],
        ["closing", "tokenExpired"],
        ["reconnected", "den", "ann"],
    ]


def test_ahsocket_gives_up_with_a_token_that_has_expired(daemon: Daemon) -> None:
    assert ah_socket(daemon, "same", hs(exp=int(time.time()) + 2)) == [
        ["connected", "defaultRoom", "ann"],
        ["closing", "tokenExpired"],
        ["error", "the token has expired"],
        ["disconnected", "the token has expired"],
    ]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_python_socketio(daemon: Daemon, transport: str) -> None:
    refusals: list[Any] = []
    welcomes: asyncio.Queue[Any] = asyncio.Queue()
    async with ClientSession() as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        client.on("connect_error", refusals.append)
        client.on("welcome", welcomes.put)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(daemon.url, transports=[transport])
        assert refusals[-1] == {
            "message": "authentication is required",
            "data": {"code": "authenticationRequired", "reconnect": False},
        }
        await client.connect(daemon.url, auth={"token": ANN}, transports=[transport])
        await asyncio.wait_for(welcomes.get(), 10)
        assert (await client.call("action", {"action": "whoAmI"}))["claims"]["sub"] == "ann"
        await client.disconnect()
