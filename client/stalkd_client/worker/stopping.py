"""Whether the worker is to stop: all threads look here."""

from __future__ import annotations

import os
import threading


class Stop:
    """``requested``: no new job. ``aborting``: those that run are given up, too.

    ``wake`` is a descriptor that can be read from the request on, for those who wait for others.
    """

    def __init__(self) -> None:
        self.requested: bool = False
        self.aborting: bool = False
        self.event: threading.Event = threading.Event()
        self.wake: int
        self.wake, self._write = os.pipe()

    def request(self) -> None:
        """Let no new job begin."""
        if not self.requested:
            self.requested = True
            self.event.set()
            os.write(self._write, b"s")

    def abort(self) -> None:
        """Give up the jobs that run."""
        self.aborting = True
        self.request()
