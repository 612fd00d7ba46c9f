"""A session: commands from a terminal or from a script, and what the server says, shown as it comes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from .clients import Client
from .commands import HELP, WORDS, CommandError, owes_reply, shown, shows_token

REPLY_TIMEOUT = 60.0
"""Seconds a script waits for a reply."""
FAREWELL_TIMEOUT = 5.0
"""Seconds that the server has to close the connection after quit."""
ENDS = ("quit", "exit", "close")


class Interrupted(Exception):
    """Ctrl-C while a line is typed. A KeyboardInterrupt in a task would end the whole loop."""


class Session:
    """One run of the console. `json_lines`: every event as `{"event": …, "data": …}`, one a line."""

    def __init__(self, client: Client, json_lines: bool, out: Callable[[str], None]) -> None:
        self.client = client
        self.failed = False
        """Whether a reply had an error, or none came."""
        self.actions: set[str] = set()
        self._json = json_lines
        self._out = out
        self._replied = asyncio.Event()
        self._quiet = False

    def deliver(self, event: str, data: Any) -> None:
        """Show what the server says."""
        if event == "response":
            self._replied.set()
            if self._quiet:
                listed = data.get("actions") if isinstance(data, dict) else None
                self.actions = {action["name"] for action in listed or ()}
                return
            self.failed |= isinstance(data, dict) and "error" in data
        self.show(event, data)

    def show(self, event: str, data: Any) -> None:
        """Show an event."""
        if self._json:
            self._out(json.dumps({"event": event, "data": data}, ensure_ascii=False))
        else:
            self._out(shown(event, data))

    def complain(self, sentence: str) -> None:
        """Show a mistake of whoever types."""
        self.failed = True
        self.show("error", {"error": sentence})

    async def say(self, line: str) -> bool:
        """Send a line and wait for its reply; False when the session is over."""
        self._replied.clear()
        owed = owes_reply(line)
        try:
            await self.client.send(line)
        except CommandError as error:
            self.complain(str(error))
            return True
        waiting = asyncio.ensure_future(self._replied.wait())
        if owed:
            await self._first(waiting, REPLY_TIMEOUT)
        else:
            await self._first(self.client.closed, FAREWELL_TIMEOUT)
        waiting.cancel()
        if owed and not self._replied.is_set() and not self.client.closed.done():
            self.complain("no reply came in time")
        return owed and not self.client.closed.done()

    async def _first(self, future: asyncio.Future[Any], timeout: float | None = None) -> None:
        """Wait for this, or for the end of the connection."""
        futures: set[asyncio.Future[Any]] = {future, self.client.closed}
        await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)

    # -- scripts

    async def script(self, source: TextIO, follow: bool) -> int:
        """Say every line of a file or a pipe, one after the other; then end, or go on listening."""
        lines: asyncio.Queue[str | None] = asyncio.Queue(100)
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                for line in source:
                    asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
                asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()
            except (RuntimeError, ValueError):
                pass  # the session is over

        # A thread of its own: nothing else waits for a terminal or a pipe that never ends without being in the way.
        threading.Thread(target=read, daemon=True).start()
        quitting = False
        while not quitting:
            getting = asyncio.ensure_future(lines.get())
            await self._first(getting)
            if not getting.done():
                getting.cancel()
                break
            line = getting.result()
            if line is None:
                if follow:
                    await self.client.closed
                else:
                    quitting = True
                    await self.say("quit")
            elif line.strip():
                quitting = line.split()[0] in ENDS
                if not await self.say(line) and not quitting:
                    break
        if not quitting:
            self.complain("the server has closed the connection")
        return int(self.failed)

    # -- people

    async def interactive(self) -> int:
        """Prompt until the end. What comes is shown above the line that is being typed."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory, History, InMemoryHistory
        from prompt_toolkit.patch_stdout import patch_stdout

        self._quiet = True
        await self.say("actionsView")
        self._quiet = False
        history: History = InMemoryHistory()

        class WithoutTokens(FileHistory):
            """A history on disk in which no token stands."""

            def store_string(self, string: str) -> None:
                if not shows_token(string):
                    super().store_string(string)

        try:
            history = WithoutTokens(str(history_file()))
        except OSError:
            pass  # no home to write in: the history lasts as long as the session
        completer = WordCompleter(sorted({*WORDS, *self.actions, "help"}), sentence=True)
        prompt: PromptSession[str] = PromptSession(
            history=history, completer=completer, complete_while_typing=False, interrupt_exception=Interrupted
        )
        with patch_stdout():
            while True:
                typing = asyncio.ensure_future(prompt.prompt_async("> "))
                await self._first(typing)
                if not typing.done():
                    typing.cancel()
                    await asyncio.gather(typing, return_exceptions=True)
                    self.show("error", {"error": "the server has closed the connection"})
                    return 1
                try:
                    line = typing.result()
                except Interrupted:
                    continue
                except EOFError:
                    line = "quit"
                if line.strip() in ("help", "?"):
                    self._out(HELP)
                elif line.strip():
                    going_on = await self.say(line)
                    if line.split()[0] in ENDS:
                        return 0
                    if not going_on:
                        self.show("error", {"error": "the server has closed the connection"})
                        return 1


def history_file() -> Path:
    """Where the lines that were typed are kept; its directory is made. Raises OSError."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    directory = Path(state) / "ahd"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "console-history"


def write_line(text: str) -> None:
    """Show a line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
