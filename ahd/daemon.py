"""The process: its loop, its signals, its logs and its exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from pathlib import Path

from ahd import __version__
from ahd.app import App, StartError, assemble
from ahd.config.model import Config
from ahd.log import set_socket_io_level, set_up

logger = logging.getLogger("ahd")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def on_signal() -> None:
        if ended.is_set():
            logger.warning("ended at once", extra={"event": "endedAtOnce"})
            logging.shutdown()
            os._exit(1)
        ended.set()

    lost: list[str] = []

    def on_lost(reason: str) -> None:
        lost.append(reason)
        ended.set()

    app.lost = on_lost
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    logger.info("ahd %s, process %d, %s", __version__, os.getpid(), app.source, extra={"event": "starting"})
    try:
        await app.start()
    except StartError as error:
        logger.error("%s", error, extra={"event": "startFailed"})
        return 1
    # What is there now stays: the collector need not look at it again, and less often at the rest.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    await ended.wait()
    return await _end(app) or int(bool(lost))


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
