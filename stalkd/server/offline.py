"""``--check`` and ``--salvage``: what an operator does with a log while no daemon uses it."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stalkd.broker.broker import Broker
from stalkd.broker.check import BrokenInvariantError, check
from stalkd.broker.job import State
from stalkd.config import DEFAULT_SEGMENT_BYTES
from stalkd.journal.badblocks import FailingDirectory
from stalkd.journal.files import Directory
from stalkd.journal.lock import LOCK_NAME
from stalkd.journal.options import LogOptions
from stalkd.journal.replay import Replay
from stalkd.journal.salvage import Salvage
from stalkd.server.faults import LogError
from stalkd.server.wal_dir import DamagedLogError, explained, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import TextIO

BYTES: Final = "bytes"

RETURNED: Final = (
    "jobs whose end was written in a lost part are there again, in the state they had before it"
)
"""What whoever salvages a log must know."""

UNFINISHED: Final = ".partial"
"""Ends the name of the directory of a copy as long as it is not complete: until then it looks like
a sound log with fewer jobs."""

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
        except (DamagedLogError, BrokenInvariantError) as error:
            out.write(f"damaged: {error}\n")
            return DAMAGED
        except LogError as error:
            out.write(f"cannot check: {error}\n")
            return DAMAGED
    recovered = replay.recovered
    out.writelines(_totals(broker))
    if not recovered.segments:  # As if the path were wrong, or a disk not mounted.
        out.write(f"note: {path} holds no log; a daemon would begin one there\n")
    out.writelines(f"note: {note}\n" for note in recovered.notes)
    out.write(
        f"intact: {len(broker.jobs)} jobs, {recovered.records} records, {recovered.bytes} bytes"
        f" in {len(recovered.segments)} segments\n"
    )
    return INTACT


def _held(path: str) -> AbstractContextManager[object]:
    """Make sure that no daemon uses a log meanwhile. Raises LogError."""
    with explained(path):
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
    broker = Broker()
    now = time.monotonic_ns()
    with _held(path), explained(path):
        new, partial = _places(path, target)
        directory = FailingDirectory(Path(path))
        salvage = Salvage(directory, broker, now, time.time_ns() - now)
        salvage.read()
    with _unfinished(partial), closing(hold(str(partial))), explained(str(partial)):
        salvage.write(Directory(partial), LogOptions(DEFAULT_SEGMENT_BYTES, 0))
        partial.rename(new)
        Directory(new.parent).sync()
    lost = [*directory.unreadable, *salvage.lost]
    out.writelines(_totals(broker))
    out.writelines(f"lost: {what}\n" for what in lost)
    if lost:
        out.write(f"note: {RETURNED}\n")
    out.write(f"copied: {len(broker.jobs)} jobs from {salvage.records} records to {target}\n")
    return DAMAGED if lost else INTACT


def _places(path: str, target: str) -> tuple[Path, Path]:
    """Return the directory to be made, and its name until it is complete. Raises LogError."""
    new = Path(os.path.realpath(target))  # Unlike Path.resolve, it bears links in a circle.
    with explained(target):
        if new.is_dir() and any(new.iterdir()):
            raise LogError(f"{target} is not empty; --into takes a directory to be made")
        if new.is_mount():  # Nothing can take its place.
            raise LogError(f"{target} is a mount point; give a directory to be made below it")
        if new.is_relative_to(os.path.realpath(path)):
            raise LogError(f"{target} is inside {path}; --into takes a directory outside of it")
        partial = new.with_name(new.name + UNFINISHED)
        if partial.exists():
            raise LogError(f"{partial} is left of a salvage that did not end; remove it first")
    return new, partial


@contextmanager
def _unfinished(partial: Path) -> Iterator[None]:
    """Say what is left behind if a copy is not finished. Raises LogError."""
    try:
        yield
    except (LogError, KeyboardInterrupt) as error:
        left = f"; {partial} holds only a part of the copy: remove it" if partial.exists() else ""
        raise LogError(f"{error if str(error) else 'interrupted'}{left}") from error
