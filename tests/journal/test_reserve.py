"""What is held back on a full disk stays so, whatever becomes of the daemon."""

from __future__ import annotations

from random import Random

import pytest

from stalkd.journal.limits import BLOCK, LEAST_SEGMENT
from stalkd.journal.segment import RESERVE_NAME, segment_name, segment_number
from stalkd.journal.syncs import SyncTask
from stalkd.protocol.session import Session
from support.directories import Image
from support.journal import MS, LogCore
from support.quota import SmallDisk

DISK = 12 * LEAST_SEGMENT

PLENTY = 1_000
"""Steps after which something that must happen has not."""


class Slow(LogCore):
    """A core whose syncs take until somebody ends them."""

    task: SyncTask | None = None

    def sync(self) -> None:
        self.task = self.task or self.log.begin_sync(self.now)

    def end_sync(self) -> None:
        """Let the sync that runs succeed, if any, and take that in."""
        task, self.task = self.task, None
        if task is not None:
            task.run()
            self.log.end_sync(task, None, 1, self.now)

    @property
    def disk(self) -> SmallDisk:
        assert isinstance(self.directory, SmallDisk)
        return self.directory

    @property
    def room(self) -> int:
        """Bytes that the log can still write, though the disk is full."""
        writer = self.log.writer
        return writer.space.reserved + writer.file.allocated - writer.position


def full(segment_bytes: int = LEAST_SEGMENT, disk: int = DISK) -> tuple[Slow, Session]:
    """A log on a disk that another program has filled."""
    core = Slow(SmallDisk(disk), sync_ms=50, segment_bytes=segment_bytes)
    session = core.connect()
    while core.ask(session, b"put 0 0 9 700\r\n%b\r\n" % bytes(700)).startswith(b"INSERTED"):
        go_on(core)
    core.disk.fill()
    assert core.log.space.full
    return core, session


def go_on(core: Slow) -> None:
    """End a sync, and let the log do what it then can."""
    core.now += MS
    core.end_sync()
    core.round()


def release(core: Slow, session: Session, number: int) -> None:
    """Reserve and release a job, when the log allows it; it must never stall."""
    for _ in range(PLENTY):
        assert core.log.state() == "full"
        if not core.log.is_behind:
            break
        go_on(core)
    line = b"reserve-job %d\r\nrelease %d 0 0\r\n" % (number, number)
    assert core.ask(session, line).endswith(b"RELEASED\r\n")
    assert core.log.state() == "full"


def restart(core: Slow, *, kill: bool | None) -> tuple[Slow, Session]:
    """Start again, after somebody else has taken all that is free; None: it was killed."""
    core.task = None
    if kill:
        core.kill()
    elif kill is not None:
        core.close()
    core.disk.tidy()
    core.disk.fill()
    size = core.options.segment_bytes
    core = Slow(core.directory, sync_ms=50, segment_bytes=size, now=core.now, wall=core.wall)
    return core, core.connect()


def must_go_on(core: Slow, session: Session) -> None:
    """All jobs can be released, several times, and then deleted."""
    jobs = list(core.broker.jobs)
    for number in jobs * 3:
        release(core, session, number)
        go_on(core)
    for number in jobs[:10]:
        assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
        go_on(core)
        core.check()


@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
def test_the_reserve_outlives_the_daemon(kill: bool) -> None:
    """A start needs a block for its new file, and keeps the rest."""
    core, session = full()
    for _ in range(5):
        before = core.room
        core, session = restart(core, kill=kill)
        assert core.room >= before - 2 * BLOCK
    must_go_on(core, session)


@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
@pytest.mark.parametrize("segment_bytes", [LEAST_SEGMENT, 2 * LEAST_SEGMENT, 10 << 20])
def test_starts_do_not_use_the_reserve_up(segment_bytes: int, kill: bool) -> None:
    """Each begins a file, and has no time to clean up before it ends."""
    core, session = full(segment_bytes)
    for number in range(100):
        core, session = restart(core, kill=kill)
        if number % 10 == 9:
            release(core, session, next(iter(core.broker.jobs)))
            for _ in range(20):
                go_on(core)
    must_go_on(core, session)


