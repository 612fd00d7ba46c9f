"""HTTP clients in rooms: known by a cookie, members like everybody else, with what they missed kept for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ahd import action
from ahd.core import errors
from ahd.core.connection import Connection
from ahd.core.errors import Disconnect
from ahd.core.message import JsonObject
from tests.web.building import Built
from tests.web.serving import Answer, ask, serving, until


@action
async def slow(seconds: float = 0.1) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {}


class Guest:
    """An HTTP client that keeps its cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""
        self.last: Answer

    async def call(self, target: str) -> dict[str, Any]:
        headers = {"Cookie": self.cookie} if self.cookie else {}
        self.last = await ask(self.port, target, headers=headers)
        if "set-cookie" in self.last.headers:
            self.cookie = self.last.headers["set-cookie"].partition(";")[0]
        document: dict[str, Any] = self.last.json
        return document

    async def chat(self, method: str, query: str = "") -> dict[str, Any]:
        return await self.call(f"/api/chat?method={method}{query}")

    async def heard(self) -> list[tuple[str, Any]]:
        return [(say["from"], say["message"]) for say in (await self.chat("messages"))["messages"]]


class Listener:
    """The link of a connection of another kind."""

    def __init__(self) -> None:
        self.says: list[Any] = []

    def new_group(self) -> Any:
        return _Group()

    def send(self, event: str, data: JsonObject) -> None: ...

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None: ...


class _Group(set[Listener]):
    def deliver(self, say: Any, skip: Any) -> int:
        for link in self:
            if link is not skip:
                link.says.append((say.data["from"], say.data["message"]))
        return len(self)


@asynccontextmanager
async def chatting(tmp_path: Path, text: str = "{}") -> AsyncIterator[tuple[Built, int]]:
    built = Built(text, tmp_path, slow)
    await built.open()
    async with serving(built.site, 10_000) as port:
        yield built, port
    await built.close()


