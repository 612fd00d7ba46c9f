"""Who hears a room over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ahd.core.message import Say

if TYPE_CHECKING:
    from .link import TcpLink

END = b"\r\n"
"""Of a line."""


class TcpGroup:
    """The links of this node that hear one room."""

    __slots__ = ("_links",)

    def __init__(self) -> None:
        self._links: set[TcpLink] = set()

    def add(self, link: Any) -> None:
        self._links.add(link)

    def discard(self, link: Any) -> None:
        self._links.discard(link)

    def deliver(self, say: Say, skip: Any) -> int:
        line = say.frames.get("socket")
        if line is None:
            line = say.frames["socket"] = say.json + END
        heard = 0
        for link in self._links:
            if link is not skip:
                link.hear(line)
                heard += 1
        return heard

    def __len__(self) -> int:
        return len(self._links)
