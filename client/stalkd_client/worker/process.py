"""Starting a child, and knowing what became of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from stalkd_client.worker import packets
from stalkd_client.worker.link import Link
from stalkd_client.worker.messages import Ready, Refused, Setup


class Child:
    """A process with as many links as it has slots. To be made in the main thread only.

    (The system kills it when the thread that made it ends.) ``is_retiring``: it gets no new jobs.
    """

    def __init__(self, setup: Setup, most_jobs: int | None) -> None:
        """Start it; it retires after ``most_jobs``. Raises OSError."""
        self.links: list[Link] = [Link() for _ in range(setup.slots)]
        self.life: socket.socket
        self.life, theirs = packets.pair()
        self.ready_at: float = 0.0
        self.jobs_done: int = 0
        self._most_jobs = most_jobs
        self.is_ready: bool = False
        self.is_retiring: bool = False
        self.kill_cause: str = ""
        self.killed_by: int | None = None
        self._ended = threading.Event()
        inherited = [theirs, *(each for link in self.links for each in link.theirs or ())]
        with theirs:
            self._process = _start(inherited)
        for link in self.links:
            link.has_started()
        packets.send(self.life, tuple(setup))

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended; for any thread."""
        return self._ended.is_set()

    def news(self) -> Ready | Refused | None:
        """Return whether it can begin, if it has said that since it was asked last."""
        messages, _ = packets.receive_all(self.life)
        news: Ready | Refused | None = None
        for kind, *about in messages:
            if kind == "Refused":
                news = Refused(*about)
            else:
                news = Ready(*about)
                self.is_ready, self.ready_at = True, time.monotonic()
        return news

    def did_one(self) -> None:
        """Know that a job is done; after the last one it retires."""
        self.jobs_done += 1
        if self._most_jobs is not None and self.jobs_done >= self._most_jobs:
            self.is_retiring = True

    def jobs_left(self) -> int | None:
        """Return how many jobs it may still do, at least one; None: as many as come."""
        return None if self._most_jobs is None else max(1, self._most_jobs - self.jobs_done)

    def kill(self, cause: str = "", by: int | None = None) -> None:
        """Kill it, and the programs that it started; ``by`` is the slot whose job is to blame."""
        if not self.kill_cause:
            self.kill_cause, self.killed_by = cause, by
        if self._ended.is_set():
            return
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def poll(self) -> bool:
        """Tell whether it has ended; only the main thread asks."""
        if self._process.poll() is None:
            return False
        if not self._ended.is_set():
            # What it has forked holds its sockets, and these must close for its death to show.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._ended.set()
        return True

    def fate(self, patience: float) -> str:
        """Return how it ended, waiting so many seconds for that to be known."""
        self._ended.wait(patience)
        if self.kill_cause:
            return self.kill_cause
        code = self._process.returncode
        if code is None:
            return "it has closed its connection"
        return f"exit code {code}" if code >= 0 else f"killed by {_name_of(-code)}"

    def memory(self) -> int:
        """Return how many bytes it has in memory; 0 where that cannot be known."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:  # noqa: PTH123 - no need of pathlib
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def close(self) -> None:
        """Let go of it; it ends if it has not."""
        self.life.close()


def _start(inherited: Sequence[socket.socket]) -> subprocess.Popen[bytes]:
    """Start a clean interpreter, in a process group of its own.

    Signals of a terminal are not for it, and with it all can be killed that it has started.
    """
    numbers = [each.fileno() for each in inherited]
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", "stalkd_client.worker.inside.child", *map(str, numbers)],
        stdin=subprocess.DEVNULL,
        pass_fds=numbers,
        process_group=0,
    )


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
