"""A file that a client has sent with a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Upload(dict[str, Any]):
    """An uploaded file, as an action gets it for a parameter annotated `Upload`.

    `path` is where it is until the action has ended; then it is removed, so move or copy it to keep it. As a JSON
    object it is `{name, type, size}`: the client's own name and media type for it, neither to be trusted, and its
    bytes. Only the web server makes these: no JSON that a client sends can name a path.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path, name: str, type: str, size: int) -> None:
        super().__init__(name=name, type=type, size=size)
        self.path = path

    @property
    def name(self) -> str:
        """The file's name as the client said it."""
        name: str = self["name"]
        return name

    @property
    def type(self) -> str:
        """The media type as the client said it."""
        kind: str = self["type"]
        return kind

    @property
    def size(self) -> int:
        """How many bytes it has."""
        size: int = self["size"]
        return size
