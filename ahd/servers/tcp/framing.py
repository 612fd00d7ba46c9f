"""Bytes to requests (docs/tcp.md), with no I/O. How the bytes were cut on their way makes no difference.

`Lines` turns what arrives into lines and marks, `parse` a line into a request `(verb, data)`. Nothing here raises for
what a client sends: a line that is no request becomes the verb MALFORMED, whose data tells the sentence to answer with,
so that it is counted and answered in its turn like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from ahd.core.message import JsonObject
from ahd.core.verbs import ACTION, TEXT_ACTION

Request = tuple[str, JsonObject]
"""A verb of docs/protocol.md, one of docs/tcp.md for parameters, TEXT_ACTION or MALFORMED, and its data."""

AUTHENTICATE = "authenticate"
"""`{"token": …}`: the client shows its token."""

MALFORMED = "malformed"
"""`{"error": sentence}`: a line that is no request."""

TOO_LONG = "the line is longer than {max} bytes"
NOT_UTF8 = "the line is not UTF-8"
NOT_JSON = "the line is not valid JSON"
NOT_OBJECT = "the line must be a JSON object"
PARAMS_NOT_OBJECT = "params must be an object"
UNEXPECTED_KEY = "{key} is not expected beside {what}"
VERB_NOT_KNOWN = "{verb} is not a known verb"
NOT_AN_ASSIGNMENT = "{word} is not NAME=VALUE"

REST: dict[str, str | None] = {
    "say": "message",
    "roomChange": "room",
    "listenToRoom": "room",
    "silenceRoom": "room",
    "paramDelete": "name",
    "paramView": "name",
    "authenticate": "token",
    "roomView": None,
    "detailsView": None,
    "paramsView": None,
    "paramsDelete": None,
    "quit": None,
    "exit": None,
    "close": None,
}
"""The words with a meaning of their own, and what the rest of the line is (None: it is ignored)."""

VERBS = frozenset({*REST, "paramAdd"})
"""What `{"verb": …}` may name; `action` has its own form."""

CTRL_C, CTRL_D = 0x03, 0x04
IAC, WILL, DONT, SB, SE, FIRST_COMMAND = 0xFF, 0xFB, 0xFE, 0xFA, 0xF0, 0xEC
INTERRUPTS = frozenset({0xEC, 0xED, 0xEE, 0xF4})
"""Telnet's end of file, suspend, abort and interrupt process (RFC 854, RFC 1184): what Ctrl-C and Ctrl-D become."""


class Mark(Enum):
    """What stands among the lines without being one."""

    TOO_LONG = "a line that was longer than the limit; what it said is thrown away"
    END = "the client ends the session; nothing comes after it"


class _Telnet(Enum):
    """Where in a telnet command the last read ended."""

    TEXT = 0
    COMMAND = 1  # after IAC
    OPTION = 2  # after IAC WILL, WONT, DO or DONT
    SUB = 3  # in a subnegotiation
    SUB_COMMAND = 4  # after IAC in a subnegotiation


_TEXT: Final = _Telnet.TEXT  # before Python 3.12 a member takes long to look up


