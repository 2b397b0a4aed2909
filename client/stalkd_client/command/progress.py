"""How far something has come, on one line of the terminal."""

from __future__ import annotations

import sys
import time
from typing import Final

EVERY_S: Final = 0.2
"""Between two writings: faster than that nobody reads."""


class Progress:
    """A line on the standard error output that is written over; nothing if that is no terminal."""

    def __init__(self, verb: str, total: int | None = None) -> None:
        self._verb, self._total = verb, total
        self._seen = sys.stderr.isatty()
        self._next = 0.0
        self._wrote = False

    def tell(self, number: int) -> None:
        """Say how many it are so far."""
        now = time.monotonic()
        if self._seen and now >= self._next:
            self._next = now + EVERY_S
            self._wrote = True
            of = "" if self._total is None else f" of {max(number, self._total)}"
            sys.stderr.write(f"\r{self._verb} {number}{of} jobs … ")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._wrote:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
