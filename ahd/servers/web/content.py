"""One file as it is sent: its type, its tag, its bytes when they are small enough to keep, and their gzip form."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate
from typing import BinaryIO

KEPT_FILE = 262144
"""A file of up to so many bytes is kept in memory; a larger one is read from the disk each time."""
KEPT_ALL = 33554432
"""Bytes of all kept files and their gzip forms together; beyond it those unused for longest go."""
COMPRESS_FROM = 512
"""Below this size gzip saves no packet."""

# Without the machine's own tables, so that an answer is the same on every machine.
_TYPES = mimetypes.MimeTypes()
for _type, _extension in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("application/json", ".map"),
    ("application/manifest+json", ".webmanifest"),
    ("application/wasm", ".wasm"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
    ("image/x-icon", ".ico"),
    ("text/markdown", ".md"),
    ("text/plain", ".ts"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
):
    _TYPES.add_type(_type, _extension)
_TEXTUAL = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/wasm",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
        "image/x-icon",
    }
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        return cls(stat.st_mtime_ns, stat.st_size, stat.st_ino)


@dataclass(slots=True)
class Content:
    """A file in one state. `body` None: too large to keep. `zipped` is b"" where gzip does not pay."""

    stamp: Stamp
    content_type: str
    etag: str
    body: bytes | None
    zipped: bytes

    @property
    def modified(self) -> int:
        """Whole seconds since the epoch, as the header can say them."""
        return self.stamp.modified_ns // 1_000_000_000

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)

    @property
    def weight(self) -> int:
        return len(self.body or b"") + len(self.zipped)


def content_type(name: str) -> str:
    """The media type by the name's ending, with the character set of text."""
    guessed, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    if guessed is None:
        return "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed


def load(name: str, file: BinaryIO, stamp: Stamp) -> Content:
    """Read an open file of `stamp`, which stays open; one that is too large to keep is not read."""
    kind = content_type(name)
    if stamp.size > KEPT_FILE:
        return Content(stamp, kind, f'"{stamp.modified_ns:x}-{stamp.size:x}"', None, b"")
    body = file.read(KEPT_FILE)
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    zipped = b""
    plain = kind.partition(";")[0]
    if len(body) >= COMPRESS_FROM and (plain.startswith("text/") or plain in _TEXTUAL):
        zipped = gzip.compress(body, 6, mtime=0)
        if len(zipped) >= len(body):
            zipped = b""
    return Content(stamp, kind, f'"{digest}"', body, zipped)


class Kept:
    """The contents that are kept in memory, by real path; bounded by `KEPT_ALL` bytes."""

    def __init__(self, bound: int = KEPT_ALL) -> None:
        self._bound = bound
        self._contents: OrderedDict[str, Content] = OrderedDict()
        self._weight = 0

    def get(self, path: str, stamp: Stamp) -> Content | None:
        """What is kept of this state of the file."""
        content = self._contents.get(path)
        if content is None or content.stamp != stamp:
            return None
        self._contents.move_to_end(path)
        return content

    def put(self, path: str, content: Content) -> None:
        """Keep a content in place of what was there."""
        old = self._contents.pop(path, None)
        if old is not None:
            self._weight -= old.weight
        if content.body is None or content.weight > self._bound:
            return
        self._contents[path] = content
        self._weight += content.weight
        while self._weight > self._bound:
            _, dropped = self._contents.popitem(last=False)
            self._weight -= dropped.weight
