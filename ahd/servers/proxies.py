"""Who is behind a proxy: the client's address and scheme, believed only when a trusted proxy says so. PURE.

X-Forwarded-For is a list to which each proxy appends whom it got the request from. It is read from the right, as long
as the one who wrote an entry is trusted: the first address that is not a trusted proxy's is the client's. What stands
to the left of it may be the client's own invention, and is not looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from .httphead import Scheme

UNIX: Final = "unix"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SCHEMES: Final[dict[str, Scheme]] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Fields(Protocol):
    """Header fields by name, without regard to case; repeated ones joined by commas."""

    def get(self, name: str, default: str, /) -> str:
        """The field's value, or `default`."""
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from: an address in its shortest form (or "unix"), and the scheme the client used."""

    address: str
    scheme: Scheme


class Trusted:
    """The proxies that are believed: addresses, networks such as 10.0.0.0/8, and "unix" for whoever may connect to the
    unix socket. Raises ValueError with a sentence for anything else."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._unix = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            if entry == UNIX:
                self._unix = True
                continue
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                raise ValueError(f"{entry!r} is no address, no network (10.0.0.0/8) and not {UNIX!r}") from None

    def client(self, peer: str, scheme: Scheme, fields: Fields) -> Client:
        """The client of a request that came over `scheme` from `peer`: the socket's other end, or "unix"."""
        if not self._networks and peer != UNIX:
            return Client(_shortest(peer), scheme)
        address = UNIX if peer == UNIX else _parse(peer)
        if address is None or not self._trusts(address):
            return Client(peer if address is None else str(address), scheme)
        believed = address
        hops = 0
        for entry in reversed(fields.get("x-forwarded-for", "").split(",")):
            hop = _parse(entry.strip())
            if hop is None:
                break  # nothing, "unknown" or garbage: whoever wrote it is the last that is known
            believed = hop
            hops += 1
            if not self._trusts(hop):
                break
        # One value is what the nearest proxy says; a list runs in step with the addresses.
        schemes = [part.strip().lower() for part in fields.get("x-forwarded-proto", "").split(",")]
        return Client(str(believed), _SCHEMES.get(schemes[-min(max(hops, 1), len(schemes))], scheme))

    def is_proxy(self, peer: str) -> bool:
        """Whether the socket's other end, or "unix", is believed."""
        if not self._networks:
            return peer == UNIX and self._unix
        address = UNIX if peer == UNIX else _parse(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: _Address | str) -> bool:
        if isinstance(address, str):
            return self._unix
        return any(address in network for network in self._networks)


@lru_cache(1024)
def _shortest(peer: str) -> str:
    """The shortest form of a peer's address."""
    address = _parse(peer)
    return peer if address is None else str(address)


def _parse(text: str) -> _Address | None:
    """An address, also with a port, in brackets, quoted, or as an IPv4 address inside IPv6; None for anything else."""
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
