"""Who is in which room, in Redis, and what this node knows of its own members.

Redis holds what all nodes together know; this node keeps its own members besides, so that it can put them back when
Redis has lost them, and make up for what happened while it was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ahd.core.errors import StoreUnavailable
from ahd.core.message import ENTERED, LEFT, Encode, Say
from ahd.store.redis import scripts
from ahd.store.redis.bus import HEARD, LEAVE, SPOKEN, RedisBus
from ahd.store.redis.link import DONE_TOO_LATE, GIVEN_UP, TAKEN_FOR_DEAD, RedisLink
from ahd.store.redis.names import Names
from ahd.store.redis.scripts import Script
from ahd.store.redis.stream import Session, Unanswered

SETTLE = 1.0
"""Seconds after Redis is back until the leaves made while it was away are announced: others must hear again first."""

_AT_ONCE = 500

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Left:
    """A member that left while Redis was away.

    `sent` is the announcement in a script that was sent and may have run, `heard` says that its own node has heard it.
    """

    room: str
    announced: bool
    heard: bool
    sent: bytes


class RedisPresence:
    """The presence of one node. `local`: while Redis is away, changes go on within the node."""

    def __init__(
        self, link: RedisLink, bus: RedisBus, names: Names, node: str, local: bool, announce: bool, encode: Encode
    ) -> None:
        self._link = link
        self._bus = bus
        self._names = names
        self._node = node.encode()
        self._local = local
        self._announce = announce
        self._encode = encode
        self._publish = b"SPUBLISH" if link.sharded else b"PUBLISH"
        self._here: dict[str, str] = {}
        self._new: set[str] = set()
        """Members that Redis has never known: they came while it was away."""
        self._left: dict[str, _Left] = {}
        self._making_up: asyncio.TimerHandle | None = None

    async def enter(self, room: str, member: str, entered: Say | None) -> None:
        try:
            await self._change(scripts.ENTER, member, room.encode(), self._bus.packed(entered))
        except StoreUnavailable:
            if not self._local:
                raise
            self._new.add(member)
            self._say(entered)
        self._here[member] = room

    async def move(self, member: str, origin: str, target: str, left: Say | None, entered: Say | None) -> None:
        try:
            says = (self._bus.packed(left), self._bus.packed(entered))
            await self._change(scripts.MOVE, member, origin.encode(), target.encode(), *says)
        except StoreUnavailable:
            if not self._local:
                raise
            self._say(left)
            self._say(entered)
        if member in self._here:
            self._here[member] = target

    async def leave(self, room: str, member: str, left: Say | None) -> None:
        self._here.pop(member, None)
        packed = self._bus.packed(left, LEAVE)
        try:
            await self._change(scripts.LEAVE, member, room.encode(), packed)
        except StoreUnavailable as error:
            if self._local:
                self._say(left)
                self._bus.remember(packed)
            if member in self._new:
                self._new.discard(member)
            else:
                sent = packed if isinstance(error, Unanswered) else b""
                self._left[member] = _Left(room, left is not None, self._local, sent)

    async def members(self, room: str) -> list[str]:
        try:
            found = await self._link.command("ZRANGE", self._names.room(room), 0, -1)
        except StoreUnavailable:
            if not self._local:
                raise
            return [member for member, where in self._here.items() if where == room]
        return [member.decode() for member in found]

    def clear(self) -> None:
        """Forget everybody."""
        self._here.clear()
        self._new.clear()
        self._left.clear()
        if self._making_up is not None:
            self._making_up.cancel()

    async def restore(self, session: Session, state: str, known: dict[str, str]) -> None:
        """Make Redis agree with this node. `known` are this node's members as Redis has them.

        `state` says what became of them: "kept"; "reaped" when another node has taken this one for dead, so that
        those missing have been announced as left; "lost" when Redis has forgotten everything, unheard by anybody.
        """
        # Members that left, or whose entering was given up, are taken out later: see SETTLE.
        for member, room in known.items():
            if member not in self._here and member not in self._left:
                self._left[member] = _Left(room, self._announce, False, b"")
        if state != "lost":
            # Not there any more: it was announced by the node that reaped, or by the script that was sent; but that may
            # have been when nobody heard.
            kept = state == "kept"
            left = self._left.items()
            self._left = {member: how for member, how in left if member in known or (kept and how.sent)}
        # A node that was cut off has not heard its members being announced as left; one that stood still has.
        unheard = self._link.last_loss != TAKEN_FOR_DEAD
        waiting: list[asyncio.Future[Any]] = []
        for member, room in self._here.items():
            new = member in self._new
            if member not in known:
                say = self._spoken(room, member, ENTERED, new or unheard) if new or state == "reaped" else b""
                sent = self._script(session.send, scripts.ENTER, member, room.encode(), say)
            elif known[member] != room:
                says = (
                    self._spoken(known[member], member, LEFT, self._local),
                    self._spoken(room, member, ENTERED, self._local),
                )
                rooms = (known[member].encode(), room.encode())
                sent = self._script(session.send, scripts.MOVE, member, *rooms, *says)
            else:
                continue
            waiting.append(sent)
            if len(waiting) >= _AT_ONCE:
                await asyncio.gather(*waiting)
                waiting.clear()
        # Those who left stand in Redis until it is announced: if this node dies before, another one announces it.
        for member, how in self._left.items():
            if member not in known:
                waiting.append(self._script(session.send, scripts.ENTER, member, how.room.encode(), b""))
        await asyncio.gather(*waiting)
        self._new.clear()
        if self._left:
            self._making_up = asyncio.get_running_loop().call_later(SETTLE, self._make_up)

    def _make_up(self) -> None:
        """Take out and announce those who left while Redis was away."""
        left, self._left = self._left, {}
        for member, how in left.items():
            if how.sent:
                say = self._bus.again(how.sent)
            else:
                say = self._spoken(how.room, member, LEFT, how.heard) if how.announced else b""
            try:
                answer = self._script(self._link.command, scripts.LEAVE, member, how.room.encode(), say)
            except StoreUnavailable:
                self._left[member] = how
                continue
            if say and not (how.sent or how.heard):
                how = _Left(how.room, how.announced, how.heard, say)
            answer.add_done_callback(partial(self._made_up, member, how))

    def _made_up(self, member: str, how: _Left, answer: asyncio.Future[Any]) -> None:
        """What Redis has not done is made up for again when it is back."""
        if answer.cancelled():
            return
        if isinstance(answer.exception(), StoreUnavailable):
            self._left[member] = how
        elif answer.exception() is None and answer.result() == scripts.LATE:
            self._left[member] = how
            self._link.lose(DONE_TOO_LATE)

    async def _change(self, script: Script, member: str, *arguments: bytes) -> None:
        answer = await self._script(self._link.command, script, member, *arguments)
        if answer == scripts.NOT_ALIVE:
            self._link.lose(TAKEN_FOR_DEAD)
            raise StoreUnavailable(TAKEN_FOR_DEAD)
        if answer == scripts.LATE:
            # Held up for longer than Redis is waited for, or its clock was set: agree on everything anew.
            self._link.lose(DONE_TOO_LATE)
            raise StoreUnavailable(DONE_TOO_LATE)

    def _script(self, run: Run, script: Script, member: str, *arguments: bytes) -> Any:
        names = self._names
        deadline = self._link.deadline(GIVEN_UP)
        head = (names.leases, names.root, self._node, self._publish, deadline, member.encode())
        return run("EVALSHA", script.sha, 1, *head, *arguments)

    def _say(self, say: Say | None) -> None:
        if say is not None:
            self._bus.deliver(say)

    def _spoken(self, room: str, member: str, sentence: str, heard: bool) -> bytes:
        if not self._announce:
            return b""
        how = HEARD if heard else LEAVE if sentence == LEFT else SPOKEN
        return self._bus.packed(Say.spoken(room, member, sentence, self._encode), how)
