"""A disk whose syncs take as long as a test wants, for a daemon that runs inside the test.

    disk = SlowDisk(monkeypatch)
    disk.hang()                   # from now on, no sync ends
    await wire.send(...)
    await disk.busy()             # one has begun
    disk.go_on()                  # they all end, and so will those to come

Time should stand still meanwhile (a `MockClock` without autojump), for the clock knows nothing of
the thread that syncs.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from stalkd.journal.files import Directory, File
from stalkd.journal.syncs import SyncTask
from support.wire import settle

if TYPE_CHECKING:
    import pytest

PATIENCE_S = 10.0
"""After so long a hanging sync fails by itself, so that a test which fails comes to an end."""

EIO = OSError(errno.EIO, os.strerror(errno.EIO))
ENOSPC = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SlowDisk:
    """Stands before every sync task. ``began`` are the tasks that have begun, ``ended`` counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._change = threading.Condition()
        self._allowed: float = float("inf")
        self._error: OSError | None = None
        self._sync = SyncTask.run
        self.began: list[SyncTask] = []
        self.ended = 0

        def run(task: SyncTask) -> None:
            self._run(task)

        monkeypatch.setattr(SyncTask, "run", run)
        # How long a real disk takes is nobody's business here.
        monkeypatch.setattr(File, "sync", _do_nothing)
        monkeypatch.setattr(Directory, "sync", _do_nothing)

    def hang(self) -> None:
        """Let no sync end that begins from now on."""
        with self._change:
            self._allowed = 0

    def end_one(self) -> None:
        """Let one sync end: the one that hangs, or else the next."""
        with self._change:
            self._allowed += 1
            self._change.notify_all()

    async def end_what_hangs(self) -> None:
        """Let the sync end that hangs, if one does, and the daemon take that in."""
        if len(self.began) > self.ended:
            ended = self.ended
            self.end_one()
            await self.done(ended + 1)

    def go_on(self) -> None:
        """Let all syncs end."""
        with self._change:
            self._allowed = float("inf")
            self._change.notify_all()

    def fail(self, error: OSError | None = EIO) -> None:
        """Let all syncs that end from now on fail; None: not any more."""
        self._error = error

    async def busy(self, count: int = 1) -> None:
        """Wait until so many syncs have begun in all."""
        await _until(lambda: len(self.began) >= count)

    async def done(self, count: int) -> None:
        """Wait until so many syncs have ended in all, and the daemon has taken it in."""
        await _until(lambda: self.ended >= count)
        await settle()

    async def idle(self) -> None:
        """Wait until no sync is under way, and the daemon has taken that in."""
        await self.done(len(self.began))

    def forget(self) -> None:
        """Count from here."""
        self.began.clear()
        self.ended = 0

    def fail_writes(self, error: OSError | None) -> None:
        """Let every write to a file fail, or not any more."""
        self._patch("write", error)

    def fail_space(self, error: OSError | None) -> None:
        """Let nobody have more space on the disk, or again."""
        self._patch("allocate", error)

    def fail_file(self, name: str) -> None:
        """Let every write to this file fail."""
        original = File.write

        def write(file: File, data: bytes, offset: int) -> None:
            if file.name == name:
                raise EIO
            original(file, data, offset)

        self._monkeypatch.setattr(File, "write", write)

    def _patch(self, name: str, error: OSError | None) -> None:
        original = _ORIGINAL[name]

        def method(file: File, *args: object) -> object:
            if error is not None:
                raise error
            return original(file, *args)

        self._monkeypatch.setattr(File, name, method)

    def _run(self, task: SyncTask) -> None:
        with self._change:
            self.began.append(task)
            if not self._change.wait_for(lambda: self._allowed > 0, PATIENCE_S):
                raise OSError(errno.ETIMEDOUT, "the test never let this sync end")
            self._allowed -= 1
            error = self._error
        try:
            if error is not None:
                raise error
            self._sync(task)
        finally:
            self.ended += 1


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S  # Trio's clock may stand still.
    while not holds():
        assert time.monotonic() < deadline, "no such sync"
        await settle()


def _do_nothing(_: object) -> None:
    pass


_ORIGINAL: dict[str, Callable[..., object]] = {"write": File.write, "allocate": File.allocate}
