"""Telling how far a long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int], None]
"""Is called with how much has been done so far."""


@contextmanager
def reporting(
    progress: Report | bool,  # noqa: FBT001 - it is what push_many was given
    total: int | None,
) -> Iterator[Report]:
    """Give what reports: the caller's function, a bar on standard error for True, or nothing.

    A bar is only drawn on a terminal. ``total`` is how much there is to be done, if that is known.
    """
    if callable(progress):
        yield progress
    elif not progress or not sys.stderr.isatty():
        yield lambda _: None
    else:
        with _bar(total) as report:
            yield report


@contextmanager
def _bar(total: int | None) -> Iterator[Report]:
    import click  # noqa: PLC0415 - programs without a bar need not load it

    done = 0
    nothing: Iterator[int] = iter(())
    items = None if total is not None else nothing
    with click.progressbar(items, length=total, show_pos=True, file=sys.stderr) as bar:

        def report(so_far: int) -> None:
            nonlocal done
            bar.update(so_far - done)
            done = so_far

        yield report
