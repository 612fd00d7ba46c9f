"""What is typed, as what Socket.IO sends; PURE. Over TCP the server reads the same words itself."""

from __future__ import annotations

import json
import shlex
from typing import Any

from ahd.codec import decode
from ahd.core.message import JsonObject
from ahd.core.verbs import ACTION, FAREWELLS, NAMES, TEXT_ACTION
from ahd.servers.tcp.framing import AUTHENTICATE, MALFORMED, REST, Request, parse, words

WORDS = (*REST, "paramAdd")
"""What completion knows without asking the server, whose actions come to it."""

HELP = """\
say TEXT                      say it in your room
roomView                      who is in your room
roomChange ROOM               go to another room
listenToRoom ROOM             hear another room, without being in it
silenceRoom ROOM              hear it no more
detailsView                   what the server knows of you
NAME KEY=VALUE …              call an action (actionsView tells which there are)
authenticate TOKEN            show a token (over tcp and tls; else --token)
paramAdd KEY=VALUE, paramView KEY, paramDelete KEY, paramsView, paramsDelete
                              parameters for every later action (over tcp and tls)
quit                          end
A line that begins with { is JSON: {"action": NAME, "params": {…}} or {"verb": NAME, "data": {…}}."""


class CommandError(Exception):
    """A line that says nothing that can be sent; the text says why."""


def to_event(line: str) -> Request:
    """The Socket.IO event and its data for a line. An action's values are JSON where they can be, else text; quotes
    work as in a shell. Raises CommandError."""
    if line.lstrip().startswith(("{", "[")):
        verb, data = parse(line.encode("utf-8", "surrogatepass"), decode)
    else:
        verb, data = words(line.strip("\r\n").lstrip())
        if verb == TEXT_ACTION or (verb == MALFORMED and line.split()[:1] != ["paramAdd"]):
            return ACTION, _action(line)
    if verb == MALFORMED:
        raise CommandError(data["error"])
    if verb not in NAMES:
        raise CommandError(f"{verb} works over tcp:// and tls:// only")
    return verb, data


def owes_reply(line: str) -> bool:
    """Whether the server answers this line with a reply."""
    try:
        return to_event(line)[0] not in FAREWELLS
    except CommandError:
        return True


def shows_token(line: str) -> bool:
    """Whether a line is there to show a token, so that it must not be kept."""
    words_of = line.split(maxsplit=1)
    return bool(words_of) and (words_of[0] == AUTHENTICATE or (line.lstrip().startswith("{") and '"token"' in line))


def _action(line: str) -> JsonObject:
    try:
        name, *assignments = shlex.split(line)
    except ValueError as error:
        raise CommandError(f"{str(error)[:1].lower()}{str(error)[1:]}") from None
    params: JsonObject = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise CommandError(f"{assignment} is not NAME=VALUE")
        params[key] = _value(value)
    return {**params, "action": name}


def _value(text: str) -> Any:
    try:
        return decode(text)
    except ValueError:
        return text


def shown(event: str, data: Any) -> str:
    """What a person is shown of an event."""
    if not isinstance(data, dict):
        return f"{event}: {json.dumps(data, ensure_ascii=False)}"
    if event == "welcome":
        return f"{data.get('welcome')} (room {data.get('room')})"
    if event == "authentication":
        return "the server asks for a token: authenticate TOKEN, or start with --token"
    if event == "say" and "message" in data:
        message = data["message"]
        text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
        return f"[{data.get('room')}] {data.get('from') or 'server'}: {text}"
    if event == "say" and "bye" in data:
        return f"the server says goodbye: {data.get('reason')}"
    if event == "say" and "dropped" in data:
        return f"{data['dropped']} says were lost: you read too slowly"
    if event == "closing":
        return f"the server closes the connection: {data.get('reason')}"
    if "error" in data:
        return f"error: {data['error']}"
    rest = {key: value for key, value in data.items() if key not in ("context", "messageCount")}
    status = rest.pop("status", None)
    if not rest:
        return str(status)
    return json.dumps(rest, ensure_ascii=False, indent=2)
