"""Who loads the daemon: producers, workers, and others who disturb their jobs or each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from support.daemon import Address
from support.ledger import BURIED, DELAYED, READY, Facts, Known, Ledger
from torture.client import Client

SHARED = ("common", "a.tube")
"""Tubes for all producers and workers."""

SOLO = ("solo-1", "solo-2")
"""Tubes of one client each, which knows exactly what is in them, also while it pipelines."""

ANCHOR_S = 100_000_000
"""The delay of the one job in each tube that nobody touches: so no tube and no pause is dropped."""

LONG_S = 10_000
"""Delays from here on do not end during the test."""

MOST_JOBS = 120
MOST_BYTES = 500_000
"""What there may be in a tube before nobody puts more, and those who work there mostly delete."""

LEAST_BURIED = 20
"""Buried jobs are mostly left alone until there are so many."""

NEVER_PUT = b"never complete"


@dataclass(frozen=True)
class Mood:
    """What the load of one round is like.

    ``depth`` is the most that is pipelined, ``refusals`` what a put may be answered.
    """

    depth: int
    largest: int
    puts: float
    deletes: float
    refusals: tuple[bytes, ...] = ()


class Person(Client):
    """A client with habits."""

    def __init__(
        self, name: str, address: Address, ledger: Ledger, rng: Random, mood: Mood, tube: str
    ) -> None:
        super().__init__(name, address, ledger, rng)
        self.mood = mood
        self.tube = tube
        self.depth = rng.randint(1, mood.depth)
        self.refusals = mood.refusals
        self._count = 0
        self.start()

    def start(self) -> None:
        """Say what is to be said first."""
        self.ask(b"use %b" % self.tube.encode(), b"USING")

    def new_body(self) -> bytes:
        """A body that nobody has put before."""
        self._count += 1
        tag = b"%b.%d " % (self.name.encode(), self._count)
        size = self.rng.choices((100, 2_000, 20_000, self.mood.largest), (70, 20, 8, 2))[0]
        rest = self.rng.randint(0, min(size, self.mood.largest - len(tag)))
        return tag + self.rng.randbytes(rest)

    def new_delay(self) -> int:
        """None, a second, or one that does not end."""
        return self.rng.choices((0, 1, self.rng.randint(LONG_S, 2 * LONG_S)), (80, 8, 12))[0]

    def new_pri(self) -> int:
        return self.rng.choice((0, 1, 1023, 1024, self.rng.randint(0, 2**32 - 1)))

    def is_enough(self) -> bool:
        """Whether there should be no more jobs in the tube."""
        jobs, size = self.ledger.load(self.tube)
        return jobs >= MOST_JOBS or size >= MOST_BYTES

    def put_something(self) -> None:
        """Put a job, unless there is enough."""
        if not self.is_enough():
            ttr = self.rng.randint(10_000, 2**32 - 1)
            facts = Facts(READY, self.tube, self.new_pri(), self.new_delay(), ttr)
            if facts.delay:
                facts = facts._replace(state=DELAYED)
            self.put(self.new_body(), facts)

    def end(self, job: Known) -> None:
        """Be done with a held job, in one way or another."""
        rng = self.rng
        if rng.random() < (0.8 if self.is_enough() else self.mood.deletes):
            self.delete(job)
        elif rng.random() < 0.6:
            self.bury(job, self.new_pri())
        else:
            self.release(job, self.new_pri(), self.new_delay())


class Producer(Person):
    """Puts; now and then a job whose lease is so brief that it may end."""

    def think(self) -> None:
        if self.rng.random() < 0.02:
            self.put(self.new_body(), Facts(READY, self.tube, ttr=1), brief=True)
        elif self.rng.random() < self.mood.puts:
            self.put_something()
        else:
            self.ask(b"list-tube-used", b"USING")


class Worker(Person):
    """Reserves, and does something with what it has got."""

    def start(self) -> None:
        for tube in SHARED:
            self.ask(b"watch %b" % tube.encode(), b"WATCHING")

    def think(self) -> None:
        rng = self.rng
        job = rng.choice(self.held) if self.held else None
        if job is None or (len(self.held) < 20 and rng.random() < 0.5):
            self.reserve(rng.choices((0, 1), (9, 1))[0])
        elif job.brief:
            self._forget(job)
        elif rng.random() < 0.1:
            self.touch(job)
        else:
            self.end(job)

    def _forget(self, job: Known) -> None:
        """Let the lease end by itself; or delete the job, most often in time."""
        self.held.remove(job)
        if self.rng.random() < 0.5:
            self.delete(job)


class Janitor(Person):
    """Looks after buried and delayed jobs of a tube."""

    def think(self) -> None:
        found = self.rng.choice((self._buried, self._delayed))()
        if self.held and self.rng.random() < 0.5:
            self.end(self.held[0])
        elif len(found) < self.rng.randint(1, LEAST_BURIED):
            self.ask(b"peek-buried", b"")
        elif (chance := self.rng.random()) < 0.5:
            self.kick_job(self.rng.choice(found))
        elif chance < 0.8:
            self.delete(self.rng.choice(found))
        else:
            self.reserve_job(self.rng.choice(found))

    def _buried(self) -> list[Known]:
        return self.ledger.settled(BURIED, self.tube)

    def _delayed(self) -> list[Known]:
        jobs = self.ledger.settled(DELAYED, self.tube)
        return [job for job in jobs if LONG_S <= job.facts.delay < ANCHOR_S]


class Pauser(Person):
    """Pauses a tube, mostly for nearly no time."""

    depth = 1

    def think(self) -> None:
        if self.rng.random() < 0.1:
            self.pause(self.tube, self.rng.choices((0, 1, 2), (6, 2, 1))[0])
        else:
            self.ask(b"stats-tube %b" % self.tube.encode(), b"OK ")


class Soloist(Person):
    """Does everything, alone in its tube."""

    def start(self) -> None:
        super().start()
        self.ask(b"watch %b" % self.tube.encode(), b"WATCHING")
        self.ask(b"ignore default", b"WATCHING")

    def think(self) -> None:
        rng = self.rng
        chance = rng.random()
        if chance < self.mood.puts * 0.4:
            self.put_something()
        elif chance < 0.55:
            self.reserve(0)
        elif chance < 0.8 and self.held:
            self.end(rng.choice(self.held))
        elif chance < 0.9:
            self._kick()
        elif chance < 0.95:
            self._take_back()
        elif chance < 0.97:
            self.pause(self.tube, rng.choice((0, 0, LONG_S, 2 * LONG_S)))
        elif self.held:
            self.touch(rng.choice(self.held))

    def _mine(self, state: str) -> Iterator[Known]:
        for job in self.ledger.tubes[self.tube].values():
            if job.facts.state == state and job.id:
                yield job

    def _kick(self) -> None:
        """Kick some of the buried, whose order it knows."""
        buried = sorted(self._mine(BURIED), key=lambda job: job.since)
        if len(buried) >= self.rng.randint(1, LEAST_BURIED):
            self.kick(buried[: self.rng.randint(1, len(buried))])

    def _take_back(self) -> None:
        """Delete or kick what is not ready, although answers about it may still be on their way."""
        delayed = [job for job in self._mine(DELAYED) if LONG_S <= job.facts.delay < ANCHOR_S]
        jobs = self.rng.choice((delayed, list(self._mine(BURIED))))
        if len(jobs) < self.rng.randint(1, LEAST_BURIED):
            return
        job = self.rng.choice(jobs)
        self.rng.choice((self.delete, self.kick_job))(job)


class Nuisance(Person):
    """Says what cannot be understood, leaves in the middle of a put, and comes back."""

    def think(self) -> None:
        chance = self.rng.random()
        if chance < 0.1:
            self._leave(b"put 0 0 60 %d\r\n%b" % (len(NEVER_PUT) + 1, NEVER_PUT))
        elif chance < 0.2:
            self._leave(b"watch nothing\r\nignore default\r\nreserve\r\n")
        elif chance < 0.5:
            self.ask(b"pet 0 0 60 5", b"UNKNOWN_COMMAND")
        elif chance < 0.8:
            self.ask(b"stats", b"OK ")
        else:
            self.ask(b"delete 0", b"NOT_FOUND")

    def _leave(self, last_words: bytes) -> None:
        self.in_flight.clear()
        self._unsent += last_words
        self.flush()
        self.close()


def assemble(
    address: Address, ledger: Ledger, rng: Random, mood: Mood, round_number: int
) -> list[Client]:
    """Connect everybody."""
    kinds: list[tuple[type[Person], str]] = [
        *((Producer, tube) for tube in SHARED),
        *((Worker, tube) for tube in (*SHARED, *SHARED)),
        *((Janitor, tube) for tube in SHARED),
        *((Soloist, tube) for tube in SOLO),
        (Pauser, SHARED[0]),
        (Nuisance, SHARED[1]),
        (Nuisance, "default"),
    ]
    return [
        kind(f"{kind.__name__}{index}@{round_number}", address, ledger, rng, mood, tube)
        for index, (kind, tube) in enumerate(kinds)
    ]
