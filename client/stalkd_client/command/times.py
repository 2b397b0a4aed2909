"""Times as people write and read them: ``90``, ``90s``, ``5m``, ``2h``, ``1d``; ``3m20s``."""

from __future__ import annotations

import re
from typing import Final

UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

_WHOLE: Final = re.compile(r"(?:\d{1,12}(?:\.\d{1,3})?[smhd]?)+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def seconds_of(text: str) -> float:
    """Read a duration; ``1h30m`` is fine. Raises ValueError."""
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no time: say 90, 90s, 5m, 2h or 1d")
    total = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    return int(total) if total == int(total) else total


def shown(seconds: float) -> str:
    """Return a duration with its two largest units."""
    if seconds < 1:
        return f"{seconds:.1f}s" if seconds else "0s"
    whole = int(seconds)
    for size, unit, smaller, lesser in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "m"),
        (MINUTE, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}{rest}{lesser}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"
