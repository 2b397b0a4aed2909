"""Which histories to try: always the same ones, or as many others as asked for."""

from __future__ import annotations

import os

SEEDS = int(os.environ.get("STALKD_CRASH_SEEDS", "0"))
"""For a longer search: how many histories of each kind."""

FIRST = int(os.environ.get("STALKD_CRASH_FIRST", "1"))
"""Where that search begins; a failing test's name tells the seed that failed."""


def seeds(usual: int) -> range:
    return range(FIRST, FIRST + (SEEDS or usual))
