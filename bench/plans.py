"""What is said to a server: putting jobs, taking them, and both in turn."""

import re
from collections.abc import Iterator
from itertools import islice
from math import inf, isinf
from time import perf_counter
from typing import TypeVar

from bench.ledger import Ledger, WrongReply
from bench.load import Conversation

_IDS = re.compile(rb"RESERVED (\d+) ")
# Lines of one reply to reserve: its own and the body, which holds no line end.
RESERVED_LINES = 2

Item = TypeVar("Item")


def while_time(items: Iterator[Item], seconds: float) -> Iterator[Item]:
    """The items, as long as no more than `seconds` have passed since the first one was taken."""
    return items if isinf(seconds) else _while_time(items, seconds)


def _while_time(items: Iterator[Item], seconds: float) -> Iterator[Item]:
    end = perf_counter() + seconds
    for item in items:
        yield item
        if perf_counter() >= end:
            return


class Putting:
    """Conversations that share `count` batches of `window` puts, taken from a supply.

    They stop taking after `seconds`.
    """

    def __init__(
        self, batches: Iterator[bytes], count: int, window: int, seconds: float = inf
    ) -> None:
        self._batches = while_time(islice(batches, count), seconds)
        self._window = window
        self._seen: list[tuple[bytes, bytes]] = []

    def conversation(self) -> Conversation:
        """One producer: sends a batch, reads its replies, until the supply is empty."""
        window, seen = self._window, self._seen
        for batch in self._batches:
            seen.append((batch, (yield batch, window)))

    @property
    def jobs(self) -> int:
        """Jobs put since the last check."""
        return len(self._seen) * self._window

    def check(self, ledger: Ledger) -> None:
        """Enters what was put, or raises WrongReply; empties the notes."""
        for batch, reply in self._seen:
            ledger.inserted(batch, reply)
        self._seen.clear()


class Taking:
    """Conversations that share a number of turns: reserve `window` jobs, delete them.

    They stop taking turns after `seconds`.
    """

    def __init__(self, turns: int, window: int, seconds: float = inf) -> None:
        self._turns = while_time(iter(range(turns)), seconds)
        self._window = window
        self._seen: list[bytes] = []

    def conversation(self) -> Conversation:
        """One worker: reserves, reads the replies, deletes, reads the replies."""
        window, seen = self._window, self._seen
        reserve, lines = b"reserve\r\n" * window, RESERVED_LINES * window
        deleted = b"DELETED\r\n" * window
        delete = delete_one if window == 1 else delete_many
        for _ in self._turns:
            jobs = yield reserve, lines
            seen.append(jobs)
            request = delete(jobs)
            reply = yield request, window
            if reply != deleted:
                raise WrongReply(request, reply)

    @property
    def jobs(self) -> int:
        """Jobs taken since the last check."""
        return len(self._seen) * self._window

    def check(self, ledger: Ledger) -> None:
        """Strikes out what was delivered, or raises WrongReply; empties the notes."""
        for reply in self._seen:
            ledger.delivered(reply)
        self._seen.clear()


class Moving:
    """Conversations that share batches of `window` puts: put, reserve, delete so many jobs."""

    def __init__(self, batches: Iterator[bytes], window: int) -> None:
        self._batches = batches
        self._window = window
        self._seen: list[tuple[bytes, bytes, bytes]] = []

    def conversation(self) -> Conversation:
        """The jobs reserved are the most urgent ones, seldom those just put."""
        window = self._window
        reserve, lines = b"reserve\r\n" * window, RESERVED_LINES * window
        for batch in self._batches:
            inserted = yield batch, window
            jobs = yield reserve, lines
            self._seen.append((batch, inserted, jobs))
            request = delete_many(jobs)
            reply = yield request, window
            if reply != b"DELETED\r\n" * window:
                raise WrongReply(request, reply)

    @property
    def jobs(self) -> int:
        """Jobs that came and went since the last check."""
        return len(self._seen) * self._window

    def check(self, ledger: Ledger) -> None:
        """Enters what was put and strikes out what was delivered, or raises WrongReply."""
        for batch, inserted, _ in self._seen:
            ledger.inserted(batch, inserted)
        for _, _, jobs in self._seen:
            ledger.delivered(jobs)
        self._seen.clear()


def delete_one(jobs: bytes) -> bytes:
    """The request to delete the job of one reply, made faster than the general one."""
    return b"delete %s\r\n" % jobs.split(b" ", 2)[1]


def delete_many(jobs: bytes) -> bytes:
    """The request to delete the jobs of many replies."""
    return b"".join(b"delete %s\r\n" % job for job in _IDS.findall(jobs))
