"""The store of a single node: dictionaries, bounded, with nothing to wait for."""

from __future__ import annotations

import heapq
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ahd.config.model import Config
from ahd.core.interfaces import Cached, Node
from ahd.core.message import Encode, Say

Clock = Callable[[], int]
"""Milliseconds; tests hand in one of their own."""


def epoch_ms() -> int:
    """The wall clock, since what is saved is told in epoch milliseconds."""
    return int(time.time() * 1000)


def elapsed_ms() -> int:
    """A clock that nobody sets: what is to go after a time goes after that time, whatever the wall clock does."""
    return int(time.monotonic() * 1000)


@dataclass(slots=True)
class _Entry:
    text: bytes
    deadline: int | None
    expire_timestamp: int | None
    created_at: int
    read_at: int | None


class MemoryCache:
    """A bounded cache. At the bound the value unused for longest goes first; expired ones go by themselves.

    `max_entries` values and `max_size` bytes (keys and JSON texts together) at the most.
    """

    def __init__(self, encode: Encode, decode: Callable[[bytes], Any], max_entries: int, max_size: int,
                 clock: Clock = epoch_ms, elapsed: Clock = elapsed_ms) -> None:  # fmt: skip
        self._encode = encode
        self._decode = decode
        self._max_entries = max_entries
        self._max_size = max_size
        self._clock = clock
        self._elapsed = elapsed
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._expiries: list[tuple[int, str]] = []
        self._size = 0
        self.evicted = 0
        """Values given up since the start to keep within the bounds."""

    async def save(self, key: str, value: Any, expire_time_ms: int | None = None) -> bool:
        text = self._encode(value)
        weight = _weight(key, text)
        if weight > self._max_size:
            raise ValueError(f"larger than the whole cache ({weight} of {self._max_size} bytes)")
        now, elapsed = self._clock(), self._elapsed()
        self._expire(elapsed)
        self._remove(key)
        expires = None if expire_time_ms is None else now + expire_time_ms
        deadline = None if expire_time_ms is None else elapsed + expire_time_ms
        while self._entries and (len(self._entries) >= self._max_entries or self._size + weight > self._max_size):
            self._remove(next(iter(self._entries)))
            self.evicted += 1
        self._entries[key] = _Entry(text, deadline, expires, now, None)
        self._size += weight
        if deadline is not None:
            heapq.heappush(self._expiries, (deadline, key))
            if len(self._expiries) > 2 * len(self._entries) + 64:
                self._expiries = [(e.deadline, k) for k, e in self._entries.items() if e.deadline is not None]
                heapq.heapify(self._expiries)
        return True

    async def load(self, key: str) -> Cached | None:
        now = self._clock()
        self._expire(self._elapsed())
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        read_at, entry.read_at = entry.read_at, now
        return Cached(self._decode(entry.text), entry.expire_timestamp, entry.created_at, read_at)

    async def destroy(self, key: str) -> bool:
        self._expire(self._elapsed())
        return self._remove(key)

    async def size(self) -> int:
        self._expire(self._elapsed())
        return len(self._entries)

    def _expire(self, now: int) -> None:
        expiries = self._expiries
        while expiries and expiries[0][0] <= now:
            moment, key = heapq.heappop(expiries)
            entry = self._entries.get(key)
            if entry is not None and entry.deadline == moment:
                self._remove(key)

    def _remove(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._size -= _weight(key, entry.text)
        return True


def _weight(key: str, text: bytes) -> int:
    return len(key.encode("utf-8", "surrogatepass")) + len(text)


class MemoryPresence:
    """Who is in which room, in the order of their coming."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, None]] = {}
        self.deliver: Callable[[Say], None] = _nobody

    async def enter(self, room: str, member: str, entered: Say | None) -> None:
        self._add(room, member)
        if entered is not None:
            self.deliver(entered)

    async def move(self, member: str, origin: str, target: str, left: Say | None, entered: Say | None) -> None:
        self._take(origin, member)
        self._add(target, member)
        if left is not None:
            self.deliver(left)
        if entered is not None:
            self.deliver(entered)

    async def leave(self, room: str, member: str, left: Say | None) -> None:
        self._take(room, member)
        if left is not None:
            self.deliver(left)

    async def members(self, room: str) -> list[str]:
        return list(self._rooms.get(room, ()))

    def clear(self) -> None:
        """Forget everybody."""
        self._rooms.clear()

    def _add(self, room: str, member: str) -> None:
        self._rooms.setdefault(room, {})[member] = None

    def _take(self, room: str, member: str) -> None:
        members = self._rooms.get(room)
        if members is not None:
            members.pop(member, None)
            if not members:
                del self._rooms[room]


class MemoryBus:
    """One node: what is published is delivered on the spot."""

    def __init__(self) -> None:
        self.deliver: Callable[[Say], None] = _nobody

    async def publish(self, say: Say) -> None:
        self.deliver(say)

    async def subscribe(self, room: str) -> None:
        pass

    async def unsubscribe(self, room: str) -> None:
        pass


def _nobody(say: Say) -> None:
    """Stands for the node's rooms until the store is opened."""


class MemoryNodes:
    """This node, alone."""

    def __init__(self, clock: Clock) -> None:
        self.id = uuid.uuid4().hex
        self._clock = clock
        self._started_at = clock()
        self._configuration = ""
        self._figures: Callable[[], dict[str, int]] = dict

    def introduce(self, configuration: str, figures: Callable[[], dict[str, int]]) -> None:
        self._configuration = configuration
        self._figures = figures

    async def all(self) -> list[Node]:
        return [Node(self.id, self._started_at, self._clock(), self._configuration, self._figures())]


class MemoryStore:
    """Cache, presence and bus of a single node. No method suspends."""

    immediate = True

    def __init__(self, encode: Encode, decode: Callable[[bytes], Any], max_entries: int, max_size: int,
                 clock: Clock = epoch_ms, elapsed: Clock = elapsed_ms) -> None:  # fmt: skip
        self.cache = MemoryCache(encode, decode, max_entries, max_size, clock, elapsed)
        self.presence = MemoryPresence()
        self.bus = MemoryBus()
        self.nodes = MemoryNodes(clock)

    async def open(self, deliver: Callable[[Say], None], lost: Callable[[str], None] | None = None) -> None:
        self.presence.deliver = self.bus.deliver = deliver

    async def close(self) -> None:
        self.presence.deliver = self.bus.deliver = _nobody
        self.presence.clear()

    def away(self) -> str | None:
        return None

    def channel(self, name: str) -> None:
        return None


def make(config: Config, encode: Encode, decode: Callable[[bytes], Any]) -> MemoryStore:
    """The store that a configuration asks for."""
    return MemoryStore(encode, decode, config.limits.cache_entries, config.limits.cache_size)
