"""One client over TCP: its lines in, its replies and says out, both bounded.

    bytes -> Lines -> parse -> Verbs.receive -> answer -> cork -> transport

What is produced while one read is worked through, or in one turn of the loop, leaves in one write. When a client does
not read, its lines wait (in its own socket, at last), so that replies never pile up; says do as `limits` say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from ahd.core import errors
from ahd.core.connection import Connection
from ahd.core.errors import Disconnect
from ahd.core.message import JsonObject, closing, goodbye
from ahd.core.verbs import FAREWELLS
from ahd.servers.crowd import RETRY_AFTER
from ahd.servers.drain import retry_after

from . import entry
from .framing import AUTHENTICATE, MALFORMED, TOO_LONG, Lines, Mark, parse
from .group import END, TcpGroup

if TYPE_CHECKING:
    from .server import TcpServer

BYE: JsonObject = {"status": "Bye!", "context": "response"}
BACKLOG = 16
"""Verbs that may stand behind one that waits for the store; more lines wait unread."""
CLOSE_TIMEOUT = 5.0
"""Seconds in which a client has to take the last of what it is sent."""


class TcpLink(asyncio.Protocol):
    """The protocol of one connection, and the way out to its client.

    `_held` are lines that have been read and must wait, `_behind` what waits to be written, with whether it is a say
    (and may be dropped); both are None as long as nothing does. `_owed` counts the replies still to come.
    """

    __slots__ = (
        "_behind",
        "_behind_size",
        "_cork",
        "_corked",
        "_ending",
        "_eof",
        "_finished",
        "_held",
        "_last",
        "_lines",
        "_owed",
        "_paused",
        "_receive",
        "_resuming",
        "_server",
        "_single",
        "_transport",
        "_working",
        "connection",
        "dropped",
        "entry",
    )

    connection: Connection

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._receive = server.verbs.receive
        self._transport: asyncio.Transport | None = None
        self._lines = Lines(server.settings.max_line_length)
        self._cork: list[bytes] = []
        self._corked = 0
        self._working = False
        self._single = False
        self._held: list[bytes | Mark] | None = None
        self._resuming = False
        self._paused = False
        self._behind: deque[tuple[bytes, bool]] | None = None
        self._behind_size = 0
        self._owed = 0
        self._ending: Disconnect | None = None
        self._last: JsonObject | None = None
        self._eof = False
        self._finished = False
        self.dropped = 0
        """Says it has missed and not been told of."""
        self.entry: entry.Entry | None = None
        """As long as it is not let in, or its token is being looked at."""

    # -- in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self, self._transport)
        if self._ending is None and entry.begin(self, self._server.door):
            self.open()

    def open(self) -> None:
        """Let the client into its room; the welcome follows."""
        self._server.verbs.open(self.connection)

    def data_received(self, data: bytes) -> None:
        if self._ending is not None:
            return
        lines = self._lines.feed(data)
        if self._held is not None:
            self._held.extend(lines)
        elif len(lines) == 1 and self.entry is None and not (self._paused or self.connection.backlog):
            # As nearly always: a line that waits for nothing, and whose answer has nothing to wait for.
            self._working = self._single = True
            self._take(lines[0])
            if self._cork or self._eof or self._ending is not None:
                self._worked()
            else:
                self._working = False
        elif lines:
            self._work(lines)

    def eof_received(self) -> bool:
        """The client sends no more; it is still told what it is owed (not over TLS, which has no half-closed state)."""
        self._eof = True
        self._end_when_quit()
        return not self._server.secure

    def _work(self, lines: list[bytes | Mark]) -> bool:
        """Work through lines until one must wait; whether none does."""
        connection = self.connection
        self._working = True
        self._single = False
        for at, line in enumerate(lines):
            if self._ending is not None:
                break
            backlog, entering = connection.backlog, self.entry
            # A token that is looked at holds up what comes behind it.
            waits = self._paused or (entering is not None and entering.busy)
            if waits or (backlog is not None and len(backlog) >= BACKLOG):
                self._hold(lines[at:])
                break
            self._take(line)
        self._worked()
        return self._held is None

    def _take(self, line: bytes | Mark) -> None:
        """One line, that need not wait."""
        server, connection = self._server, self.connection
        if line.__class__ is bytes:
            verb, data = parse(line, server.decode)
        elif line is Mark.END:
            verb, data = "quit", {}
        else:
            server.hits.hit("maxLineLength", "%s sends a line that is too long", connection.id)
            verb, data = MALFORMED, {"error": TOO_LONG.format(max=server.settings.max_line_length)}
        if verb not in FAREWELLS:
            self._owed += 1
            if verb == AUTHENTICATE or self.entry is not None:
                if not server.verbs.too_fast(connection, verb, data, self.answer):
                    entry.receive(self, server.door, verb == AUTHENTICATE, data)
                return
        self._receive(connection, verb, data, self.answer)

    def _worked(self) -> None:
        """All that could be done now is done."""
        self._working = False
        if self._cork:
            self.flush()
        if self._ending is not None or self._eof:
            self._end_when_quit()

    def _hold(self, lines: list[bytes | Mark]) -> None:
        if self._held is None:
            self._held = lines
            if self._transport is not None:
                self._transport.pause_reading()

    def _resume(self) -> None:
        """Go on with the lines that had to wait."""
        self._resuming = False
        lines, self._held = self._held, None
        if lines is None:
            return
        if self._work(lines) and self._ending is None and self._transport is not None:
            self._transport.resume_reading()

    def _resume_soon(self) -> None:
        if not self._resuming:
            self._resuming = True
            self._server.loop.call_soon(self._resume)

    # -- out

    def new_group(self) -> TcpGroup:
        return TcpGroup()

    def send(self, event: str, data: JsonObject) -> None:
        """Send an event; on a line its data says which it is."""
        self._put(self._server.encode(data) + END)

    def close(self, reason: Disconnect, retry_after: int | None = None) -> None:
        """Close once what was sent has left, and what is owed. A slow consumer misses what it has not taken."""
        if self._ending is not None:
            return
        self._ending = reason
        self._last = closing(reason, retry_after) if reason.told else BYE
        self._held = None
        self._server.count_closing(reason)
        if reason is errors.SLOW_CONSUMER:
            self._finished = True
            self._behind = None
            self._cork.clear()
            # Later: a say may be on its way to the others of a room.
            self._server.loop.call_soon(self._cut_off)
        elif reason is errors.STORE_LOST:
            self._finish(self._last)
        else:
            self._end_when_quit()

    def answer(self, reply: JsonObject) -> None:
        # Raises for what has no JSON form; then another answer comes.
        line = self._server.encode(reply) + END
        self._owed -= 1
        if self._working and not (self._paused or self._finished):
            transport = self._transport
            if self._single and transport is not None and not self._cork:
                transport.write(line)
            else:
                self._collect(line)
            return
        self._put(line)
        if not self._working:
            if self._held is not None:
                self._resume_soon()
            self._end_when_quit()

    def hear(self, line: bytes) -> None:
        """Send a say that is already encoded."""
        if self._paused:
            self._put_behind(line, True)
        else:
            self._put(line)

    def _put(self, line: bytes) -> None:
        if self._finished:
            return
        if self._paused:
            self._put_behind(line, False)
            return
        if not self._cork and not self._working:
            self._server.flush_soon(self)
        self._collect(line)

    def _collect(self, line: bytes) -> None:
        self._cork.append(line)
        self._corked += len(line)
        if self._corked >= self._server.cork:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        cork = self._cork
        if cork and self._transport is not None:
            data = cork[0] if len(cork) == 1 else b"".join(cork)
            cork.clear()
            self._corked = 0
            self._transport.write(data)

    def _put_behind(self, line: bytes, say: bool) -> None:
        """Keep what cannot be written now."""
        if self._finished or self._transport is None:
            return
        server = self._server
        behind = self._behind
        if behind is None:
            behind = self._behind = deque()
        behind.append((line, say))
        self._behind_size += len(line)
        excess = self._behind_size + self._transport.get_write_buffer_size() - server.settings.send_buffer
        if say and excess > 0:
            if server.settings.drop_oldest:
                self._drop(behind, excess)
            else:
                server.too_slow(self)
                self.close(errors.SLOW_CONSUMER)

    def _drop(self, behind: deque[tuple[bytes, bool]], excess: int) -> None:
        """Throw the oldest says away; replies stay, there are only as many as the client may have requests."""
        kept: list[tuple[bytes, bool]] = []
        while behind and excess > 0:
            item = behind.popleft()
            if item[1]:
                excess -= len(item[0])
                self._behind_size -= len(item[0])
                self.dropped += 1
                self._server.count_dropped(self)
            else:
                kept.append(item)
        behind.extendleft(reversed(kept))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        """The client has read: send on in order."""
        self._paused = False
        if self.dropped:
            count, self.dropped = self.dropped, 0
            self._collect(self._server.encode({"context": "api", "dropped": count}) + END)
        behind = self._behind
        while behind and not self._paused:
            line = behind.popleft()[0]
            self._behind_size -= len(line)
            self._collect(line)
        self.flush()
        if behind:
            return
        self._behind = None
        if self._finished:
            self._close_transport()
        elif self._held is not None:
            self._resume_soon()

    # -- the end

    def _end_when_quit(self) -> None:
        """Close if that is what is wanted, and nothing is owed any more."""
        if self._owed or self._working:
            return
        if self._ending is not None:
            self._finish(self._last)
        elif self._eof and self._held is None:
            self._finish(None)

    def _finish(self, last: JsonObject | None) -> None:
        """Say the last word and close when everything has left."""
        if self._finished:
            return
        if last is not None:
            self._put(self._server.encode(last) + END)
        self._finished = True
        self._held = None
        if self._behind is None:
            self._close_transport()
        elif self._transport is not None:
            self._server.loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def _cut_off(self) -> None:
        """Say why behind what the transport still holds, and give the client a moment to take it."""
        if self._transport is not None:
            self._server.verbs.closed(self.connection)
            self._transport.write(self._server.encode(self._last) + END)
            self._close_transport()

    def turn_away(self, why: Disconnect) -> None:
        """Tell a client that there is no room for it, and close."""
        self._ending = why
        self._finished = True
        self._server.count_closing(why)
        if self._transport is not None:
            self._transport.write(self._server.encode(closing(why, RETRY_AFTER * 1000)) + END)
            self._close_transport()

    def _close_transport(self) -> None:
        self.flush()
        transport = self._transport
        if transport is not None:
            transport.close()
            if transport.get_write_buffer_size():
                self._server.loop.call_later(CLOSE_TIMEOUT, transport.abort)

    def busy(self) -> bool:
        """Whether it is owed a reply."""
        return self._owed > 0

    def dismiss(self) -> None:
        """Tell the client why it is closed and when to come back, and close."""
        back = retry_after()
        self.send("say", goodbye(errors.SERVER_SHUTDOWN.reason, back))
        self.close(errors.SERVER_SHUTDOWN, back)

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once it is gone."""
        return self._transport

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._behind_size + (0 if self._transport is None else self._transport.get_write_buffer_size())

    def abort(self) -> None:
        """Cut it off."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished = True
        if self._server.ended is not None and self._transport is not None:
            self._server.ended(self._transport)
        self._transport = None
        self._held = self._behind = None
        self._cork.clear()
        if self.entry is not None:
            self.entry.end()
        self._server.lost(self)
