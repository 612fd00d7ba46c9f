"""How many connections there are, in all and from each address, and how fast each address asks. PURE.

Addresses of IPv6 count by their first 64 bits, which is what one client's network has. Who comes through a trusted
proxy is counted by its own address as soon as a request says which that is, the proxy's socket by none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from ahd.core.errors import CROWDED, CROWDED_ADDRESS, Disconnect
from ahd.core.pace import Bucket, Pace

from .proxies import UNIX

if TYPE_CHECKING:
    from ahd.config.model import Limits
    from ahd.core.hits import Hits

Guest = TypeVar("Guest")

NETWORK = 64
"""Bits of an IPv6 address that say whose it is."""
ADDRESSES = 10_000
"""Addresses whose pace is remembered; the one that has been known for longest makes room."""
RETRY_AFTER = 5
"""Seconds after which to try again when there are too many connections."""


def whose(address: str) -> str:
    """What an address counts as: itself, or the network of an IPv6 address; "" for what has none."""
    if ":" not in address:
        return "" if address == UNIX else address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:  # what a socket for both calls a client of IPv4
        return str(parsed.ipv4_mapped)
    number = int(parsed)
    return str(ipaddress.IPv6Network((number >> NETWORK << NETWORK, NETWORK)))


class Crowd:
    """Counts connections of one kind; `count` is how many there are."""

    def __init__(self, limits: Limits, hits: Hits) -> None:
        self._hits = hits
        self._by_address: dict[str, int] = {}
        self.count = 0
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Take up other limits; who is there stays."""
        self._total = limits.connections
        self._each = limits.connections_per_address

    def refusal(self, address: str) -> Disconnect | None:
        """Why one more from there cannot be let in, counted and logged; None when it can. "" is no address."""
        if self._total and self.count >= self._total:
            self._hits.hit("connections", "there are %d connections", self._total)
            return CROWDED
        if self._each and self._by_address.get(whose(address), 0) >= self._each:
            self._hits.hit("connectionsPerAddress", "%s has %d connections", address, self._each)
            return CROWDED_ADDRESS
        return None

    def enter(self, address: str) -> None:
        """One more is there; `leave` must follow."""
        self.count += 1
        key = whose(address)
        if key:
            self._by_address[key] = self._by_address.get(key, 0) + 1

    def leave(self, address: str) -> None:
        """One less."""
        self.count -= 1
        key = whose(address)
        left = self._by_address.get(key, 0) - 1
        if left > 0:
            self._by_address[key] = left
        else:
            self._by_address.pop(key, None)


def nobody(peer: str) -> bool:
    """Whom a server believes to be a proxy that has none."""
    return False


class Guests(Generic[Guest]):
    """The connections of a server, each counted for its address in a crowd, if there is one.

    Who `is_proxy` counts for no address. Iterated over, it tells who is there.
    """

    def __init__(self, crowd: Crowd | None = None, is_proxy: Callable[[str], bool] = nobody) -> None:
        self._crowd = crowd
        self._is_proxy = is_proxy
        self._addresses: dict[Guest, str | None] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[Guest]:
        return iter(self._addresses)

    def enter(self, guest: Guest, peer: str) -> Disconnect | None:
        """One is there; why it cannot stay, if it cannot (it is then counted for nobody). `leave` must follow."""
        self._addresses[guest] = None
        if self._crowd is None:
            return None
        address = "" if self._is_proxy(peer) else peer
        why = self._crowd.refusal(address)
        if why is None:
            self._crowd.enter(address)
            self._addresses[guest] = address
        return why

    def leave(self, guest: Guest) -> None:
        """It has gone; again is no error."""
        address = self._addresses.pop(guest, None)
        if address is not None and self._crowd is not None:
            self._crowd.leave(address)


def address_paces(limits: Limits, hits: Hits) -> AddressPaces | None:
    """How fast each address may ask for actions; None without a limit."""
    pace = Pace.of(limits.request_rate, limits.request_burst)
    return None if pace is None else AddressPaces(pace, hits, monotonic)


class AddressPaces:
    """A bucket for each address that asks. `now`: seconds that do not go back."""

    def __init__(self, pace: Pace, hits: Hits, now: Callable[[], float]) -> None:
        self._pace = pace
        self._hits = hits
        self._now = now
        self._buckets: dict[str, Bucket] = {}

    def refusal(self, address: str) -> int | None:
        """Seconds after which a request from there may be tried again, counted and logged; None: it may pass now."""
        key = whose(address)
        if not key:
            return None
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= ADDRESSES:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[key] = Bucket(self._pace)
        now = self._now()
        if bucket.take(now):
            return None
        self._hits.hit("requestRate", "%s sends too many requests", address)
        return bucket.next_after(now)
