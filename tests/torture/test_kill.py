"""A daemon that is killed at any instant keeps all that it acknowledged; one that is stopped, too.

`make torture ROUNDS=1000` does the same for longer, with another seed each time.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from torture.rounds import Torture

KILLS = 8
"""Rounds of each test: a second each."""

STOPS = 4


def test_a_killed_daemon_keeps_all_that_it_acknowledged(tmp_path: Path) -> None:
    """And brings nothing back that was deleted, and gives no id twice."""
    go_through(tmp_path, KILLS, gently=False)


def test_a_stopped_daemon_keeps_all_that_it_acknowledged(tmp_path: Path) -> None:
    """The same with TERM under load, and it ends with exit code 0."""
    go_through(tmp_path, STOPS, gently=True)


def go_through(directory: Path, rounds: int, *, gently: bool) -> None:
    # Another seed each time: much depends on instants anyway, which nobody can repeat.
    torture = Torture(directory, secrets.randbits(32), print)
    for number in range(1, rounds + 1):
        torture.round(number, gently=gently)
    torture.finish()
