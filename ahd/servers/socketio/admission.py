"""Whom the door lets connect to a namespace: the token of a CONNECT packet, or that of the handshake's header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ahd.auth.authenticator import IN_ADDRESS, bearer
from ahd.auth.grant import Grant, Refusal, token_in_address
from ahd.core.errors import TOKEN_EXPIRED

if TYPE_CHECKING:
    from ahd.auth.door import Door
    from ahd.core.connection import Connection

    from .handshake import Handshake
    from .socket import EngineSocket

SERVER = "webSocket"
CLAIMS = "ahd.claims"
"""Where a plugin's connect handler finds the claims in its environ."""


class NamespaceLease:
    """The token of a client of another namespace than "/"; the session ends with it."""

    __slots__ = ("_socket", "expires_at")

    def __init__(self, socket: EngineSocket, expires_at: float | None) -> None:
        self._socket = socket
        self.expires_at = expires_at

    @property
    def gone(self) -> bool:
        return self._socket.closed

    def expire(self) -> None:
        self._socket.server.dismiss(self._socket, TOKEN_EXPIRED)


class Admission:
    """The door as Socket.IO's server has it. What a client is granted waits here until it is connected."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._grants: dict[str, Grant] = {}
        self.elsewhere: set[str] = set()
        """Namespaces that ask their clients for something else, such as a password."""

    def guards(self, namespace: str) -> bool:
        """Whether a client may be refused."""
        return self._door.guarded and namespace not in self.elsewhere

    async def refusal(self, socket: EngineSocket, namespace: str, data: Any) -> dict[str, Any] | None:
        """What a client is told that connects with this data and is not let in; None: it is."""
        try:
            self._grants[socket.sid] = await self._granted(socket, namespace, data)
        except Refusal as refusal:
            return {"message": refusal.sentence, "data": refusal.data}
        return None

    async def _granted(self, socket: EngineSocket, namespace: str, data: Any) -> Grant:
        door, handshake = self._door, socket.handshake
        token = data.get("token") if isinstance(data, dict) else None
        if token is None:
            token = bearer(handshake.header("authorization"))
        if door.authenticator is not None and _in_address(handshake):
            refusal: Refusal = token_in_address()
            door.refuse(refusal, handshake.address, SERVER)
            raise refusal
        grant = await door.admit(token, handshake.address, SERVER, member=namespace == "/")
        if namespace != "/":
            door.leases.add(NamespaceLease(socket, grant.expires_at))
        return grant

    def claims(self, sid: str) -> Mapping[str, Any]:
        """Those of a client that is being connected."""
        return self._grants[sid].claims

    def welcome(self, sid: str, connection: Connection) -> None:
        """Let the connection of a session be what was granted."""
        grant = self._grants.pop(sid, None)
        if grant is not None:
            self._door.welcome(connection, grant)

    def forget(self, sid: str) -> None:
        """A session is connected, or will not be."""
        self._grants.pop(sid, None)


def _in_address(handshake: Handshake) -> bool:
    query = handshake.query
    return "token" in query and not IN_ADDRESS.isdisjoint(parse_qs(query, keep_blank_values=True))
