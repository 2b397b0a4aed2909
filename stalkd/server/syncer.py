"""A thread for what only waits for the disk.

It wakes the reactor through a descriptor of its own, as a socket would: the reactor does not always
wait among trio's tasks. While the system syncs, the thread does not hold Python's lock.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stalkd.journal.syncs import SyncTask

Result = tuple["SyncTask", OSError | None, int]
"""(task, what went wrong, nanoseconds that it took)"""

DRAIN: Final = 64
"""Bytes read at once from the pipe; there is one for each task."""


class Syncer:
    """Runs one task after the other; ``fileno`` is readable when a result is there."""

    def __init__(self) -> None:
        """Start the thread."""
        self._tasks: SimpleQueue[SyncTask | None] = SimpleQueue()
        self._results: SimpleQueue[Result] = SimpleQueue()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._thread = threading.Thread(target=self._run, name="stalkd-sync", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._reading

    def submit(self, task: SyncTask) -> None:
        """Have a task run."""
        self._tasks.put(task)

    def result(self, *, wait: bool = False) -> Result | None:
        """Return what came of a task, None if it is not done and ``wait`` is false."""
        try:
            result = self._results.get(block=wait)
        except Empty:
            return None
        with suppress(BlockingIOError):
            os.read(self._reading, DRAIN)
        return result

    def close(self) -> None:
        """End the thread, which must have nothing to do."""
        self._tasks.put(None)
        self._thread.join()
        os.close(self._reading)
        os.close(self._writing)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            started = time.perf_counter_ns()
            try:
                task.run()
            except OSError as error:
                self._done(task, error, started)
            else:
                self._done(task, None, started)

    def _done(self, task: SyncTask, error: OSError | None, started: int) -> None:
        duration = time.perf_counter_ns() - started
        # In this order: the byte of a result that has been taken must not be left behind.
        os.write(self._writing, b"\0")
        self._results.put((task, error, duration))
