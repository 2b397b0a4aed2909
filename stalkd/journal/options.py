"""What the operator chose for the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the operator chose: bytes of a segment; milliseconds between syncs, None for never."""

    segment_bytes: int
    sync_ms: int | None

    @property
    def interval(self) -> int | None:
        """Nanoseconds between syncs."""
        return None if self.sync_ms is None else self.sync_ms * NS_PER_MS
