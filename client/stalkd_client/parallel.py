"""Pushing with several processes: making bodies is what takes the time."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from stalkd_client.pushing import PIECE, Keys, Ranges
from stalkd_client.queue import Queue

AHEAD: Final = 2
"""Pieces for each process that are on their way: one in work, one waiting."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a process must know to push into a queue."""

    name: str
    url: str
    codec: str
    spill: str | None
    key: Keys | None
    options: dict[str, Any]

    def push(self, values: Iterable[Any]) -> list[int]:
        """Push a piece; return the ids. Raises PushError."""
        with Queue(self.name, self.url, codec=self.codec, trusted=True, spill=self.spill) as queue:
            ids: list[int] = queue.push_many(list(values), key=self.key, **self.options)
            return ids

    def push_range(self, make: Ranges, start: int, stop: int) -> list[int]:
        """Make the values of a range, and push them."""
        return self.push(make(start, stop))


def push(
    target: Target, values: Sequence[Any] | Ranges, total: int, processes: int
) -> Iterator[list[int]]:
    """Push ``total`` values with so many processes; give the ids of each piece, in order.

    ``values`` is something that can be sliced, or a function of ranges that can be imported. The
    processes are new ones, which import the main program: it needs the usual guard,
    ``if __name__ == "__main__"``. Raises PushError.
    """
    context = multiprocessing.get_context("spawn")  # A fork would copy other threads' locks.
    with ProcessPoolExecutor(processes, context) as pool:
        going: deque[Future[list[int]]] = deque()
        try:
            for start in range(0, total, PIECE):
                stop = min(start + PIECE, total)
                if callable(values):
                    going.append(pool.submit(target.push_range, values, start, stop))
                else:
                    going.append(pool.submit(target.push, values[start:stop]))
                if len(going) == AHEAD * processes:
                    yield going.popleft().result()
            while going:
                yield going.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
