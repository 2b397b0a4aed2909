"""The line that a terminal shows with ``--once``: how far it is, and how long it will take."""

from __future__ import annotations

from typing import Final

from stalkd_client.worker.live import Live, Moment
from stalkd_client.worker.once.lines import Input

WIDTH: Final = 20
"""Characters of the bar: each is five percent."""


class Bar(Live):
    """Makes the line. Of a regular file it knows the end; of a pipe there are only counts."""

    def __init__(self, lines: Input) -> None:
        super().__init__()
        self._lines = lines
        self._began: float | None = None

    def line(self, now: float, moment: Moment) -> str:
        """Return the line of this moment."""
        told = super().line(now, moment)
        if self._began is None:
            self._began = now
        size = self._lines.size
        if not size:
            return told
        share = min(1.0, self._lines.done_bytes / size)  # The file may have grown since.
        left = f"{duration((now - self._began) * (1 - share) / share)} left" if share else "- left"
        drawn = "#" * int(share * WIDTH)
        return f"[{drawn:-<{WIDTH}}] {int(share * 100):3d}%, {left}, {told}"


def duration(seconds: float) -> str:
    """Return so many seconds as people read them: ``1:02:03``, ``2:03``, ``0:03``."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
