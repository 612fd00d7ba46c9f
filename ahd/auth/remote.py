"""A JWK Set at an address: fetched in a thread, kept, and fetched again when it is old or lacks a key."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from .keys import MAX_BYTES, KeySet, KeySetError

logger = logging.getLogger("ahd.auth")

COOLDOWN = 30.0
"""Seconds between two attempts, however many tokens ask for keys that are not there."""
TIMEOUT = 5.0
"""Seconds without a byte after which an attempt has failed."""
LONGEST = 10.0
"""Seconds that an attempt may take, and a client waits for it."""
STALE = 86400.0
"""Seconds after which keys that could not be fetched again are used no more."""


class RemoteKeys:
    """The keys of one address. `cooldown` in seconds; `start` and all else belong to the running loop."""

    def __init__(self, url: str, max_age: float, cooldown: float = COOLDOWN) -> None:
        self.url = url
        self.max_age = max_age
        self._cooldown = cooldown
        self._keys: KeySet | None = None
        self._fetched = self._tried = -STALE
        self._failed = False
        self._fetching: asyncio.Future[None] | None = None

    @property
    def failed(self) -> bool:
        """Whether the last attempt has failed, or there was none."""
        return self._failed or self._keys is None

    def keys(self) -> KeySet | None:
        """What is known now; None when nothing is, or it is too old. What is old is fetched again meanwhile."""
        age = time.monotonic() - self._fetched
        if age > self.max_age:
            self.refresh(min(self._cooldown, self.max_age))
        return self._keys if age <= max(STALE, self.max_age) else None

    def refresh(self, cooldown: float | None = None) -> asyncio.Future[None] | None:
        """Fetch the keys, unless that was tried just now (None). The future is shared: wait for it, do not await it."""
        if self._fetching is None:
            now = time.monotonic()
            if now - self._tried < (self._cooldown if cooldown is None else cooldown):
                return None
            self._tried = now
            loop = asyncio.get_running_loop()
            self._fetching = loop.create_future()
            # A daemon thread of its own: one that hangs keeps nothing else waiting, and not the process from ending.
            threading.Thread(target=self._work, args=(loop,), name="ahd-jwks", daemon=True).start()
        return self._fetching

    async def refreshed(self) -> None:
        """Return when the attempt under way, or a new one if one may be made, has ended."""
        fetching = self.refresh()
        if fetching is not None:
            await asyncio.wait({fetching}, timeout=LONGEST)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        found: KeySet | str
        try:
            found = KeySet(fetch(self.url))
        except KeySetError as error:
            found = str(error)
        except Exception as error:  # urllib lets many kinds through
            found = f"{type(error).__name__}: {error}"
        try:
            loop.call_soon_threadsafe(self._take, found)
        except RuntimeError:
            pass  # the loop is closed: the server has gone before the answer

    def _take(self, found: KeySet | str) -> None:
        if isinstance(found, KeySet):
            self._keys, self._fetched, self._failed = found, time.monotonic(), False
            extra: dict[str, object] = {"event": "keysFetched", "unusable": found.unusable}
            logger.info("the keys of %s are there", self.url, extra=extra)
        else:
            self._failed = True
            extra = {"event": "keysUnavailable", "reason": found}
            logger.warning("the keys of %s cannot be had: %s", self.url, found, extra=extra)
        fetching, self._fetching = self._fetching, None
        if fetching is not None and not fetching.done():
            fetching.set_result(None)


def fetch(url: str) -> bytes:
    """What is at an http or https address, redirects not followed. Raises KeySetError, and whatever urllib raises."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    end = time.monotonic() + LONGEST
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "ahd"})  # noqa: S310  # only http and https have handlers here
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            data = b""
            while chunk := response.read1(65536):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise KeySetError(f"more than {MAX_BYTES} bytes")
                if time.monotonic() > end:
                    raise KeySetError(f"more than {LONGEST:g} s")
    except HTTPError as error:
        error.close()
        raise KeySetError(f"it was answered with {error.code}") from None
    return data