async def test_http_clients_talk_in_rooms(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (built, port):
        socket = Listener()
        built.verbs.open(Connection("socket1", "webSocket", "", socket, {}))
        ann, bob = Guest(port), Guest(port)
        view = await ann.chat("roomView")
        ann_id = view["requestorInformation"]["id"]
        assert view["roomStatus"] == {"room": "defaultRoom", "members": ["socket1", ann_id], "membersCount": 2}
        assert view["status"] == "OK"
        assert "context" not in view
        assert "messageCount" not in view
        bob_id = (await bob.chat("detailsView"))["details"]["public"]["id"]
        assert await ann.heard() == [(bob_id, "I have entered the room")]
        assert await ann.heard() == []
        assert (await ann.chat("say", "&message=hello"))["status"] == "OK"
        assert await bob.heard() == [(ann_id, "hello")]
        assert await ann.heard() == []
        assert socket.says[-1] == (ann_id, "hello")
        assert (await bob.chat("roomChange", "&room=other"))["room"] == "other"
        assert await ann.heard() == [(bob_id, "I have left the room")]
        assert (await ann.chat("listenToRoom", "&room=other"))["status"] == "OK"
        await bob.chat("say", "&message=here")
        assert await ann.heard() == [(bob_id, "here")]
        assert (await ann.chat("silenceRoom", "&room=other"))["status"] == "OK"
        assert await bob.chat("quit")
        assert (await bob.chat("roomView"))["roomStatus"]["members"] == ["socket1", ann_id, bob_id]


async def test_mistakes_are_the_verbs_own(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (_, port):
        ann = Guest(port)
        for method, query, sentence in (
            ("say", "", "message is required"),
            ("roomChange", "", "room is required"),
            ("silenceRoom", "&room=other", "you are not listening to this room"),
        ):
            document = await ann.chat(method, query)
            assert (ann.last.status, document["error"]) == (422, sentence)
        assert (await ann.call("/api/chat"))["error"] == "Error: method is a required parameter for this action"
        assert (await ann.chat("dance"))["error"].startswith("Error: method must be one of say, messages")


async def test_the_cookie(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (_, port):
        answer = await ask(port, "/api/status")
        cookie = answer.headers["set-cookie"]
        name, _, rest = cookie.partition("=")
        token, *attributes = rest.split("; ")
        assert name == "sessionID"
        assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax"}
        public = answer.json["requestorInformation"]["id"]
        assert token not in answer.body.decode()
        assert public not in token
        again = await ask(port, "/api/status", headers={"Cookie": f"other=1; sessionID={token}"})
        assert "set-cookie" not in again.headers
        assert again.json["requestorInformation"]["id"] == public
        for bad in ("x", "<script>" * 4, "x" * 200, ""):
            answer = await ask(port, "/api/status", headers={"Cookie": f"sessionID={bad}"})
            assert answer.headers["set-cookie"]


@pytest.mark.parametrize("static", [False, True])
async def test_other_ways_to_know_a_client(tmp_path: Path, static: bool) -> None:
    options = f"{{cookieKey: me, toSetCookie: false, onlyStaticElements: {str(static).lower()}}}"
    async with chatting(tmp_path, f"commonWeb: {{fingerprintOptions: {options}}}") as (_, port):
        ids = [(await ask(port, "/api/status")).json["requestorInformation"]["id"] for _ in range(2)]
        assert (ids[0] == ids[1]) is static
        answer = await ask(port, "/api/chat?method=roomView")
        assert "set-cookie" not in answer.headers
        assert answer.status == (200 if static else 422)
        own = {"Cookie": "me=" + "t" * 20}
        assert (await ask(port, "/api/chat?method=roomView", headers=own)).status == 200
        other = (await ask(port, "/api/status", headers={"User-Agent": "other"})).json["requestorInformation"]["id"]
        assert other != ids[0]


async def test_what_waits_is_bounded_and_the_client_is_told(tmp_path: Path) -> None:
    async with chatting(tmp_path, "commonWeb: {httpClientMessages: 3}") as (_, port):
        ann, bob = Guest(port), Guest(port)
        await ann.chat("roomView")
        for number in range(5):
            await bob.chat("say", f"&message={number}")
        document = await ann.chat("messages")
        assert [say["message"] for say in document["messages"]] == ["2", "3", "4"]
        assert document["missed"] == 3
        assert (await ann.chat("messages"))["missed"] == 0


async def test_what_waits_has_its_time(tmp_path: Path) -> None:
    async with chatting(tmp_path, "commonWeb: {httpClientMessageTTL: 50}") as (_, port):
        ann, bob = Guest(port), Guest(port)
        await ann.chat("roomView")
        await bob.chat("say", "&message=old")
        await asyncio.sleep(0.1)
        await bob.chat("say", "&message=new")
        document = await ann.chat("messages")
        assert [say["message"] for say in document["messages"]] == ["new"]
        assert document["missed"] == 2


async def test_a_client_without_requests_leaves(tmp_path: Path) -> None:
    async with chatting(tmp_path, "commonWeb: {httpClientTimeout: 0.3}") as (built, port):
        socket = Listener()
        built.verbs.open(Connection("socket1", "webSocket", "", socket, {}))
        ann = Guest(port)
        ann_id = (await ann.chat("roomView"))["requestorInformation"]["id"]
        left = (ann_id, "I have left the room")
        # A request that takes longer than that keeps it in.
        await ann.call("/api/slow?seconds=0.8")
        assert left not in socket.says
        await until(lambda: left in socket.says)
        assert built.web.clients.members == 0
        assert not built.web.clients.connections()
        assert set(built.rooms.here()) == {"socket1"}


async def test_the_number_of_members_is_bounded(tmp_path: Path) -> None:
    async with chatting(tmp_path, "commonWeb: {httpClients: 1}") as (_, port):
        ann, bob = Guest(port), Guest(port)
        assert (await ann.chat("roomView"))["status"] == "OK"
        await bob.chat("roomView")
        assert bob.last.status == 429
        await ann.chat("quit")
        assert (await bob.chat("roomView"))["status"] == "OK"


async def test_calls_without_chat_keep_nothing(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (built, port):
        cookie = {"Cookie": "sessionID=" + "x" * 32}
        for _ in range(3):
            await ask(port, "/api/status", headers=cookie)
            await ask(port, "/api/slow?seconds=0", headers=cookie)
            await ask(port, "/api/slow?seconds=0")
        assert not built.web.clients.connections()


async def test_details_are_those_of_the_client(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (_, port):
        ann = Guest(port)
        await ann.chat("roomView")
        details = (await ann.chat("detailsView", "&extra=1"))["details"]
        assert details["params"]["extra"] == "1"
        assert details["totalActions"] == 2
        assert details["pendingActions"] == 1


async def test_chat_is_not_for_others(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (built, _):
        replies: list[JsonObject] = []
        connection = Connection("s", "webSocket", "", Listener(), {})
        built.verbs.open(connection)
        built.verbs.receive(connection, "action", {"action": "chat", "method": "say"}, replies.append)
        await until(lambda: bool(replies))
        assert replies[0]["error"] == "chat is for HTTP clients; yours says say itself"


async def test_a_store_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise errors.StoreUnavailable

    async with chatting(tmp_path) as (built, port):
        ann = Guest(port)
        await ann.call("/api/status")
        monkeypatch.setattr(built.store.presence, "enter", away)
        for method in ("roomView", "messages"):
            document = await ann.chat(method)
            assert (ann.last.status, document["error"]) == (503, "the store is unavailable"), method
        monkeypatch.undo()
        assert (await ann.chat("roomView"))["status"] == "OK"


async def test_the_end_of_the_server(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (built, port):
        ann = Guest(port)
        await ann.chat("roomView")
        built.web.close()
        assert not built.rooms.here()
        document = await ann.chat("roomView")
        assert (ann.last.status, document["error"]) == (503, "the server is shutting down")
