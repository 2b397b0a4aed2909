"""Reading the log before anybody is served; clients that connect meanwhile wait."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from stalkd.broker.limits import NS_PER_S
from stalkd.journal.files import Directory
from stalkd.journal.log import Log
from stalkd.journal.news import STATES
from stalkd.journal.options import LogOptions
from stalkd.journal.replay import Replay
from stalkd.server.logs import Complaints, event

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from stalkd.broker.broker import Broker
    from stalkd.config import Config
    from stalkd.server.notify import Notifier

PROGRESS_S: Final = 1
"""Seconds between two reports of progress: who starts a large log by hand wants to see it move."""

PERCENT: Final = 100

EXTENSION_US: Final = 60_000_000
"""How much longer the service manager is asked to wait at each report: a disk may be slow between
two of them, and one that hangs for good shall not be waited for."""


def now_ns() -> int:
    """Return trio's time in nanoseconds, so that a test's clock rules everything."""
    return int(trio.current_time() * NS_PER_S)


async def start_log(
    path: str, config: Config, broker: Broker, log: logging.Logger, notifier: Notifier
) -> Log:
    """Put the jobs of a log into a broker, and start to record. Raises JournalError, OSError."""
    directory = Directory(Path(path))
    wall = time.time_ns() - now_ns()
    replay = Replay(directory, broker, now_ns(), wall)
    await _read(replay, log, notifier)
    for note in replay.recovered.notes:
        log.warning(event("log_repaired", note=note))
    options = LogOptions(config.segment_bytes, config.sync_ms)
    started = Log(directory, broker, replay.recovered, options, now_ns(), wall, _teller(log))
    broker.end_interrupted_leases(now_ns())
    return started


def _teller(log: logging.Logger) -> Callable[..., None]:
    """Return what the log tells the operator through."""
    complaints = Complaints(log, trio.current_time)

    def tell(name: str, **fields: object) -> None:
        if name in STATES:
            log.warning(event(name, **fields))
        else:  # A disk may fail and not fail by turns.
            complaints.about(name, error=None, **fields)

    return tell


async def _read(replay: Replay, log: logging.Logger, notifier: Notifier) -> None:
    """Run a replay among trio's other tasks, and tell how it goes."""
    started = reported = time.monotonic()
    notifier.busy("reading the log", EXTENSION_US)
    gc.disable()  # It would look at the growing number of jobs again and again.
    try:
        for _ in replay.run():
            await trio.lowlevel.checkpoint()
            if time.monotonic() - reported >= PROGRESS_S:
                reported = time.monotonic()
                percent = PERCENT * replay.recovered.bytes // max(replay.total_bytes, 1)
                log.info(event("replaying", percent=percent, records=replay.recovered.records))
                notifier.busy(f"reading the log: {percent} %", EXTENSION_US)
    finally:
        gc.enable()
    gc.freeze()  # The jobs are here to stay; see ``collector``.
    log.info(
        event(
            "replayed",
            jobs=replay.jobs,
            records=replay.recovered.records,
            bytes=replay.recovered.bytes,
            seconds=f"{time.monotonic() - started:.3f}",
        )
    )
