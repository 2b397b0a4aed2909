"""The two conversations of the throughput scenarios: putting jobs, and taking them."""

import re
from collections.abc import Iterator
from itertools import islice

from bench.ledger import Ledger, WrongReply
from bench.load import Conversation

_IDS = re.compile(rb"RESERVED (\d+) ")
# Lines of one reply to reserve: its own and the body, which holds no line end.
RESERVED_LINES = 2


class Putting:
    """Conversations that share `count` batches of `window` puts, taken from a supply."""

    def __init__(self, batches: Iterator[bytes], count: int, window: int) -> None:
        self._batches = islice(batches, count)
        self._window = window
        self._seen: list[tuple[bytes, bytes]] = []

    def conversation(self) -> Conversation:
        """One producer: sends a batch, reads its replies, until the supply is empty."""
        window, seen = self._window, self._seen
        for batch in self._batches:
            seen.append((batch, (yield batch, window)))

    def check(self, ledger: Ledger) -> None:
        """Enters what was put, or raises WrongReply; empties the notes."""
        for batch, reply in self._seen:
            ledger.inserted(batch, reply)
        self._seen.clear()


class Taking:
    """Conversations that share a number of turns: reserve `window` jobs, delete them."""

    def __init__(self, turns: int, window: int) -> None:
        self._turns = iter(range(turns))
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

    def check(self, ledger: Ledger) -> None:
        """Strikes out what was delivered, or raises WrongReply; empties the notes."""
        for reply in self._seen:
            ledger.delivered(reply)
        self._seen.clear()


def delete_one(jobs: bytes) -> bytes:
    """The request to delete the job of one reply, made faster than the general one."""
    return b"delete %s\r\n" % jobs.split(b" ", 2)[1]


def delete_many(jobs: bytes) -> bytes:
    """The request to delete the jobs of many replies."""
    return b"".join(b"delete %s\r\n" % job for job in _IDS.findall(jobs))
