"""How many processes a stage should have: a pure function of what waits and what is worked on."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

PATIENCE_S: Final = 1.0
"""How long jobs may wait before there is another process: quick ones are done sooner than it is
started."""

CALM_S: Final = 10.0
"""How long a process must have been spare before it ends: starting one costs more than keeping
one for some seconds."""

GROWTH: Final = 2
"""How many times more processes there may be at the next look."""


class Range(NamedTuple):
    """``least`` and ``most`` processes."""

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read ``MIN..MAX``. Raises ValueError."""
        least, dots, most = text.partition("..")
        if not (dots and _is_number(least) and _is_number(most)):
            raise ValueError(f"{text!r} is no MIN..MAX, as in 1..8")
        if int(most) < max(1, int(least)):
            raise ValueError(f"{text!r}: the most must be 1 or more, and not below the least")
        return cls(int(least), int(most))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class Load(NamedTuple):
    """What there is to do: jobs that are ready, and the age in seconds of the oldest of these.

    The age is 0 where the server does not tell.
    """

    waiting: int = 0
    oldest: float = 0.0


class Scale:
    """Says how many processes there should be, look after look; ``slots`` are those of each."""

    def __init__(self, allowed: Range, slots: int) -> None:
        self._allowed = allowed
        self._slots = slots
        self._needs: deque[tuple[float, int]] = deque()
        self._waits_since: float | None = None
        self._grown_at: float | None = None

    def target(self, now: float, load: Load, busy: int, running: int) -> int:
        """Return how many processes there should be; so many slots are busy now.

        More at once, fewer only when so many have not been needed for some time.
        """
        need = self._need(now, load, busy, running)
        self._needs.append((now, need))
        while self._needs[0][0] < now - CALM_S:
            self._needs.popleft()
        if need > running or self._grown_at is None:
            self._grown_at = now
        is_calm = now - self._grown_at >= CALM_S
        least = max(need for _, need in self._needs) if is_calm else running
        return max(self._allowed.least, min(self._allowed.most, max(need, min(running, least))))

    def _need(self, now: float, load: Load, busy: int, running: int) -> int:
        in_use = -(-busy // self._slots)
        if not load.waiting:
            self._waits_since = None
            return in_use
        if self._waits_since is None:
            self._waits_since = now
        is_brief = now - self._waits_since < PATIENCE_S
        if not running or is_brief or 0 < load.oldest < PATIENCE_S:
            return max(1, in_use)
        all_at_once = -(-(busy + load.waiting) // self._slots)
        return max(in_use, min(all_at_once, running * GROWTH))
