"""Pushing with several processes: making bodies is what takes the time."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from stalkd_client.pushing import PIECE, PushError, Ranges

AHEAD: Final = 2
"""Pieces for each process that are on their way: one in work, one waiting."""

PushAll = Callable[[Iterable[Any], int], list[int]]
"""Pushes values, before which so many were pushed, and returns the ids."""


@dataclass(frozen=True, slots=True)
class Range:
    """Makes the values of a range, and pushes them, in another process."""

    push: PushAll
    make: Ranges

    def __call__(self, start: int, stop: int) -> list[int]:
        """Return the ids. Raises PushError."""
        return self.push(self.make(start, stop), start)


def share(
    push: PushAll, values: Sequence[Any] | Ranges, total: int, processes: int
) -> Iterator[list[int]]:
    """Push ``total`` values with so many processes; give the ids of each piece, in order.

    ``push`` pushes a piece, in another process: it must be possible to send it there. ``values`` is
    something that can be sliced, or a function of ranges that can be imported. The processes are
    new ones, which import the main program: it needs the usual guard,
    ``if __name__ == "__main__"``. Raises PushError, ValueError.
    """
    if processes < 1:
        raise ValueError(f"parallel={processes}: at least one process must do it")
    context = multiprocessing.get_context("spawn")  # A fork would copy other threads' locks.
    with ProcessPoolExecutor(processes, context) as pool:
        going: deque[Future[list[int]]] = deque()
        try:
            for start in range(0, total, PIECE):
                stop = min(start + PIECE, total)
                if callable(values):
                    going.append(pool.submit(Range(push, values), start, stop))
                else:
                    going.append(pool.submit(push, values[start:stop], start))
                if len(going) == AHEAD * processes:
                    yield _ids(going.popleft())
            while going:
                yield _ids(going.popleft())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ids(pushed: Future[list[int]]) -> list[int]:
    try:
        return pushed.result()
    except PushError as error:
        raise error from error.refusal  # It comes with a traceback in its place.
