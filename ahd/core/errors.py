"""Errors and disconnects as values: a code, the sentence a client reads, whose fault it is, whether to come back.

The sentences are those of docs/protocol.md. A `Refused` is raised anywhere below `Verbs.receive` and
becomes the `error` of exactly one reply; every other exception becomes the configured server error and is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """What kind of refusal it is; the value is the HTTP status that says the same."""

    BAD_INPUT = 422
    UNKNOWN_ACTION = 404
    NOT_ALLOWED = 403
    NOT_KNOWN = 401
    TOO_MANY = 429
    SERVER_ERROR = 500
    TIMED_OUT = 504
    SHUTTING_DOWN = 503
    STORE_AWAY = 503.1  # an Enum makes equal values one member; the fraction keeps the two apart

    @property
    def http_status(self) -> int:
        """The status of an HTTP answer with this error."""
        return int(self.value)


class Refused(Exception):
    """A verb that was understood and not done. `sentence` is what the client reads."""

    def __init__(self, sentence: str, code: Code = Code.BAD_INPUT) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


class StoreUnavailable(Exception):
    """Raised by a store that cannot do what was asked because it is away; within one second."""


DATA_NOT_OBJECT = "data must be an object"
ROOM_REQUIRED = "room is required"
ROOM_INVALID = "room must be a string of 1 to {max} characters without control characters"
MESSAGE_REQUIRED = "message is required"
MESSAGE_TOO_LARGE = "message is too large"
MESSAGE_NOT_JSON = "message cannot be sent"
ALREADY_LISTENING = "you are already listening to this room"
NOT_LISTENING = "you are not listening to this room"
TOO_MANY_ROOMS = "you are listening to too many rooms"
TOO_MANY_MESSAGES = "you are sending too many messages"
TOO_MANY_PENDING = "you have too many pending requests"
SHUTTING_DOWN = "the server is shutting down"
STORE_UNAVAILABLE = "the store is unavailable"
TOOK_TOO_LONG = "Error: the action took too long"
NOT_ALLOWED = "you are not allowed to do this"


def unknown_action(name: object) -> Refused:
    """No action of that name; `None` stands for no name at all."""
    return Refused(f"Error: {'{no action}' if name is None else name} is not a known action.", Code.UNKNOWN_ACTION)


def missing_parameter(name: str) -> Refused:
    """A required parameter that was not given."""
    return Refused(f"Error: {name} is a required parameter for this action")


def bad_parameter(name: str, reason: str) -> Refused:
    """A parameter of the wrong type or value: `Error: NAME reason`."""
    return Refused(f"Error: {name} {reason}")


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Why a connection is closed by the server; what the client is told of it is `message.closing`.

    `code` is a word for programs, `reason` the sentence of the log and of the client, `websocket` the WebSocket close
    code, `again` whether the client should come back by itself. A client that asked to be closed is not `told`.
    """

    code: str
    reason: str
    websocket: int
    again: bool
    told: bool = True


REFUSALS = frozenset({"invalidToken", "keysUnavailable", "notAllowed"})
"""Codes of clients that are not let in once they are connected, as those over TCP are."""
BAD_PACKET = "badPacket"
TOO_LARGE = "tooLarge"

CLIENT_QUIT = Disconnect("quit", "the client said quit", 1000, False, told=False)
DISCONNECTED = Disconnect("disconnected", "disconnected by the server", 1000, False)
SERVER_SHUTDOWN = Disconnect("shutdown", "server shutdown", 1001, True)
SERVER_ERROR = Disconnect("serverError", "the server experienced an internal error", 1011, True)
SLOW_CONSUMER = Disconnect("slowConsumer", "the client reads too slowly", 1008, True)
FLOODING = Disconnect("tooManyMessages", TOO_MANY_MESSAGES, 1008, True)
CROWDED = Disconnect("tooManyConnections", "too many connections", 1013, True)
CROWDED_ADDRESS = Disconnect("tooManyConnections", "too many connections from your address", 1013, True)
STORE_LOST = Disconnect("storeAway", STORE_UNAVAILABLE, 1013, True)
PING_TIMEOUT = Disconnect("pingTimeout", "no answer to a heartbeat", 1001, True)
NOT_AUTHENTICATED = Disconnect("authenticationTimeout", "no token came in time", 1008, True)
TOKEN_EXPIRED = Disconnect("tokenExpired", "the token has expired", 1008, True)
TOKEN_REVOKED = Disconnect("tokenRevoked", "the token is not valid any more", 1008, True)


_FIXED = (
    DISCONNECTED, SERVER_SHUTDOWN, SERVER_ERROR, SLOW_CONSUMER, FLOODING, CROWDED, STORE_LOST, PING_TIMEOUT,
    NOT_AUTHENTICATED, TOKEN_EXPIRED, TOKEN_REVOKED,
)  # fmt: skip
CLOSING_CODES = frozenset({*(one.code for one in _FIXED), *REFUSALS, BAD_PACKET, TOO_LARGE})
"""Every code that a client may be told."""


def bad_packet(why: str, websocket: int = 1002) -> Disconnect:
    """The client has broken the protocol."""
    return Disconnect(BAD_PACKET, why, websocket, True)


def too_large(size: int) -> Disconnect:
    """The client has sent a message of more than `size` bytes."""
    return Disconnect(TOO_LARGE, f"a message may have {size} bytes", 1009, True)
