"""Rules between the keys of the section `auth`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .mistakes import Mistake, Note, Path

if TYPE_CHECKING:
    from .rules import View

Findings = Iterator[Mistake | Note]

CALL = "call"
SHORTEST_TOKEN = 16
SHORTEST_SECRET = 32
"""Bytes, as RFC 7518 (3.2) asks of HS256."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _can_authenticate(view: View) -> bool:
    jwt = view.get("auth", "jwt")
    return bool(view.get("auth", "tokens") or any(jwt[key] is not None for key in ("secret", "jwksFile", "jwksUrl")))


def sources(view: View) -> Findings:
    """Somebody must be able to come in; what is about tokens needs some."""
    if view.get("auth", "required") and not _can_authenticate(view):
        reason = "nobody could come in: say in auth.tokens or auth.jwt which tokens are accepted"
        yield view.mistake(("auth", "required"), reason)


def tokens(view: View) -> Findings:
    """The list of tokens."""
    seen: set[str] = set()
    for index, entry in enumerate(view.get("auth", "tokens")):
        path: Path = ("auth", "tokens", index, "token")
        token = entry["token"]
        text = "" if token is None else token.reveal()
        if token is None:
            yield view.mistake(path, "it must not be null")
        elif not text:
            continue  # its file could not be read, and that is told
        elif not _TOKEN.fullmatch(text):
            yield view.mistake(path, "a token has letters, digits and -._~+/ only, as it must fit into a header")
        elif len(text) < SHORTEST_TOKEN:
            yield view.mistake(path, f"a token must have at least {SHORTEST_TOKEN} characters, so that none is guessed")
        elif text in seen:
            yield view.mistake(path, "it is in the list already")
        seen.add(text)


def jwt(view: View) -> Findings:
    """The keys, and what is asked of tokens."""
    section = view.get("auth", "jwt")
    secret, file, url = section["secret"], section["jwksFile"], section["jwksUrl"]
    if secret is not None and secret.reveal() and len(secret.reveal().encode()) < SHORTEST_SECRET:
        yield view.mistake(("auth", "jwt", "secret"), f"it must have at least {SHORTEST_SECRET} bytes")
    if secret is not None and secret.reveal().startswith("-----BEGIN"):
        reason = "it is a key in PEM; public keys go into auth.jwt.jwksFile, as a JWK Set"
        yield view.mistake(("auth", "jwt", "secret"), reason)
    if file is not None and url is not None:
        yield view.mistake(("auth", "jwt", "jwksUrl"), "it cannot be given together with auth.jwt.jwksFile")
    if url is not None:
        parts = urlsplit(url)
        if parts.username is not None:
            yield view.mistake(("auth", "jwt", "jwksUrl"), "it must not have a user or a password")
        elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            reason = "whoever is on the way can put keys of his own in place of these; use https"
            yield view.note(("auth", "jwt", "jwksUrl"), reason)
    for index, name in enumerate(section["algorithms"]):
        if name.startswith("HS") and secret is None:
            yield view.mistake(("auth", "jwt", "algorithms", index), f"{name} needs auth.jwt.secret")
        elif name.startswith("HS") and len(secret.reveal().encode()) < int(name[2:]) // 8:
            reason = f"{name} needs a secret of at least {int(name[2:]) // 8} bytes"
            yield view.mistake(("auth", "jwt", "algorithms", index), reason)
        elif not name.startswith("HS") and file is None and url is None:
            reason = f"{name} needs auth.jwt.jwksFile or auth.jwt.jwksUrl"
            yield view.mistake(("auth", "jwt", "algorithms", index), reason)
    names = section["algorithms"]
    if secret is not None and names and not any(name.startswith("HS") for name in names):
        yield view.note(("auth", "jwt", "secret"), "it is not used: auth.jwt.algorithms has no HS256, HS384 or HS512")
    key = "jwksFile" if file is not None else "jwksUrl"
    if section[key] is not None and names and all(name.startswith("HS") for name in names):
        yield view.note(("auth", "jwt", key), "it is not used: auth.jwt.algorithms has no algorithm of public keys")


def rules(view: View) -> Findings:
    """What each rule is about, and whether it can ever decide."""
    required, known = view.get("auth", "required"), _can_authenticate(view)
    decided: set[str] = set()
    for index, rule in enumerate(view.get("auth", "rules")):
        path: Path = ("auth", "rules", index)
        if ("allow" in rule) == ("deny" in rule):
            yield view.mistake(path, "a rule needs one of allow and deny")
            continue
        verbs = set(rule.get("allow") or rule.get("deny"))
        yield from _targets(view, path, rule, verbs)
        who, claims = rule.get("who", "anyone"), rule.get("claims")
        if who == "anonymous" and claims:
            yield view.mistake((*path, "claims"), "an anonymous client has no claims")
        elif (claims or who == "authenticated") and not known:
            reason = "it is for nobody: without auth.tokens and auth.jwt every client is anonymous"
            yield view.note((*path, "claims" if claims else "who"), reason)
        elif who == "anonymous" and required:
            yield view.note((*path, "who"), "it is for nobody: with auth.required no client is anonymous")
        elif verbs <= decided:
            yield view.note(path, "it never decides: the rules before it have decided for everybody")
        if who == "anyone" and not claims:
            decided |= {verb for verb in verbs if ("actions" if verb == CALL else "rooms") not in rule}


def _targets(view: View, path: Path, rule: dict[str, Any], verbs: set[str]) -> Findings:
    rooms, call = bool(verbs - {CALL}), CALL in verbs
    if "rooms" in rule and not rooms:
        yield view.mistake((*path, "rooms"), "call is about actions, not about rooms")
    elif "actions" in rule and not call:
        yield view.mistake((*path, "actions"), "only call is about actions")
    elif rooms and call and ("rooms" in rule) != ("actions" in rule):
        missing = "actions" if "rooms" in rule else "rooms"
        yield view.mistake(path, f"the rule is about rooms and about actions: say which {missing}, or write two rules")
    for key in ("rooms", "actions"):
        for number, pattern in enumerate(rule.get(key, ())):
            if re.search(r"[{}]", re.sub(r"\{[^{}]+\}", "", pattern)):
                yield view.mistake((*path, key, number), "{ and } stand around the name of a claim, as in user-{sub}")


def default_room(view: View) -> Findings:
    """Who may not enter the default room is not let in: that may not be meant for all who are anonymous."""
    room = view.get("general", "defaultChatRoom")
    if view.get("auth", "required"):
        return
    for index, rule in enumerate(view.get("auth", "rules")):
        if "enter" not in (rule.get("allow") or rule.get("deny") or ()):
            continue
        if rule.get("who") == "authenticated" or rule.get("claims"):
            continue
        if not any(_fits(pattern, room) for pattern in rule.get("rooms", ("*",))):
            continue
        if "deny" in rule:
            reason = f"clients without a token are not let in: they may not enter general.defaultChatRoom ({room})"
            yield view.note(("auth", "rules", index), reason)
        return


def _fits(pattern: str, room: str) -> bool:
    """Whether a pattern is about a room for a client without claims."""
    parts = re.split(r"([*?])", pattern)
    expression = "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(expression, room, re.DOTALL) is not None


RULES = (sources, tokens, jwt, rules, default_room)
