"""Patience with a machine that does other things too.

What else runs on the two cores takes time from a server or its load, and empties their
caches. The kernel counts how long each had to wait for its core; by that alone, never by
the result, a pair is judged disturbed and run again.
"""

import time
from collections.abc import Callable

from bench.report import DISTURBED, Pair, disturbance

# A pair is repeated so often at most; a machine that is busy all the time stays busy.
_REPEATS = 2


class Patience:
    """Seconds that a whole run may spend on repeating pairs."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def calmest(self, measure: Callable[[], Pair]) -> Pair:
        """The least disturbed of up to three pairs: of one, if that was calm."""
        best = measure()
        for _ in range(_REPEATS):
            if self._left <= 0 or disturbance(best) <= DISTURBED:
                break
            started = time.monotonic()
            best = min(best, measure(), key=disturbance)
            self._left -= time.monotonic() - started
        return best
