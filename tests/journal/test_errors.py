"""Errors of the disk, each at the moment in which it did most harm; see also tests/crash."""

from __future__ import annotations

import errno

from stalkd.protocol.session import Session
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
