"""Socket.IO's packets: their JSON, and what python-socketio takes on trust of their attachments."""

from __future__ import annotations

from typing import Any

from socketio.packet import Packet

from ahd.codec import PacketJson

MAX_ATTACHMENTS = 100


class JsonPacket(Packet):  # type: ignore[misc]  # python-socketio has no types
    """A packet whose JSON is orjson's. A class of its own: the stock class's module is the whole process's."""

    json = PacketJson


def check(packet: Any) -> None:
    """Raises ValueError for a packet that the protocol does not know."""
    kind, data = packet.packet_type, packet.data
    if kind == 0:
        if data is not None and not isinstance(data, dict):
            raise ValueError("CONNECT with something that is not an object")
    elif kind == 1:
        if data is not None:
            raise ValueError("DISCONNECT with data")
    elif kind in (2, 5):
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event without a name")
        if data[0] in ("connect", "disconnect", "connect_error"):
            raise ValueError(f"the event name {data[0]} is reserved")
    elif kind in (3, 6):
        if not isinstance(data, list) or packet.id is None:
            raise ValueError("an acknowledgement without its id or arguments")
    else:
        raise ValueError("an unknown packet")
    if (packet.attachment_count > 0) != (kind in (5, 6)) or packet.attachment_count > MAX_ATTACHMENTS:
        raise ValueError("a bad number of attachments")
    if packet.attachment_count:
        check_placeholders(data, packet.attachment_count)


def check_placeholders(data: Any, attachments: int) -> None:
    """Raises ValueError when a placeholder in a packet points to none of its attachments."""
    if isinstance(data, list):
        for item in data:
            check_placeholders(item, attachments)
    elif isinstance(data, dict):
        if data.get("_placeholder"):
            number = data.get("num")
            if type(number) is not int or not 0 <= number < attachments:
                raise ValueError("a placeholder without its attachment")
        else:
            for item in data.values():
                check_placeholders(item, attachments)
