"""A bound on the time that one piece of work may take."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Stalled(Exception):
    """The server stopped answering, or is far too slow."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raises Stalled inside the block after so many seconds.

    A signal does it, because looking at the clock would cost something in every turn of a
    loop that is measured. Blocks must not be nested: a process has one alarm.
    """

    def stalled(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Stalled(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, stalled)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
