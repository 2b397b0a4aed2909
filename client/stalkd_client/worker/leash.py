"""The standard input as a leash: when it ends, whoever holds its other end is gone, however."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

INPUT: Final = 0
"""The descriptor of the standard input."""

CHUNK: Final = 4096


class Leash:
    """``has_ended`` when the standard input has, or cannot be read; then ``poke`` was called."""

    def __init__(self, poke: Callable[[], None]) -> None:
        """Watch nothing yet; ``poke`` is called from another thread."""
        self.has_ended: bool = False
        self._poke = poke

    def watch(self) -> None:
        """Read from now on; what comes is not looked at."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while os.read(INPUT, CHUNK):
                pass
        self.has_ended = True
        self._poke()
