"""Says over Redis's publish/subscribe: one channel a room, subscribed only while somebody on this node hears it.

A say is delivered when Redis sends it back, on the node that published it too: so every node delivers the says of a
room in one and the same order, each once, and nobody hears one that Redis did not take.

What is published is a line of JSON, `[node, number, sender, how]`, and behind it the say's own JSON, which nobody
decodes and encodes again. `number` counts the says of one node; `how` is one of SPOKEN, HEARD, LEAVE and AGAIN.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ahd.core.errors import StoreUnavailable
from ahd.core.message import Encode, Say
from ahd.store.redis.link import RedisLink
from ahd.store.redis.names import Names
from ahd.store.redis.stream import Session, Unanswered

logger = logging.getLogger("ahd.store")

SPOKEN, HEARD, LEAVE, AGAIN = 0, 1, 2, 3
"""How a say is published: as any other; one that the clients of its own node have heard already; one that is remembered
where it is heard; and that one again, for those who have not heard it the first time."""

MOST_LEAVES = 10_000
"""Says that are remembered."""

_AT_ONCE = 500


class RedisBus:
    """The bus of one node. `local`: while Redis is away its says go on within the node."""

    def __init__(
        self, link: RedisLink, names: Names, node: str, local: bool, encode: Encode, decode: Callable[[bytes], Any]
    ) -> None:
        self._link = link
        self._names = names
        self._node = node
        self._local = local
        self._encode = encode
        self._decode = decode
        self._counts: dict[str, int] = {}
        self._rooms: dict[bytes, str] = {}
        self._asked: set[str] = set()
        self._others: dict[bytes, Callable[[bytes], None]] = {}
        self._number = 0
        self._heard = 0
        self._leaves: dict[tuple[str, int], None] = {}
        self._publish, self._subscribe, self._unsubscribe = (
            ("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE") if link.sharded else ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
        )
        self.deliver: Callable[[Say], None] = _nobody

    def packed(self, say: Say | None, how: int = SPOKEN) -> bytes:
        """A say as it is published; nothing for None."""
        if say is None:
            return b""
        self._number += 1
        return self._encode([self._node, self._number, say.sender, how]) + b"\n" + say.json

    def again(self, packed: bytes) -> bytes:
        """A LEAVE that was published, or was not: to be heard by those who have not heard it."""
        head, _, json = packed.partition(b"\n")
        return self._encode([*self._decode(head)[:3], AGAIN]) + b"\n" + json

    def remember(self, packed: bytes) -> None:
        """The clients of this node have heard a LEAVE."""
        if packed:
            node, number, *_ = self._decode(packed.partition(b"\n")[0])
            self._first_time(node, number)

    async def publish(self, say: Say) -> None:
        packed = self.packed(say)
        number = self._number
        try:
            await self._link.command(self._publish, self._names.channel(say.room), packed, quick=True)
        except Unanswered:
            # It may have been published all the same: if it has been heard here, it has.
            if self._heard >= number:
                return
            if not self._local:
                raise
            self.deliver(say)
        except StoreUnavailable:
            if not self._local:
                raise
            self.deliver(say)

    async def subscribe(self, room: str) -> None:
        count = self._counts.get(room, 0)
        if not self._local and self._link.reason is not None:
            raise StoreUnavailable(self._link.reason)
        self._counts[room] = count + 1
        if count and room not in self._asked:
            return
        try:
            if not count:
                channel = self._names.channel(room)
                self._rooms[channel] = room
                self._asked.add(room)
                self._link.tell(self._subscribe, channel)
            # The answer to what is sent behind it says that the subscription is there.
            await self._link.command("PING")
        except StoreUnavailable:
            if not self._local:
                await self.unsubscribe(room)
                raise
        finally:
            self._asked.discard(room)

    async def unsubscribe(self, room: str) -> None:
        count = self._counts.get(room, 0) - 1
        if count > 0:
            self._counts[room] = count
            return
        self._counts.pop(room, None)
        channel = self._names.channel(room)
        if self._rooms.pop(channel, None) is not None:
            try:
                self._link.tell(self._unsubscribe, channel)
            except StoreUnavailable:
                pass  # with the connection the subscription is gone

    def listen(self, channel: bytes, heard: Callable[[bytes], None]) -> None:
        """Hear a channel of another use, on this connection and all that follow."""
        self._others[channel] = heard
        try:
            self._link.tell("SUBSCRIBE", channel)
        except StoreUnavailable:
            pass  # `restore` subscribes

    def clear(self) -> None:
        """Hear nothing any more."""
        self.deliver = _nobody
        self._counts.clear()
        self._rooms.clear()

    async def restore(self, session: Session) -> None:
        """Subscribe on a new connection to all that is heard."""
        self._asked.clear()
        channels = [*self._rooms]
        for start in range(0, len(channels), _AT_ONCE):
            if self._link.sharded:
                for channel in channels[start : start + _AT_ONCE]:
                    session.tell(self._subscribe, channel)
            else:
                session.tell(self._subscribe, *channels[start : start + _AT_ONCE])
            await session.send("PING")
        if self._others:
            session.tell("SUBSCRIBE", *self._others)
            await session.send("PING")

    def pushed(self, push: list[Any]) -> None:
        """Take what Redis pushes."""
        if push[0] not in (b"message", b"smessage"):
            return
        _, channel, packed = push
        room = self._rooms.get(channel)
        if room is None:
            other = self._others.get(channel)
            if other is not None:
                other(packed)
            return
        head, _, json = packed.partition(b"\n")
        try:
            node, number, sender, how = self._decode(head)
        except (TypeError, ValueError):
            logger.warning("not a say of ahd in %s", channel.decode("utf-8", "replace"), extra={"event": "badSay"})
            return
        if node == self._node:
            self._heard = max(self._heard, number)
            if how == HEARD:
                return
        if how >= LEAVE and not self._first_time(node, number):
            return
        self.deliver(Say(room, sender, None, json))

    def _first_time(self, node: str, number: int) -> bool:
        """Remember a LEAVE; whether it was not heard before."""
        leaves = self._leaves
        if (node, number) in leaves:
            return False
        leaves[node, number] = None
        if len(leaves) > MOST_LEAVES:
            del leaves[next(iter(leaves))]
        return True


def _nobody(say: Say) -> None:
    """Stands for the node's rooms until the store is opened."""
