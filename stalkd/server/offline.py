"""``--check`` and ``--salvage``: what an operator does with a log while no daemon uses it."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stalkd.broker.broker import Broker
from stalkd.broker.check import BrokenInvariantError, check
from stalkd.broker.job import State
from stalkd.config import DEFAULT_SEGMENT_BYTES
from stalkd.journal.files import Directory
from stalkd.journal.lock import LOCK_NAME
from stalkd.journal.options import LogOptions
from stalkd.journal.replay import Replay
from stalkd.journal.salvage import Salvage
from stalkd.server.faults import LogError
from stalkd.server.wal_dir import explained, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import TextIO

BYTES: Final = "bytes"

RETURNED: Final = (
    "jobs whose end was written in a lost part are there again, in the state they had before it"
)
"""What whoever salvages a log must know."""

INTACT: Final = 0
DAMAGED: Final = 1


def check_log(path: str, out: TextIO) -> int:
    """Verify a log, and print what it holds; return INTACT or DAMAGED. Raises LogError.

    The log is only read, and may be on a read-only file system.
    """
    broker = Broker()
    with _held(path):
        try:
            replay = _replay(path, broker)
            check(broker)
        except (LogError, BrokenInvariantError) as error:
            out.write(f"damaged: {error}\n")
            return DAMAGED
    recovered = replay.recovered
    if not recovered.segments:
        out.write(f"no log: {path} holds no segment of one\n")
        return DAMAGED
    out.writelines(_totals(broker))
    out.writelines(f"note: {note}\n" for note in recovered.notes)
    out.write(
        f"intact: {len(broker.jobs)} jobs, {recovered.records} records, {recovered.bytes} bytes"
        f" in {len(recovered.segments)} segments\n"
    )
    return INTACT


def _held(path: str) -> AbstractContextManager[object]:
    """Make sure that no daemon uses a log meanwhile. Raises LogError."""
    if not Path(path).is_dir():
        raise LogError(f"{path} is no directory; give the one that was given to -b")
    used_before = (Path(path) / LOCK_NAME).exists()
    return closing(hold(path)) if used_before and os.access(path, os.W_OK) else nullcontext()


def _replay(path: str, broker: Broker) -> Replay:
    now = time.monotonic_ns()
    with explained(path):
        replay = Replay(Directory(Path(path)), broker, now, time.time_ns() - now)
        for _ in replay.run():
            pass
    return replay


def _totals(broker: Broker) -> Iterator[str]:
    """Give a table: a line for each tube, and one for all."""
    counts: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for job in broker.jobs.values():
        tally = Counter({job.state.value: 1, BYTES: len(job.body)})
        counts.setdefault(job.tube.name, Counter()).update(tally)
        total.update(tally)
    columns = (State.READY.value, State.DELAYED.value, State.BURIED.value, BYTES)
    yield "".join(f"{column:>12}" for column in columns) + "  tube\n"
    for name, tally in [*sorted(counts.items()), ("(all)", total)]:
        paused = name in broker.directory.tubes and broker.directory.tubes[name].paused_until
        row = "".join(f"{tally[column]:>12}" for column in columns)
        yield f"{row}  {name}{' (paused)' if paused else ''}\n"


def salvage_log(path: str, target: str, out: TextIO) -> int:
    """Copy what is intact into a new log, and print what was not; return INTACT or DAMAGED.

    Raises LogError when nothing can be copied.
    """
    new = Path(target)
    if new.is_dir() and any(new.iterdir()):
        raise LogError(f"{target} is not empty; --into takes a directory to be made")
    broker = Broker()
    now = time.monotonic_ns()
    with _held(path), explained(path):
        salvage = Salvage(Directory(Path(path)), broker, now, time.time_ns() - now)
        salvage.read()
    with closing(hold(target)), explained(target):
        salvage.write(Directory(new), LogOptions(DEFAULT_SEGMENT_BYTES, 0))
    out.writelines(_totals(broker))
    out.writelines(f"lost: {what}\n" for what in salvage.lost)
    if salvage.lost:
        out.write(f"note: {RETURNED}\n")
    out.write(f"copied: {len(broker.jobs)} jobs from {salvage.records} records to {target}\n")
    return DAMAGED if salvage.lost else INTACT
