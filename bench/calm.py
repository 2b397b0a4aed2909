"""Patience with a machine that does other things too.

What else runs on the two cores takes time from a server or its load, and empties their
caches. The kernel counts how long each had to wait for its core, or what others took; by that
alone, never by the result, a measurement is judged disturbed and done again.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# It is repeated so often at most; a machine that is busy all the time stays busy.
_REPEATS = 2


class Patience:
    """Seconds that a whole run may spend on repeating what was disturbed."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def calmest(
        self, measure: Callable[[], T], disturbance: Callable[[T], float], limit: float
    ) -> T:
        """The least disturbed of up to three: the first, if that is not beyond the limit."""
        best = measure()
        for _ in range(_REPEATS):
            if self._left <= 0 or disturbance(best) <= limit:
                break
            started = time.monotonic()
            best = min(best, measure(), key=disturbance)
            self._left -= time.monotonic() - started
        return best