@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
def test_what_cleaning_frees_is_not_free_for_others(kill: bool) -> None:
    """Not even between the sync after which it may go, and the next round."""
    core, session = full()
    random, jobs = Random(1), list(core.broker.jobs)
    for _ in range(6):
        for _ in range(PLENTY):
            if core.task is not None and core.task.kept:
                break
            core.end_sync()
            release(core, session, random.choice(jobs))
        assert core.task is not None
        core.task.run()
        core.disk.fill()
        core, session = restart(core, kill=kill)
    must_go_on(core, session)


def test_a_start_uses_old_segments_with_a_gap_behind_them() -> None:
    """They may be all that is left of the reserve, and then no file can be made without them."""
    core, session = full()
    random, jobs = Random(4), list(core.broker.jobs)
    for _ in range(PLENTY):
        if len(old_segments(core)) > 1:
            break
        release(core, session, random.choice(jobs))
    core.disk.remove(old_segments(core)[-1])
    core.kill()
    core.disk.reopen(RESERVE_NAME).truncate(0)
    core, session = restart(core, kill=None)
    release(core, session, jobs[0])


def old_segments(core: Slow) -> list[str]:
    """The names of segments that nothing needs, oldest first."""
    numbers = sorted(filter(None, map(segment_number, core.disk.names())))
    return [segment_name(number) for number in numbers if number < core.log.bounds.first]


def test_nobody_gets_anything_while_it_runs() -> None:
    """Though another program tries all the time."""
    core, session = full()
    random, jobs = Random(2), list(core.broker.jobs)
    for _ in range(2_000):
        release(core, session, random.choice(jobs))
        core.disk.fill()
        if random.random() < 0.3:
            go_on(core)
        core.disk.fill()
    must_go_on(core, session)


@pytest.mark.parametrize("seed", range(6))
def test_cleaning_begins_only_what_it_can_finish(seed: int) -> None:
    """While a sync takes long, what was cleaned cannot go, and gives no room for more."""
    core, session = full(2 * LEAST_SEGMENT, 32 * LEAST_SEGMENT)
    random, jobs = Random(seed), list(core.broker.jobs)
    random.shuffle(jobs)
    core.disk.others = 0
    for number in jobs:
        for _ in range(PLENTY):
            if not core.log.is_behind:
                break
            core.round()
            if random.random() < 0.1:
                go_on(core)
        assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
        assert core.log.state() in {"ok", "full"}
        if random.random() < 0.1:
            go_on(core)
    assert "log_stalled" not in core.told


def test_cleaning_is_tried_again_when_there_was_no_room() -> None:
    """Others make some, and nobody has to tell the daemon."""
    core, session = full()
    core.disk.size_of_disk -= core.log.space.reserved
    core.log.space.release_all()
    for number in list(core.broker.jobs)[100:]:
        core.ask(session, b"delete %d\r\n" % number)
        go_on(core)
    assert core.log.compactor.is_stuck()
    core.disk.size_of_disk += DISK
    core.now = core.log.next_deadline()
    for _ in range(20):
        go_on(core)
    assert core.log.state() == "ok"


# -- the file -------------------------------------------------------------------------------------


def test_a_reserve_with_holes_is_filled() -> None:
    """Who copies a directory may leave holes, and what is not there cannot be given."""
    disk = SmallDisk(DISK)
    LogCore(disk).close()
    disk.others = disk.free() + disk.used() - 2 * BLOCK
    file = disk.reopen(RESERVE_NAME)
    file.truncate(0)
    file.close()
    disk.files[RESERVE_NAME] += bytes(DISK)
    core = LogCore(disk)
    assert core.log.space.reserved <= 2 * BLOCK
    assert core.log.state() == "full"


def test_something_else_in_the_place_of_the_reserve_is_removed() -> None:
    class Odd(Image):
        def reopen(self, name: str) -> object:  # type: ignore[override]
            raise IsADirectoryError(21, "Is a directory", name)

    disk = Odd({RESERVE_NAME: bytearray(b"x")})
    assert LogCore(disk).log.space.reserved > 1
