"""What a terminal shows: a line while the worker works, and a table when it is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

EVERY_S: Final = 0.5
"""How often the line changes: often enough to be alive, and one can read it."""

WINDOW: Final = 10
"""Looks over which the rate is taken: five seconds."""

FAILED: Final = ("buried", "moved", "failed")
"""Ends of jobs that are failures for good."""

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "done": ("done",),
    "failed": FAILED,
    "retried": ("retried",),
    "lost": ("lost",),
}
"""Of the table: which ends of jobs each of them counts."""

Counts = Mapping[str, int]


class Moment(NamedTuple):
    """How it stands: how jobs ended, for each queue, too; how many wait in each; busy slots."""

    counts: Counts
    by_queue: Mapping[str, Counts]
    waiting: Mapping[str, int]
    busy: int
    slots: int


class Live:
    """Makes the line. ``due`` is when the next one is."""

    def __init__(self) -> None:
        self.due: float = 0.0
        self._seen: deque[tuple[float, int]] = deque(maxlen=WINDOW)

    def line(self, now: float, moment: Moment) -> str:
        """Return the line of this moment: about all queues first, as a narrow terminal cuts it."""
        self.due = now + EVERY_S
        counts = moment.counts
        self._seen.append((now, counts.get("done", 0) + _failed(counts)))
        words = [f"{counts.get('done', 0):,} done", f"{_failed(counts):,} failed"]
        if counts.get("retried"):
            words.append(f"{counts['retried']:,} retried")
        words.append(f"{self._rate():,.0f}/s")
        if moment.waiting:
            words.append(f"{sum(moment.waiting.values()):,} waiting")
        words.append(f"{moment.busy} of {moment.slots} slots busy")
        return " | ".join([", ".join(words), *_queues(moment)])

    def _rate(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0


def _failed(counts: Counts) -> int:
    return sum(counts.get(each, 0) for each in FAILED)


def _queues(moment: Moment) -> list[str]:
    """Return a part for each queue; none if there is only one."""
    names = sorted({*moment.by_queue, *moment.waiting})
    if len(names) < 2:  # noqa: PLR2004 - all that could be said of one has been said
        return []
    return [_queue(name, moment) for name in names]


def _queue(name: str, moment: Moment) -> str:
    counts = moment.by_queue.get(name, {})
    words = [f"{name}: {counts.get('done', 0):,} done"]
    if _failed(counts):
        words.append(f"{_failed(counts):,} failed")
    if moment.waiting.get(name):
        words.append(f"{moment.waiting[name]:,} waiting")
    return ", ".join(words)


def table(by_queue: Mapping[str, Counts]) -> str:
    """Return lines that tell how the jobs of each queue have ended; none if there were none."""
    if not by_queue:
        return ""
    heads = ["queue", *COLUMNS]
    rows = [
        [name, *(f"{sum(counts.get(each, 0) for each in ends):,}" for ends in COLUMNS.values())]
        for name, counts in sorted(by_queue.items())
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "".join(_row(row, widths) for row in [heads, *rows])


def _row(row: list[str], widths: list[int]) -> str:
    first, *rest = (
        text.ljust(width) if place == 0 else text.rjust(width)
        for place, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest]) + "\n"
