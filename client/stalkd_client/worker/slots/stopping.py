"""Whether the worker is to stop, or to be quiet: all threads look here."""

from __future__ import annotations

import os
import threading
from typing import Final

LOOK_AGAIN_S: Final = 1.0
"""How often a slot of a quiet worker looks whether its process is to end."""


class Stop:
    """``requested``: no new job. ``aborting``: those that run are given up, too.

    ``is_quiet``: no new job for the time being. ``wake`` is a descriptor that can be read from the
    request on, for those who wait for others.
    """

    def __init__(self) -> None:
        self.requested: bool = False
        self.aborting: bool = False
        self.event: threading.Event = threading.Event()
        self.wake: int
        self.wake, self._write = os.pipe()
        self._loud = threading.Event()
        self._loud.set()

    def request(self) -> None:
        """Let no new job begin."""
        if not self.requested:
            self.requested = True
            self.event.set()
            self._loud.set()
            os.write(self._write, b"s")

    def abort(self) -> None:
        """Give up the jobs that run."""
        self.aborting = True
        self.request()

    @property
    def is_quiet(self) -> bool:
        """Whether no new job shall begin for now."""
        return not self._loud.is_set()

    def be_quiet(self) -> None:
        """Let no new job begin until ``be_loud``."""
        if not self.requested:
            self._loud.clear()

    def be_loud(self) -> None:
        """Let jobs begin again."""
        self._loud.set()

    def stay_quiet(self) -> None:
        """Wait while jobs shall not begin, but not for long."""
        self._loud.wait(LOOK_AGAIN_S)
