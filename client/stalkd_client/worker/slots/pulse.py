"""Whether this process has been stopped for a while, as by SIGSTOP or a debugger.

What was received after that may have been sent long before: then a lease that looks new is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

GAP_S: Final = 2.5
"""Between two beats, from which on there was a stop: the main thread looks once a second."""


class Pulse:
    """One thread beats, the others ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._gap_ended = float("-inf")

    def beat(self) -> None:
        """Be alive."""
        now = self._clock()
        if now - self._last > GAP_S:
            self._gap_ended = now
        self._last = now

    def has_stopped_since(self, began: float) -> bool:
        """Tell whether there was a stop since then, or is one that the beating has not noticed."""
        return self._gap_ended >= began or self._clock() - self._last > GAP_S
