"""The process: its loop, its signals, its logs and its exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from pathlib import Path

from ahd import __version__
from ahd.alarm import Alarm
from ahd.app import App, StartError, assemble
from ahd.config import ConfigError, load
from ahd.config.model import Config
from ahd.config.reload import changes
from ahd.log import set_socket_io_level, set_up
from ahd.systemd import Notifier, passed_sockets

logger = logging.getLogger("ahd")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAST_CHANCE = 0.5
"""Seconds in which cancelled tasks have to end."""
OWN_SOCKETS = frozenset({"socket", "monitor"})
"""Names of passed sockets that are not the web server's."""


def run(config: Config, source: Path) -> int:
    """Run a server until it is told to end. The exit code: 0 when it was, 1 when it could not start or end in time."""
    plan = config.socket_io
    set_up(config.log.level, config.log.format, plan.log_colors)
    set_socket_io_level(plan.log_level, plan.log)
    for note in config.notes:
        logger.warning("%s", note, extra={"event": "configurationNote"})
    app = assemble(config, source)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(app))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


async def _serve(app: App) -> int:
    def late() -> None:
        logger.error("not ended in time, ended at once", extra={"event": "endedAtOnce"})
        _exit(1)

    alarm = Alarm(late)
    alarm.start()
    code = await _live(app, alarm)
    alarm.stop()
    return await _leave(code)


async def _live(app: App, alarm: Alarm) -> int:
    """From the start to the end; the exit code."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    signals: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        """Called by Python itself, between two of its instructions: also in a loop that stands still."""
        if signals:
            logger.warning("ended at once", extra={"event": "endedAtOnce"})
            _exit(1)
        signals.append(number)
        alarm.end_within(app.config.shutdown.timeout)

    lost: list[str] = []

    def on_lost(reason: str) -> None:
        lost.append(reason)
        ended.set()

    early: list[int] = []

    def on_hangup() -> None:
        if not app.up:
            early.append(signal.SIGHUP)
        elif ended.is_set():
            logger.info("not reloaded: the server is shutting down", extra={"event": "reloadIgnored"})
        else:
            reload(app, notifier)

    app.lost = on_lost
    for number in SIGNALS:
        loop.add_signal_handler(number, ended.set)
        signal.signal(number, on_signal)  # after it: the loop is woken all the same
    notifier = Notifier(os.environ)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    _pass_sockets(app)
    logger.info("ahd %s, process %d, %s", __version__, os.getpid(), app.source, extra={"event": "starting"})
    try:
        up = await _start(app, ended)
    except StartError as error:
        logger.error("%s", error, extra={"event": "startFailed"})
        return 1
    if not up:
        logger.info("ended before it had started", extra={"event": "ended"})
        return int(bool(lost))
    # What is there now stays: the collector need not look at it again, and less often at the rest.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    notifier.ready(_status(app))
    notifier.watch()
    if early:
        on_hangup()
    await ended.wait()
    notifier.stopping("draining", app.config.shutdown.timeout)
    code = await _end(app) or int(bool(lost))
    notifier.close()
    return code


async def _start(app: App, ended: asyncio.Event) -> bool:
    """Start, unless it is told to end before it is up; whether it is. Raises StartError."""
    starting, ending = asyncio.ensure_future(app.start()), asyncio.ensure_future(ended.wait())
    await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    if starting.cancelled():
        return False
    starting.result()
    return True


async def _leave(code: int) -> int:
    """Let go of the loop: a task that will not end, such as that of an action, is left behind with the process."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LAST_CHANCE)
    if left:
        names = ", ".join(sorted({getattr(task.get_coro(), "__qualname__", "?") for task in left}))
        logger.warning("left behind: %d tasks (%s)", len(left), names, extra={"event": "tasksLeft"})
        _exit(code)
    return code


def _exit(code: int) -> None:
    """End now: nothing is waited for."""
    logging.shutdown()
    os._exit(code)


def _status(app: App) -> str:
    return f"listening on {', '.join(address for server in app.servers for address in server.addresses)}"


def _pass_sockets(app: App) -> None:
    """Hand sockets that systemd has opened to the servers: those named `socket` to TCP, `monitor` to the monitor, all
    others to the web."""
    passed = passed_sockets(os.environ)
    for server in app.servers:
        if server.name == "web":
            server.passed = [sock for name, socks in passed.items() if name not in OWN_SOCKETS for sock in socks]
        else:
            server.passed = passed.get(server.name, [])


def reload(app: App, notifier: Notifier) -> None:
    """Load the file again and take it up whole, or refuse it whole and go on with the old one."""
    notifier.reloading()
    try:
        refused = _reload(app)
    except ConfigError as error:
        refused = [str(mistake) for mistake in error.mistakes]
    except OSError as error:
        refused = [f"a certificate cannot be used: {error.strerror or error}"]
    for reason in refused:
        logger.error("not reloaded: %s", reason, extra={"event": "reloadRefused", "reason": reason})
    app.last_reload = time.time(), not refused
    notifier.ready(_status(app))


def _reload(app: App) -> list[str]:
    """The reasons against it; none when it has been done."""
    config = load(app.source, os.environ)
    found = changes(app.config, config)
    if fixed := [change.path for change in found if not change.reloadable]:
        return [f"{path} cannot change while the server runs; restart it" for path in fixed]
    app.configure(config)
    for change in found:
        logger.info("changed %s", change, extra={"event": "configurationChanged", "key": change.path})
    text = f"{len(found)} change{'' if len(found) == 1 else 's'}"
    logger.info("reloaded: %s", text, extra={"event": "reloaded", "changes": [change.path for change in found]})
    return []


async def _end(app: App) -> int:
    logger.info("draining", extra={"event": "draining"})
    try:
        async with asyncio.timeout(app.config.shutdown.timeout):
            await app.drain()
        late = False
    except TimeoutError:
        logger.warning("not drained in time", extra={"event": "drainTimedOut"})
        late = True
    await app.close()
    logger.info("ended", extra={"event": "ended"})
    return int(late)
