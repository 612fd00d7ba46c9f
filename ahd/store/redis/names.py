"""The names of all keys and channels in Redis. Each begins with the prefix and the DB."""

from __future__ import annotations


class Names:
    """Names of one system of nodes.

    In a Cluster all of them share one slot, since a change of a room touches several keys at once: then the prefix and
    the DB stand in braces (unless the prefix has braces of its own).
    """

    def __init__(self, prefix: str, db: int, cluster: bool) -> None:
        root = f"{prefix}{db}"
        if cluster and not ("{" in prefix and "}" in prefix):
            root = f"{{{root}}}"
        self.root = f"{root}:".encode()
        self.leases = self.root + b"leases"
        """Sorted set: node, and when its lease ends (epoch milliseconds of Redis's clock)."""
        self.nodes = self.root + b"nodes"
        """Hash: node, and what it tells of itself as JSON."""
        self._rooms = self.root + b"room:"
        self._channels = self.root + b"say:"

    def room(self, room: str) -> bytes:
        """Sorted set: the members of a room in the order of their coming."""
        return self._rooms + room.encode()

    def channel(self, room: str) -> bytes:
        """The channel of a room's says."""
        return self._channels + room.encode()

    def shared(self, name: str) -> bytes:
        """A channel of another use."""
        return self.root + name.encode()
