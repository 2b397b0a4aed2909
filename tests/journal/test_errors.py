"""Errors of the disk, each at the moment in which it did most harm; see also tests/crash."""

from __future__ import annotations

import errno

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.config import SPARE_DESCRIPTORS
from stalkd.journal.errors import JournalError
from stalkd.journal.limits import MANY_RETIRED, MOST_RETIRED, PRESUMED_SYNCED_NS
from stalkd.protocol.session import Session
from support.directories import Image
from support.disk import Disk, Fault, Kind, SimDirectory
from support.journal import LogCore

INSERTED = b"INSERTED"


class FaultyDisk(Disk):
    """A disk on which operations of one kind fail. ``steps`` are all that were tried."""

    def __init__(self) -> None:
        super().__init__()
        self.kind: Kind | None = None
        self.fault = Fault(errno.EIO)
        self.left = 0
        self.steps: list[tuple[Kind, str]] = []
        self.on_step = self._step

    def fail(self, kind: Kind, code: int = errno.EIO, *, times: int = 1 << 30) -> None:
        """Let the next so many operations of a kind fail."""
        self.kind, self.fault, self.left = kind, Fault(code), times
        self.steps.clear()

    def _step(self, kind: Kind, name: str) -> Fault | None:
        self.steps.append((kind, name))
        if kind is not self.kind or not self.left:
            return None
        self.left -= 1
        return self.fault

    def tried(self, kind: Kind, name: str) -> int:
        """How often something was tried with a file since ``fail``."""
        return self.steps.count((kind, name))


def put(size: int) -> bytes:
    return b"put 0 0 60 %d\r\n%b\r\n" % (size, bytes(size))


def faulty_log(sync_ms: int | None = 0) -> tuple[LogCore, FaultyDisk, Session]:
    disk = FaultyDisk()
    core = LogCore(SimDirectory(disk), sync_ms=sync_ms)
    return core, disk, core.connect()


# -- a segment that failed is not trusted again ---------------------------------------------------


def test_a_write_that_fails_when_a_segment_ends_is_not_tried_again_there() -> None:
    """A second try would succeed although the system may have lost what the first one wrote."""
    core, disk, session = faulty_log()
    while core.log.writer.position < 24_000:
        core.ask(session, put(1_000))
    disk.fail(Kind.WRITE, times=1)
    assert core.ask(session, put(4_000) * 3).count(INSERTED) == 3
    assert disk.tried(Kind.WRITE, "wal.0000000001") == 1
    assert core.told == ["log_segment_failed", "log_goes_on"]
    expected = core.view()
    assert core.restart().view() == expected


def test_a_limit_of_the_size_of_files_is_named() -> None:
    """It is not the disk that has to be looked at then."""
    core, disk, session = faulty_log()
    disk.fail(Kind.WRITE, errno.EFBIG, times=1)
    assert core.ask(session, put(1)).startswith(INSERTED)
    (told,) = core.details("log_segment_failed")
    assert "ulimit -f" in str(told["reason"])
    assert "disk" not in str(told["hint"])


# -- a file that somebody removed -----------------------------------------------------------------


@pytest.mark.parametrize("sync_ms", [0, 50])
def test_a_file_that_somebody_removed_ends_the_log(sync_ms: int) -> None:
    """At the next sync: nothing that is written there will be found again."""
    core, _, session = faulty_log(sync_ms)
    core.ask(session, put(1))
    core.advance(core.now + NS_PER_S)
    core.directory.remove("wal.0000000001")
    core.ask(session, put(1))
    core.advance(core.now + NS_PER_S)
    assert core.log.failed == "somebody removed wal.0000000001"
    assert core.log.state() == "failed"
    assert "log_segment_failed" not in core.told


# -- the end while nothing can be written ---------------------------------------------------------


def test_stopping_while_nothing_can_be_written_syncs_what_was() -> None:
    """It was acknowledged long ago; what could not be written was not."""
    core, disk, session = faulty_log(3_600_000)
    for _ in range(5):
        core.ask(session, put(100))
    written = core.log.writer.records
    disk.fail(Kind.WRITE, errno.ENOSPC)
    core.ask(session, b"reserve\r\n")
    assert core.log.is_stalled
    assert core.log.syncs.done < written
    core.close()
    assert core.log.syncs.done == written
    assert core.log.failed is None


# -- without syncs --------------------------------------------------------------------------------


def test_without_syncs_damage_to_what_was_written_long_ago_is_refused() -> None:
    """A mark is written once the system must have written it back: nothing else tells damage."""
    image = Image()
    core = LogCore(image, sync_ms=None, segment_bytes=1 << 20)
    session = core.connect()
    for _ in range(10):
        core.ask(session, put(100))
        core.advance(core.now + 10 * PRESUMED_SYNCED_NS)
    core.kill()
    image.files["wal.0000000001"][400] ^= 1
    with pytest.raises(JournalError, match="damaged"):
        LogCore(image, sync_ms=None)


@pytest.mark.parametrize("sync_ms", [50, None], ids=["-f 50", "-F"])
def test_files_of_finished_segments_do_not_stay_open(sync_ms: int | None) -> None:
    """However fast they are filled: descriptors are scarce."""
    core, disk, session = faulty_log(sync_ms)
    for _ in range(100):
        core.ask(session, put(30_000))
        assert len(disk.opened) < MANY_RETIRED + 4
    assert core.log.writer.number > 50


def test_however_long_a_sync_takes_files_that_are_open_are_few() -> None:
    """The last one grows instead; and once all is synced, new ones are begun."""
    core, disk, session = faulty_log(None)
    task = None
    while task is None:
        core.receive(session, put(30_000))
        task = core.log.begin_sync(core.now)
    for _ in range(100):
        core.receive(session, put(30_000))
    assert len(disk.opened) <= MANY_RETIRED + MOST_RETIRED + 4 < SPARE_DESCRIPTORS
    number = core.log.writer.number
    task.run()
    core.log.end_sync(task, None, 1, core.now)
    for _ in range(3):
        core.ask(session, put(30_000))
    assert core.log.writer.number > number
    expected = core.view()
    assert core.restart().view() == expected
