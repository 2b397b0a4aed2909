"""The line that a terminal shows while the worker works: what was done, and how fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

EVERY_S: Final = 0.5
"""How often the line changes: often enough to be alive, and one can read it."""

WINDOW: Final = 10
"""Looks over which the rate is taken: five seconds."""

FAILED: Final = ("buried", "moved")
"""Ends of jobs that are failures for good."""


class Live:
    """Makes the line. ``due`` is when the next one is."""

    def __init__(self) -> None:
        self.due: float = 0.0
        self._seen: deque[tuple[float, int]] = deque(maxlen=WINDOW)

    def line(self, now: float, counts: Mapping[str, int], busy: int, slots: int) -> str:
        """Return the line of this moment."""
        self.due = now + EVERY_S
        done = counts.get("done", 0)
        failed = sum(counts.get(each, 0) for each in FAILED)
        self._seen.append((now, done + failed))
        words = [f"{done:,} done", f"{failed:,} failed"]
        if counts.get("retried"):
            words.append(f"{counts['retried']:,} retried")
        return ", ".join([*words, f"{self._rate():,.0f}/s", f"{busy} of {slots} slots busy"])

    def _rate(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0
