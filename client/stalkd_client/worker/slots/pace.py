"""How many jobs are taken at a time: many while they are quick, one as soon as they are not."""

from __future__ import annotations

from typing import Final

BATCH_S: Final = 0.01
"""How long a batch should take at most: so late a job may begin since others were taken with it."""

SLOW_S: Final = 0.05
"""A job that takes longer than this is slow: what waits behind it is given back."""

GROWTH: Final = 2
"""How many times larger the next batch may be."""


class Pace:
    """The size of the next batch, up to ``most``."""

    def __init__(self, most: int) -> None:
        """Begin with one job, as nothing is known yet."""
        self.most = most
        self.size: int = 1

    def note(self, jobs: int, seconds: float) -> None:
        """Know that so many jobs took so many seconds together."""
        fitting = int(BATCH_S * jobs / seconds) if seconds > 0 else self.most
        self.size = max(1, min(self.most, fitting, self.size * GROWTH))

    def slow(self) -> None:
        """Know that a job is slow."""
        self.size = 1
