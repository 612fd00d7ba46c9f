"""The server's lines, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ahd.core.errors import SERVER_SHUTDOWN, STORE_LOST, StoreUnavailable
from ahd.core.message import Say, closing
from tests.tcp.conftest import PARAMS, SETTINGS, Client, Subject, on_each_loop


def ok(count: int, **fields: Any) -> dict[str, Any]:
    return {"context": "response", "status": "OK", **fields, "messageCount": count}


def error(count: int, sentence: str) -> dict[str, Any]:
    return {"context": "response", "error": sentence, "messageCount": count}


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@on_each_loop
async def test_verbs_in_words(running: Subject) -> None:
    client = await running.client()
    details = (await client.ask("detailsView"))["details"]
    me = details["public"]["id"]
    assert details["params"] == PARAMS
    assert await client.ask("roomView") == ok(
        2, room="defaultRoom", roomStatus={"room": "defaultRoom", "members": [me], "membersCount": 1}
    )
    assert await client.ask("roomChange other room") == ok(3, room="other room")
    assert await client.ask("listenToRoom r") == ok(4, room="r")
    assert await client.ask("listenToRoom r") == error(5, "you are already listening to this room")
    assert await client.ask("silenceRoom r") == ok(6, room="r")
    assert await client.ask("say hello") == ok(7)
    assert await client.ask("say") == error(8, "message is required")
    assert await client.ask("roomChange") == error(9, "room is required")
    assert await client.ask("nothing") == error(10, "Error: nothing is not a known action.")
    assert await client.ask('{"verb":"roomView","data":5}') == error(11, "data must be an object")
    assert await client.ask("{}") == error(12, "Error: None is not a known action.")


@on_each_loop
async def test_sticky_parameters(running: Subject) -> None:
    client = await running.client()
    assert await client.ask("paramAdd key=a = b") == ok(1)
    assert await client.ask("paramAdd limit=5") == ok(2)
    assert await client.ask("paramView key") == ok(3, params={"key": "a = b"})
    assert await client.ask("paramView nothing") == ok(4, params={})
    assert await client.ask("paramsView") == ok(5, params={"limit": "5", "offset": 0, "key": "a = b"})
    reply = await client.ask("echo extra=1 key=2")
    assert reply["got"] == {"limit": "5", "offset": 0, "key": "2", "action": "echo", "extra": "1"}
    assert reply["text"] is True
    reply = await client.ask('{"action":"echo","params":{"only":1}}')
    assert reply["got"] == {"action": "echo", "only": 1}
    assert reply["text"] is False
    after = {"limit": "5", "offset": 0, "key": "a = b", "action": "echo"}
    assert await client.ask("paramsView") == ok(8, params=after)
    assert (await client.ask("detailsView"))["details"]["params"] == after
    assert await client.ask("paramDelete limit") == ok(10)
    assert await client.ask("paramDelete nothing") == ok(11)
    assert await client.ask("paramsView") == ok(12, params={**after, "limit": 100})
    assert await client.ask("paramsDelete") == ok(13)
    assert await client.ask("paramsView") == ok(14, params=PARAMS)
    assert await client.ask('{"verb":"paramAdd","data":{"a":1}}') == error(15, "a must be a string")
    assert await client.ask('{"verb":"paramAdd","data":{}}') == error(16, "a parameter is required")
    assert await client.ask("paramDelete") == error(17, "name is required")


@on_each_loop
async def test_sticky_parameters_are_bounded(running: Subject) -> None:
    client = await running.client()
    for count in (1, 2):
        assert await client.ask(f"paramAdd {count}={'x' * 498}") == ok(count)
    assert await client.ask("paramAdd 3=xxx") == error(3, "you have too many parameters")
    assert len((await client.ask("paramsView"))["params"]) == 4
    assert await client.ask("paramAdd 1=") == ok(5)
    assert await client.ask("paramAdd 3=xxx") == ok(6)


@on_each_loop
async def test_one_connection_does_not_see_the_parameters_of_another(running: Subject) -> None:
    one, two = await running.client(), await running.client()
    await one.ask("paramAdd secret=1")
    assert (await two.ask("paramsView"))["params"] == PARAMS


@on_each_loop
async def test_says(running: Subject) -> None:
    one = await running.client()
    two = await running.client()
    details = (await two.ask("detailsView"))["details"]
    entered = await one.expect("user")
    assert entered["message"] == "I have entered the room"
    assert entered["from"] == details["public"]["id"]
    assert await two.ask('{"verb":"say","data":{"message":{"a":[1,"é"]}}}') == ok(2)
    said = await one.expect("user")
    assert said == {**entered, "message": {"a": [1, "é"]}, "sentAt": said["sentAt"]}
    two.send("say  hi there ", "quit")
    assert (await one.expect("user"))["message"] == " hi there "
    assert (await one.expect("user"))["message"] == "I have left the room"
    assert await two.rest() == [ok(3), {"status": "Bye!", "context": "response"}]


@on_each_loop
@pytest.mark.parametrize("word", [b"quit\r\n", b"exit\n", b"close\r\n", b"\x03", b"\x04", b"\xff\xf4\xff\xfd\x06"])
async def test_the_end_of_a_session(running: Subject, word: bytes) -> None:
    client = await running.client()
    client.writer.write(b"roomView\r\n" + word + b"detailsView\r\n")
    values = await client.rest()
    assert [value.get("messageCount") for value in values] == [1, None]
    assert values[1] == {"status": "Bye!", "context": "response"}


@on_each_loop
async def test_quit_waits_for_what_is_owed(running: Subject) -> None:
    client = await running.client()
    client.send('{"action":"later","n":1}', '{"action":"later","n":2}', "quit", "detailsView")
    await until(lambda: len(running.actions.waiting) == 2)
    for answer in reversed(running.actions.waiting):
        answer()
    assert [value.get("messageCount", value.get("status")) for value in await client.rest()] == [2, 1, "Bye!"]


@on_each_loop
async def test_the_end_of_input_waits_for_what_is_owed(running: Subject) -> None:
    client = await running.client()
    client.send("later", "echo")
    client.writer.write_eof()
    assert (await client.read())["messageCount"] == 2
    running.actions.waiting.pop()()
    assert [value["messageCount"] for value in await client.rest()] == [1]


@on_each_loop
async def test_the_end_of_input_alone_ends_the_session(running: Subject) -> None:
    client = await running.client()
    client.writer.write_eof()
    assert await client.rest() == []


@on_each_loop
async def test_bad_lines_are_answered_in_their_turn(running: Subject) -> None:
    client = await running.client()
    client.send("echo", b"say \xff", "x" * 1001, '{"action"', "", "   ", "echo", "bad", "echo")
    replies = [await client.read() for _ in range(7)]
    assert replies[1:4] == [
        error(2, "the line is not UTF-8"),
        error(3, "the line is longer than 1000 bytes"),
        error(4, "the line is not valid JSON"),
    ]
    assert replies[5] == error(6, "Error: The server experienced an internal error")
    assert [reply["messageCount"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]


@on_each_loop
async def test_an_endless_line_costs_no_memory(running: Subject) -> None:
    client = await running.client()
    for _ in range(100):
        client.writer.write(b"x" * 100_000)
        await client.writer.drain()
    client.send("", "echo")
    assert await client.read() == error(1, "the line is longer than 1000 bytes")
    assert (await client.read())["messageCount"] == 2
    client.send("quit")
    await client.rest()


@on_each_loop
async def test_replies_to_one_read_leave_in_one_write(running: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await running.client()
    writes: list[bytes] = []
    (link,) = running.server.links
    transport = link._transport

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

        def write(self, data: bytes) -> None:
            writes.append(data)
            transport.write(data)  # type: ignore[union-attr]

    link._transport = Counting()  # type: ignore[assignment]
    client.writer.write(b"echo\r\n" * 50)
    assert [(await client.read())["messageCount"] for _ in range(50)] == list(range(1, 51))
    assert len(writes) == 1
    # Says of one turn of the loop do so as well.
    writes.clear()
    for number in range(20):
        await running.rooms.announce("defaultRoom", number)
    assert [(await client.expect("api"))["message"] for _ in range(20)] == list(range(20))
    assert len(writes) == 1


@on_each_loop
async def test_a_client_that_does_not_read_its_replies_is_not_read(running: Subject) -> None:
    client = await running.client(limit=1000)
    (link,) = running.server.links
    lines = [f'{{"action":"big","size":10000,"n":{number}}}' for number in range(2000)]

    async def send() -> None:
        for line in lines:
            client.send(line)
            await client.writer.drain()
        client.writer.write_eof()

    sending = asyncio.create_task(send())
    await until(lambda: link._held is not None)
    await asyncio.sleep(0.2)
    transport = link._transport
    assert transport is not None
    assert transport.get_write_buffer_size() + link._behind_size < 200_000
    client.reader._limit = 1 << 20  # type: ignore[attr-defined]
    values = await client.rest()
    assert [value["messageCount"] for value in values] == list(range(1, 2001))
    assert all(len(value["big"]) == 10000 for value in values)
    await sending


class SlowReader:
    """A client whose socket takes little and that reads nothing until it is told to."""

    def __init__(self, subject: Subject) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", subject.port))
        self.sock.setblocking(False)


async def flood(subject: Subject, count: int, size: int = 10_000) -> None:
    for number in range(count):
        await subject.rooms.announce("defaultRoom", [number, "x" * size])
        if not number % 2:
            await asyncio.sleep(0)


@on_each_loop
async def test_a_slow_reader_is_disconnected(running: Subject, caplog: pytest.LogCaptureFixture) -> None:
    other = await running.client()
    slow = SlowReader(running)
    await until(lambda: len(running.rooms.here()) == 2)
    with caplog.at_level(logging.WARNING):
        flooding = asyncio.create_task(flood(running, 1000))
        values = [await other.read() for _ in range(1002)]
    await flooding
    messages = [value["message"] for value in values]
    assert messages.pop(0) == "I have entered the room"
    messages.remove("I have left the room")
    assert [message[0] for message in messages] == list(range(1000))
    await until(lambda: len(running.rooms.here()) == 1)
    assert running.server.slow_consumers == 1
    assert "reads too slowly: more than 65536 bytes are unsent" in caplog.text
    slow.sock.close()


@on_each_loop
async def test_a_slow_reader_misses_the_oldest_says(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    subject.settings = replace(SETTINGS, drop_oldest=True)
    await subject.start()
    slow = SlowReader(subject)
    await until(lambda: len(subject.rooms.here()) == 1)
    (link,) = subject.server.links
    await flood(subject, 2000)
    transport = link._transport
    assert transport is not None
    assert transport.get_write_buffer_size() + link._behind_size <= 65536 + 20_000
    assert subject.server.dropped > 100
    reader, writer = await asyncio.open_connection(sock=slow.sock, limit=1 << 24)
    subject.writers.append(writer)
    client = Client(reader, writer)
    values = [await client.read()]
    while not isinstance(values[-1].get("message"), list) or values[-1]["message"][0] < 1999:
        values.append(await client.read())
    notices = [value for value in values if "dropped" in value]
    assert notices == [{"context": "api", "dropped": subject.server.dropped}]
    numbers = [value["message"][0] for value in values if "message" in value]
    assert numbers == sorted(numbers)
    assert len(numbers) + subject.server.dropped == 2000
    assert await client.ask("echo") is not None
    assert caplog.text.count("says are dropped") == 1


@on_each_loop
async def test_a_store_that_must_be_waited_for_keeps_the_order(subject: Subject) -> None:
    """As with Redis: verbs stand in a queue; more lines than may stand there wait unread, and none is refused."""
    subject.immediate = False
    publish = subject.store.bus.publish

    async def slowly(say: Say) -> None:
        await asyncio.sleep(0)
        await publish(say)

    subject.store.bus.publish = slowly  # type: ignore[method-assign]
    await subject.start()
    one, two = await subject.client(), await subject.client()
    two.send(*[f"say {number}" for number in range(1000)], "paramAdd k=v", "echo", "quit")
    values = await two.rest()
    assert [value.get("messageCount") for value in values] == [*range(1, 1003), None]
    assert all(value == ok(value["messageCount"]) for value in values[:1001])
    assert values[1001]["got"]["k"] == "v"
    await one.expect("user")
    assert [(await one.expect("user"))["message"] for _ in range(1000)] == [str(number) for number in range(1000)]
    assert (await one.expect("user"))["message"] == "I have left the room"
    await until(lambda: len(subject.rooms.here()) == 1)
    one.send("quit")
    await until(lambda: not subject.tasks and not subject.rooms.here())


@on_each_loop
async def test_a_store_that_is_away(subject: Subject) -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailable

    subject.store.presence.enter = away  # type: ignore[assignment,method-assign]
    await subject.start()
    client = await subject.raw()
    assert await client.rest() == [closing(STORE_LOST)]


@on_each_loop
async def test_a_drain(running: Subject) -> None:
    """What the application does: nobody new, the goodbye, and the end once what is owed has been answered."""
    idle, busy = await running.client(), await running.client()
    busy.send("later", "echo")
    await until(lambda: running.actions.waiting)
    running.server.stop_accepting()
    draining = asyncio.create_task(running.server.drain(0.1, 10))
    bye, last = (await idle.rest())[-2:]
    assert last == closing(SERVER_SHUTDOWN, bye["retryAfter"])
    assert bye == {"bye": "bye", "reason": "server shutdown", "context": "api", "retryAfter": bye["retryAfter"]}
    assert 500 <= bye["retryAfter"] <= 3000
    assert not draining.done()
    running.actions.waiting.pop()()
    values = [value for value in await busy.rest() if value["context"] != "user"]
    assert [value.get("messageCount", value.get("bye", value.get("code"))) for value in values] == [
        2, 1, "bye", "shutdown",
    ]  # fmt: skip
    await draining
    assert not running.server.links
    with pytest.raises(ConnectionRefusedError):
        await running.raw()


@on_each_loop
async def test_sockets_that_are_open_already(subject: Subject, tmp_path: Path) -> None:
    """As systemd hands them over: of TCP or Unix, any number; the address of the file is not used then."""
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    await subject.start([tcp, unix])
    port = tcp.getsockname()[1]
    assert subject.server.addresses == [f"tcp://127.0.0.1:{port}", f"tcp+unix:{tmp_path / 'socket'}"]
    client = await subject.client()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
    subject.writers.append(writer)
    other = Client(reader, writer)
    assert (await other.read())["room"] == "defaultRoom"
    assert (await other.ask("roomView"))["roomStatus"]["membersCount"] == 2
    assert (await client.expect("user"))["message"] == "I have entered the room"


@on_each_loop
async def test_keep_alive_is_on(running: Subject) -> None:
    await running.client()
    (link,) = running.server.links
    assert link._transport is not None
    sock = link._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20


@on_each_loop
async def test_clients_that_vanish_leave_nothing(running: Subject) -> None:
    stay = await running.client()
    for number in range(20):
        client = await running.client()
        client.send("later" if number % 2 else "echo")
        client.writer.transport.abort()

    def alone() -> bool:
        # A closed client cannot always be told from one that has only finished sending: some are still owed a reply.
        while running.actions.waiting:
            running.actions.waiting.pop()()
        return len(running.rooms.here()) == 1

    await until(alone)
    assert (await stay.ask("roomView"))["roomStatus"]["membersCount"] == 1
