"""Keeping Python's garbage collector off the jobs.

Jobs are freed by reference counting: nothing of theirs is cyclic. A full collection would still
walk over all of them, 300 ms for a million, with every client waiting. So the oldest generation is
not collected automatically. Cycles that die young (an exception with its traceback) are found by
the collections of the younger generations; the few that live long are found when the daemon holds
little enough that a full collection takes no noticeable time.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 5_000
"""Objects made before the youngest are looked at: about 0.3 ms of looking."""

MIDDLE: Final = 5
"""Collections of the youngest before the middle generation is looked at: at most 30,000 objects,
about 2 ms."""

NEVER: Final = 1_000_000_000
"""Collections of the middle generation before the oldest would be looked at."""

FULL_AT_MOST: Final = 40_000
"""Objects up to which a full collection is short, about 5 ms."""

OBJECTS_PER_TUBE: Final = 15
"""What the collector looks at in a tube: its containers, and their parts."""

OBJECTS_PER_CONNECTION: Final = 15
"""What it looks at in a connection: its session, client, socket and their containers."""


def keep_off_old_objects() -> None:
    """Collect young cycles as ever, and old ones only by ``collect_if_small``."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


def collect_if_small(jobs: int, tubes: int, connections: int) -> bool:
    """Collect everything, unless the daemon holds too much for that; tell whether it was done."""
    objects = jobs + tubes * OBJECTS_PER_TUBE + connections * OBJECTS_PER_CONNECTION
    if objects > FULL_AT_MOST:
        return False
    gc.collect()
    return True
