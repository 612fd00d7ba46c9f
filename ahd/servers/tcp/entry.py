"""How a client of lines shows its token: `authenticate TOKEN`, or `{"auth": {"token": …}}`, first or at any time.

One that may be anonymous is welcomed at once. Any other has an `Entry` until it has shown a good token: it is asked for
one, has `auth.timeout` seconds, and everything else it says is answered with an error. A token that is not good ends
the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ahd.auth.grant import Grant, Refusal, not_allowed, token_required
from ahd.core import errors
from ahd.core.message import JsonObject, failed, ok

if TYPE_CHECKING:
    from ahd.auth.door import Door

    from .link import TcpLink

SERVER = "socket"
NO_TOKENS = "this server asks for no tokens"
ASKED: JsonObject = {"authentication": "required", "context": "api"}
"""The first line to a client that cannot be anonymous."""


class Entry:
    """A client that is not in yet (`waiting`), or whose token is being looked at (`busy`)."""

    __slots__ = ("busy", "task", "timer", "waiting")

    def __init__(self, waiting: bool) -> None:
        self.waiting = waiting
        self.busy = False
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def end(self) -> None:
        """Its client is in, or gone."""
        if self.timer is not None:
            self.timer.cancel()


def begin(link: TcpLink, door: Door | None) -> bool:
    """A new client: whether it is in at once, as anonymous or because nobody is asked."""
    if door is None or not door.guarded:
        return True
    grant = door.anonymous()
    if grant is not None:
        door.welcome(link.connection, grant)
        return True
    if door.authenticator is None:
        refusal = not_allowed()
        door.refuse(refusal, link.connection.remote_address, SERVER)
        link.close(refusal.disconnect())
        return False
    entry = link.entry = Entry(True)
    entry.timer = asyncio.get_running_loop().call_later(door.authenticator.timeout, _too_late, link, door)
    link.send("authentication", ASKED)
    return False


def receive(link: TcpLink, door: Door | None, authenticating: bool, data: Any) -> None:
    """Take a token, or anything else from a client that is not in yet; it is counted, and answered once."""
    connection = link.connection
    connection.count = count = connection.count + 1
    if not authenticating:
        _answer(link, count, failed(token_required().sentence))
    elif type(data) is not dict:
        _answer(link, count, failed(errors.DATA_NOT_OBJECT))
    elif door is None or door.authenticator is None:
        _answer(link, count, failed(NO_TOKENS))
    else:
        entry = link.entry
        if entry is None:
            entry = link.entry = Entry(False)
        token = data.get("token", "")
        try:
            grant = door.admit_now("" if token is None else token, connection.remote_address, SERVER, entry.waiting)
        except Refusal as refusal:
            _turn_away(link, count, refusal)
            return
        if grant is None:
            entry.busy = True
            entry.task = asyncio.get_running_loop().create_task(_later(link, door, entry, count, token))
        else:
            _let_in(link, door, count, grant)


async def _later(link: TcpLink, door: Door, entry: Entry, count: int, token: Any) -> None:
    """Go on when the keys are there that the token is checked with."""
    try:
        grant = await door.admit(token, link.connection.remote_address, SERVER, entry.waiting)
    except Refusal as refusal:
        entry.busy = False
        _turn_away(link, count, refusal)
    else:
        entry.busy = False
        _let_in(link, door, count, grant)


def _let_in(link: TcpLink, door: Door, count: int, grant: Grant) -> None:
    entry, link.entry = link.entry, None
    door.welcome(link.connection, grant)
    _answer(link, count, ok())
    if entry is not None and entry.waiting:
        entry.end()
        if not link.connection.gone:
            link.open()


def _turn_away(link: TcpLink, count: int, refusal: Refusal) -> None:
    _answer(link, count, {**failed(refusal.sentence), "code": refusal.word})
    link.close(refusal.disconnect())


def _too_late(link: TcpLink, door: Door) -> None:
    if link.entry is not None and not link.entry.busy:
        door.refuse(token_required(), link.connection.remote_address, SERVER)
        link.close(errors.NOT_AUTHENTICATED)


def _answer(link: TcpLink, count: int, reply: JsonObject) -> None:
    link.answer({**reply, "messageCount": count})
