"""Small words."""

from __future__ import annotations


def jobs(number: int, kind: str = "") -> str:
    """Return ``1 job``, ``2 jobs``, ``2 buried jobs``."""
    noun = "job" if number == 1 else "jobs"
    return f"{number} {kind} {noun}" if kind else f"{number} {noun}"
