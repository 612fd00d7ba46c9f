"""Who is connected, when there are more nodes than this one: `emit`, rooms and `disconnect` reach clients anywhere.

The messages between nodes are python-socketio's own, as JSON, so that its write-only managers reach ahd's clients from
any process. What comes in is worked through in order, one message after the other.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from socketio.async_pubsub_manager import AsyncPubSubManager

from ahd.core.errors import StoreUnavailable
from ahd.core.interfaces import Channel
from ahd.core.message import Encode

from .clients import ClientIndex

logger = logging.getLogger("ahd.socketio")

CHANNEL = "socketio"
"""The channel's name, behind the store's prefix."""

MAX_WAITING = 10_000
"""Messages of other nodes that may wait; further ones are thrown away."""


class SharedClientIndex(AsyncPubSubManager, ClientIndex):  # type: ignore[misc]  # python-socketio has no types
    """The clients of this node, and the way to those of the others."""

    name = "ahd"

    def __init__(self, channel: Channel, encode: Encode, decode: Callable[[bytes], Any]) -> None:
        # Write-only as far as the stock class goes: its listening thread has no end.
        super().__init__(channel=channel.name, write_only=True)
        self._shared = channel
        self._encode = encode
        self._decode = decode
        self._waiting: deque[dict[str, Any]] = deque()
        self._busy = False
        self.lost = 0
        """Messages to other nodes that could not be published, and from them that found no place."""
        self._handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "emit": self._handle_emit,
            "disconnect": self._handle_disconnect,
            "enter_room": self._handle_enter_room,
            "leave_room": self._handle_leave_room,
            "close_room": self._handle_close_room,
            "callback": self._handle_callback,
        }

    def initialize(self) -> None:
        super().initialize()
        self._shared.listen(self._heard)

    async def _publish(self, data: dict[str, Any]) -> None:
        """Tell the other nodes. While the store is away they are not told, and the log is, once in a thousand."""
        message = self._encode(data)
        try:
            await self._shared.publish(message)
        except StoreUnavailable as error:
            self._lose("%s did not reach the other nodes: %s", data["method"], error)

    def _heard(self, message: bytes) -> None:
        try:
            data = self._decode(message)
            handled = data["method"] in self._handlers
        except (ValueError, TypeError, KeyError):
            handled = False
        if not handled:
            logger.warning("a message that is not Socket.IO's in %s", self.channel, extra={"event": "badMessage"})
        elif data["method"] != "callback" and data.get("host_id") == self.host_id:
            pass  # its own: done already
        elif len(self._waiting) >= MAX_WAITING:
            self._lose("%s from another node was thrown away: %d wait", data["method"], len(self._waiting))
        else:
            self._waiting.append(data)
            if not self._busy:
                self._busy = True
                self.server.engine.spawn(self._work())

    async def _work(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                data = waiting.popleft()
                try:
                    await self._handlers[data["method"]](data)
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                    logger.warning(
                        "%s from outside cannot be done: %s: %s", data["method"], type(error).__name__, error,
                        extra={"event": "badMessage"},
                    )  # fmt: skip
        finally:
            self._busy = False

    def _lose(self, sentence: str, *arguments: Any) -> None:
        if self.lost % 1000 == 0:
            logger.warning(sentence, *arguments, extra={"event": "messageLost"})
        self.lost += 1
