"""A client that is interrupted at random moments, and a ledger of what is certain.

    python -m support.interrupted URL TUBE SEED

runs through the steps, and fails if anything was lost or mixed up. It is a process of its own, as
pytest is not made for being interrupted anywhere.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from stalkd_client import Client, Job, LeaseLostError, NotFoundError, TimedOutError

STEPS = 2_000

ALARMS = 0.6  # of the steps have an alarm, ...
MEAN_S = 3e-4  # ... about as long after their start as a command takes


class Ledger:
    """Bodies are numbers, each put once; ``perhaps`` are those of which nobody knows."""

    def __init__(self) -> None:
        self.put: dict[int, int] = {}
        self.deleted: set[int] = set()
        self.perhaps_put: set[int] = set()
        self.perhaps_deleted: set[int] = set()
        self._numbers = 0

    def new(self) -> int:
        self._numbers += 1
        self.perhaps_put.add(self._numbers)
        return self._numbers

    def was_put(self, number: int, job_id: int) -> None:
        assert self.put.setdefault(job_id, number) == number, "two jobs with one id"
        self.perhaps_put.discard(number)

    def check(self, job: Job) -> None:
        """A job that was received is one that was put, and was not deleted for certain."""
        number = int(job.body)
        assert self.put.get(job.id, number) == number, "the body is another job's"
        assert job.id in self.put or number in self.perhaps_put
        assert job.id not in self.deleted

    def close(self, left: list[Job]) -> None:
        """All that was put is left, or deleted; nothing is there twice."""
        for job in left:
            self.check(job)
        assert len({job.body for job in left}) == len(left)
        gone = self.put.keys() - {job.id for job in left}
        assert gone <= self.deleted | self.perhaps_deleted


def take_all(client: Client) -> list[Job]:
    taken = []
    while True:
        try:
            taken.append(client.reserve(0))
        except TimedOutError:
            return taken


@contextmanager
def alarms() -> Iterator[None]:
    """The alarm's handler raises KeyboardInterrupt, as that of Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


class Interrupted:
    """Does things to a client that are interrupted after a random time."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.ledger = Ledger()
        self.held: list[Job] = []
        self.interruptions = 0
        self._random = Random(seed)

    def step(self) -> None:
        self._random.choice(
            [self.put, self.put, self.reserve, self.reserve, self.delete, self.ask]
        )()

    def _until_alarm(self, act: Callable[[], None]) -> None:
        """An alarm that comes too late does no harm; one that comes within, stops the act."""
        try:
            if self._random.random() < ALARMS:
                signal.setitimer(signal.ITIMER_REAL, self._random.expovariate(1 / MEAN_S))
            act()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            self.interruptions += 1

    def put(self) -> None:
        number = self.ledger.new()

        def act() -> None:
            self.ledger.was_put(number, self.client.put(str(number)))

        self._until_alarm(act)

    def reserve(self) -> None:
        def act() -> None:
            with suppress(TimedOutError):
                self.held.append(self.client.reserve(0))

        before = len(self.held)
        self._until_alarm(act)
        for job in self.held[before:]:
            self.ledger.check(job)

    def delete(self) -> None:
        if self.held:
            job = self.held.pop()
            self.ledger.perhaps_deleted.add(job.id)

            def act() -> None:
                with suppress(LeaseLostError, NotFoundError):
                    self.client.delete(job)
                    self.ledger.deleted.add(job.id)

            self._until_alarm(act)

    def ask(self) -> None:
        def act() -> None:
            assert self.client.list_tube_used() == self.client.list_tubes_watched()[0]

        self._until_alarm(act)


def main(url: str, tube: str, seed: int) -> None:
    with alarms(), Client(url, use=tube, watch=tube) as client:
        work = Interrupted(client, seed)
        for _ in range(STEPS):
            work.step()
        assert client.list_tube_used() == tube
        client.close()
        work.ledger.close(take_all(client))
    assert work.interruptions > STEPS // 20
    assert len(work.ledger.put) > STEPS // 20


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
