"""The nodes of a system: each holds a lease, and tells of itself while it renews it.

A node whose lease has ended is dead: one of the others, whichever comes first in Redis, takes its members out of their
rooms and announces each as left. Only a node that has had Redis without a break for as long as a lease lasts may do so:
after an outage everybody has the time to come back.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from ahd.core.errors import StoreUnavailable
from ahd.core.interfaces import Node
from ahd.core.message import LEFT, Encode, now_ms
from ahd.store.redis import scripts
from ahd.store.redis.link import DONE_TOO_LATE, GIVEN_UP, TAKEN_FOR_DEAD, RedisLink
from ahd.store.redis.names import Names
from ahd.store.redis.stream import Session

logger = logging.getLogger("ahd.store")

LEASE = 5.0
"""Seconds for which a node that does not renew its lease counts as alive."""

RENEWAL = 1.0
"""Seconds between renewals."""

OTHERS_WITHIN = 1.5
"""Seconds that a node waits, once it has Redis again, for the other nodes to hear again."""

_MEMBERS_AT_ONCE = 500
_COMPARE_EVERY = 5
_LOOK_EVERY = 0.05


class RedisNodes:
    """`decode` and `encode` are for what nodes tell; `announce`: whether the members of a dead node are."""

    def __init__(
        self, link: RedisLink, names: Names, encode: Encode, decode: Callable[[bytes], Any], announce: bool
    ) -> None:
        self.id = uuid.uuid4().hex
        self._link = link
        self._names = names
        self._encode = encode
        self._decode = decode
        self._publish = b"SPUBLISH" if link.sharded else b"PUBLISH"
        self._left = encode(LEFT) if announce else b""
        self._started_at = now_ms()
        self._configuration = ""
        self._figures: Callable[[], dict[str, int]] = dict
        self._warned: set[str] = set()
        self._others: set[bytes] = set()
        """The other nodes, as of the last renewal."""
        self._keeper: asyncio.Task[None] | None = None
        self.reaped = 0
        """Dead nodes that this one has found."""

    def introduce(self, configuration: str, figures: Callable[[], dict[str, int]]) -> None:
        self._configuration = configuration
        self._figures = figures

    async def all(self) -> list[Node]:
        if self._link.reason is not None:
            return [self._self()]
        found = await self._link.command("HGETALL", self._names.nodes)
        nodes = [self._other(id.decode(), told) for id, told in found.items() if id.decode() != self.id]
        return sorted([*nodes, self._self()], key=lambda node: (node.started_at, node.id))

    async def join(self, session: Session) -> tuple[str, dict[str, str]]:
        """Take a lease; what became of this node's members meanwhile ("kept", "reaped", "lost"), and who they are."""
        arguments = (int(LEASE * 1000), self._told())
        state, flat, now = await self._script(session.send, scripts.JOIN, *arguments)
        self._link.told_time(int(now))
        texts = [text.decode() for text in flat]
        return state.decode(), dict(zip(texts[::2], texts[1::2], strict=True))

    async def others_hear(self, session: Session, state: str) -> None:
        """Wait until all nodes that were there before the outage hear again.

        Without it a say would be acknowledged that those miss who come back a moment later. A node that does not come
        back is not waited for any longer than OTHERS_WITHIN.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + OTHERS_WITHIN
        absent: list[bytes] = [*self._others]
        while absent:
            arguments = (int(LEASE * 1000), self._link.lost_at, state, *absent)
            absent = await self._script(session.send, scripts.ABSENT, *arguments)
            if absent and loop.time() >= end:
                names = ", ".join(node.decode() for node in absent)
                logger.warning("not back yet: %s", names, extra={"event": "nodesAbsent", "nodes": names})
                return
            if absent:
                await asyncio.sleep(_LOOK_EVERY)

    def start(self) -> None:
        """Renew from now on."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Give the lease back; members who are still there are taken out and announced."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        try:
            arguments = (scripts.RETIRE, self._publish, self._left, _MEMBERS_AT_ONCE)
            while await self._script(self._link.command, *arguments):
                pass
        except (StoreUnavailable, ResponseError) as error:
            logger.warning("left without a word to Redis: %s", error, extra={"event": "storeLeft"})

    async def _keep(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(RENEWAL)
            try:
                more = await self._tick()
                while more:
                    more = await self._tick()
                turn += 1
                if turn % _COMPARE_EVERY == 1:
                    self._compare(await self.all())
            except StoreUnavailable:
                continue
            except Exception:
                logger.exception("the lease was not renewed", extra={"event": "leaseFailed"})

    async def _tick(self) -> bool:
        may_reap = self._link.up_for() >= LEASE
        # What a frozen Redis finds in a socket that was given up must not seem to be a sign of life.
        head = (self._publish, self._link.deadline(GIVEN_UP), int(LEASE * 1000), self._told(), int(may_reap))
        tick = self._script(self._link.command, scripts.TICK, *head, self._left, _MEMBERS_AT_ONCE)
        alive, more, now, dead, all_nodes = await tick
        if alive == scripts.NOT_ALIVE:
            self._link.lose(TAKEN_FOR_DEAD)
        elif alive == scripts.LATE:
            self._link.lose(DONE_TOO_LATE)
        else:
            self._link.told_time(int(now))
            self._others = set(all_nodes) - {self.id.encode()}
        for node in dead:
            self.reaped += 1
            name = node.decode()
            logger.warning(
                "the node %s is dead; its members are taken out", name, extra={"event": "nodeDead", "node": name}
            )
        return bool(more)

    def _compare(self, nodes: list[Node]) -> None:
        """Warn, once for each, of nodes whose configuration is another."""
        different = {node.id: node.configuration for node in nodes if node.configuration != self._configuration}
        for id, configuration in different.items():
            if f"{id} {configuration} {self._configuration}" not in self._warned:
                logger.warning("the node %s has another configuration", id,
                               extra={"event": "nodesDiffer", "node": id, "configuration": configuration,
                                      "ownConfiguration": self._configuration})  # fmt: skip
        self._warned = {f"{id} {configuration} {self._configuration}" for id, configuration in different.items()}

    def _script(self, run: Callable[..., Any], script: scripts.Script, *arguments: Any) -> Any:
        names = self._names
        return run("EVALSHA", script.sha, 1, names.leases, names.root, self.id, *arguments)

    def _self(self) -> Node:
        return Node(self.id, self._started_at, now_ms(), self._configuration, self._figures())

    def _told(self) -> bytes:
        node = self._self()
        return self._encode([node.started_at, node.seen_at, node.configuration, node.figures])

    def _other(self, id: str, told: bytes) -> Node:
        started_at, seen_at, configuration, figures = self._decode(told)
        return Node(id, started_at, seen_at, configuration, figures)