class Lines:
    """Cuts bytes into lines of at most `limit` bytes, without their ends; never holds more than a line and its end.

    A line ends with LF; one CR before it belongs to the end. Telnet commands are taken out wherever they stand. Ctrl-C
    and Ctrl-D, as bytes or as telnet commands, end the session. Empty lines are dropped. A line that is too long gives
    one mark, as soon as it is known to be.
    """

    __slots__ = ("_ended", "_limit", "_rest", "_skipping", "_telnet")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest: bytearray | bytes = b""
        self._skipping = False
        self._telnet = _Telnet.TEXT
        self._ended = False

    def feed(self, data: bytes) -> list[bytes | Mark]:
        """The lines and marks that these bytes complete."""
        if self._ended:
            return []
        ended = False
        # An integer is looked for much quicker than bytes of length 1.
        if self._telnet is not _TEXT or IAC in data or CTRL_D in data or CTRL_C in data:
            data, ended = self._without_telnet(data)
        elif data.find(b"\n") == len(data) - 1 <= self._limit and not self._rest and not self._skipping and data:
            # One whole line, as nearly always.
            line = data[:-2] if data.endswith(b"\r\n") else data[:-1]
            return [line] if line and not line.isspace() else []
        found: list[bytes | Mark] = []
        *ends, rest = data.split(b"\n")
        if ends:
            if self._rest:
                ends[0] = bytes(self._rest) + ends[0]
                self._rest = b""
            for line in ends:
                if self._skipping:
                    self._skipping = False
                    continue
                if line.endswith(b"\r"):
                    line = line[:-1]
                if len(line) > self._limit:
                    found.append(Mark.TOO_LONG)
                elif line and not line.isspace():
                    found.append(line)
        if rest and not self._skipping:
            if not self._rest:
                # Grows in place: a line that comes byte by byte is not copied for each of them.
                self._rest = bytearray()
            self._rest += rest
            # The CR of a line end may have come before its LF.
            if len(self._rest) > self._limit + rest.endswith(b"\r"):
                found.append(Mark.TOO_LONG)
                self._skipping = True
                self._rest = b""
        if ended:
            self._ended = True
            found.append(Mark.END)
            self._rest = b""
        return found

    def _without_telnet(self, data: bytes) -> tuple[bytes, bool]:
        """The text among telnet's commands, up to where the session ends; and whether it ends here."""
        text = bytearray()
        state = self._telnet
        for byte in data:
            if state is _Telnet.COMMAND and byte < FIRST_COMMAND:
                # No command: a stray byte, which makes the line no UTF-8.
                text.append(IAC)
                state = _Telnet.TEXT
            if state is _Telnet.TEXT:
                if byte == IAC:
                    state = _Telnet.COMMAND
                elif byte in (CTRL_C, CTRL_D):
                    return bytes(text), True
                else:
                    text.append(byte)
            elif state is _Telnet.COMMAND:
                state = _Telnet.TEXT
                if byte in INTERRUPTS:
                    return bytes(text), True
                if WILL <= byte <= DONT:
                    state = _Telnet.OPTION
                elif byte == SB:
                    state = _Telnet.SUB
                elif byte == IAC:
                    text.append(IAC)
            elif state is _Telnet.OPTION:
                state = _Telnet.TEXT
            elif state is _Telnet.SUB:
                if byte == IAC:
                    state = _Telnet.SUB_COMMAND
            else:
                state = _Telnet.TEXT if byte == SE else _Telnet.SUB
        self._telnet = state
        return bytes(text), False


def parse(line: bytes, decode: Callable[[bytes], Any]) -> Request:
    """What a line says. `decode` turns JSON text into a value or raises ValueError.

    A line that begins with `{` (or, wrongly, `[`) is JSON; every other one is words.
    """
    if not line.startswith(b"{"):
        line = line.lstrip()
        if not line.startswith((b"{", b"[")):
            try:
                return words(line.decode())
            except UnicodeDecodeError:
                return malformed(NOT_UTF8)
    try:
        value = decode(line)
    except (ValueError, RecursionError):
        return malformed(NOT_JSON if _is_utf8(line) else NOT_UTF8)
    return _object(value)


def words(text: str) -> Request:
    """What a line of words says: `say hello`, `paramAdd key=value`, `nameOfAnAction key=value …`."""
    word, _, rest = text.partition(" ")
    if word in REST:
        key = REST[word]
        if key == "message":
            return word, {"message": rest} if rest else {}
        rest = rest.strip()
        return word, {key: rest} if key is not None and rest else {}
    if word == "paramAdd":
        name, equals, value = rest.partition("=")
        name = name.strip()
        return (word, {name: value}) if name and equals else malformed(_assignment(rest))
    params: JsonObject = {}
    for assignment in rest.split():
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            return malformed(_assignment(assignment))
        params[name] = value
    params["action"] = word.strip()
    return TEXT_ACTION, params


def malformed(sentence: str) -> Request:
    """The request that is answered with this error."""
    return MALFORMED, {"error": sentence}


def _object(value: Any) -> Request:
    """`{"action": …, "params": {…}}`, or parameters beside the action; `{"verb": …, "data": {…}}`; `{"auth": {…}}`."""
    if type(value) is not dict:
        return malformed(NOT_OBJECT)
    params = value.get("params")
    if type(params) is dict and len(value) == 2 and "action" in value:  # as nearly always
        params["action"] = value["action"]
        return ACTION, params
    if "verb" in value and "action" not in value:
        verb, data = value.pop("verb"), value.pop("data", None)
        if value:
            return malformed(UNEXPECTED_KEY.format(key=next(iter(value)), what="verb and data"))
        if type(verb) is not str or verb not in VERBS:
            return malformed(VERB_NOT_KNOWN.format(verb=verb))
        # Data that is no object is the core's to refuse.
        return verb, {} if data is None else data
    if "auth" in value and len(value) == 1:
        return AUTHENTICATE, value["auth"]
    if "params" in value:
        params = value.pop("params")
        if params is None:
            params = {}
        if type(params) is not dict:
            return malformed(PARAMS_NOT_OBJECT)
        if "action" in value:
            params["action"] = value.pop("action")
        if value:
            return malformed(UNEXPECTED_KEY.format(key=next(iter(value)), what="action and params"))
        return ACTION, params
    return ACTION, value


def _assignment(word: str) -> str:
    return NOT_AN_ASSIGNMENT.format(word=word.strip() or "nothing")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
