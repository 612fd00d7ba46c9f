"""Packets that are nearly right: what a broken or hostile client may send."""

from __future__ import annotations

import json
import random
from typing import Any

SPOKEN = ["action", "say", "roomView", "roomChange", "listenToRoom", "silenceRoom", "detailsView"]
HEARD = ["welcome", "response", "connect", "disconnect", "connect_error", "error"]
VERBS = [*SPOKEN * 3, *HEARD, "message", "__proto__", "constructor", "toString"]
KEYS = [
    "action",
    "message",
    "room",
    "a",
    "key",
    "value",
    "limit",
    "__proto__",
    "constructor",
    "",
    "\x00",
    "sleepDuration",
]
TEXTS = [
    "",
    "status",
    "add",
    "defaultRoom",
    "x" * 300,
    "\x00",
    "\ud800",
    "😀",
    "__proto__",
    "/etc/passwd",
    "${HOME}",
    "\u2028",
]
NUMBERS: list[Any] = [0, -1, 1.5, 1e308, -1e-308, 2**53, 2**64, 10**400, -(10**30)]
WHOLE = [
    "", "4", "40", "41", "42", "43", "44", "45", "46", "47", "2", "3", "5", "6", "2probe", "3probe", "9", "\x00",
    "40/", "40//", "40,", "40/custom", "40/,{}", "40{", "40[]", "41/x", "42[]", "42{}", "42[[]]", "42[null]",
    "42/x,[1]", "42[1", "42-1[]", "420", '42["a"', '42["say"]x', "43[]", "431", "431[]", "43999999999999999999[]",
    "450-[]", "451-", '451-["say",{"_placeholder":true,"num":0}]', '459999-["say"]', '45-1-["say"]',
    '451-["say",{"_placeholder":true}]',
    '451-["say",{"_placeholder":true,"num":-1}]', "461-1[]", "b", "bAAAA", "b====",
    '42["say",' + "[" * 900 + "]" * 900 + "]",
    '42["say",{"message":' + "9" * 5000 + "}]", '42["say",NaN]', '42["say",Infinity]', '42["\\ud800"]', "4" + "2" * 500,
]  # fmt: skip


class Packets:
    """An endless, repeatable supply; one seed, one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        kind = self.random.randrange(8 if depth < 4 else 5)
        if kind == 0:
            return self.random.choice([None, True, False])
        if kind == 1:
            return self.random.choice(NUMBERS)
        if kind <= 4:
            return self.random.choice(TEXTS)
        if kind == 5:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(KEYS): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def event(self) -> str:
        """A packet whose form is right and whose content may be anything."""
        content = [self.random.choice(VERBS), *[self.value() for _ in range(self.random.choice([0, 1, 1, 1, 2, 5]))]]
        number = self.random.choice(["", "", "0", "7", "00", "-1", "99999999999999999999"])
        namespace = self.random.choice(["", "", "", "", "/,", "/custom,", "/nowhere,"])
        return f"42{namespace}{number}{json.dumps(content, ensure_ascii=self.random.random() < 0.9)}"

    def mangled(self) -> str:
        """A packet with some of its characters gone, doubled or replaced."""
        text = list(self.event())
        for _ in range(self.random.randrange(1, 5)):
            place = self.random.randrange(len(text))
            action = self.random.randrange(4)
            if action == 0:
                del text[place:]
            elif action == 1:
                text[place] = chr(self.random.choice([0, 34, 44, 45, 91, 92, 123, 0x1E, 0x7F, 0xE9, 0x2028, 0x1F600]))
            elif action == 2:
                text.insert(place, self.random.choice('[]{}",:-0/\\'))
            else:
                text[place:place] = text[max(0, place - 5) : place]
            if not text:
                break
        return "".join(text)

    def text(self) -> bytes:
        """One text message; now and then not UTF-8."""
        choice = self.random.random()
        if choice < 0.5:
            packet = self.event()
        elif choice < 0.8:
            packet = self.mangled()
        else:
            packet = self.random.choice(WHOLE)
        data = packet.encode("utf-8", "surrogatepass")
        if self.random.random() < 0.01:
            data += self.random.randbytes(8)
        return data

    def binary(self) -> bytes:
        """One binary message."""
        return self.random.randbytes(self.random.choice([0, 1, 2, 50, 3000]))
