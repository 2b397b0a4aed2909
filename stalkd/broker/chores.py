"""Commands about any number of jobs, done a little at a time.

Each job is handled whole; between two steps all clients have their turn. Who has asked waits for
the count, and by hanging up ends the chore where it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from stalkd.broker import fates
from stalkd.broker.alarms import Owner
from stalkd.broker.client import Count, Outcome
from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, State
from stalkd.broker.limits import ID_MASK, NEVER
from stalkd.broker.terms import Reason

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.client import Client
    from stalkd.broker.job import Job
    from stalkd.broker.sortedkeys import SortedKeys
    from stalkd.broker.tube import Tube

STEP: Final = 500
"""Jobs handled before the clients have their turn: one or two milliseconds."""

SMALL_STEP: Final = 50
"""The same where the log may need more room: what one step writes must fit into the smallest
reserve of a full disk."""

REST_NS: Final = 1_000_000
"""How long a chore rests when others have their turn, or the disk does not keep up."""

LOOKS: Final = 10
"""Leases looked at in vain, in search of those of one tube, in the time that one job takes."""

Work = Generator[int, int, None]
"""Is sent the time, handles one job and gives 1, or looks at LOOKS leases and gives 0; ends when
there is none left."""


class Chore(Owner):
    """Work that a client has asked for. ``count`` is how many jobs have been handled.

    ``grows`` says that the log may need more room afterwards.
    """

    def __init__(self, serial: int, client: Client, work: Work, now: int, *, grows: bool) -> None:
        """Begin; ``step`` is to be called when the alarm rings, which is as soon as possible."""
        super().__init__(serial)
        self.grows = grows
        self.client = client
        self.count = 0
        self._work = work
        self._due = now + 1
        next(work)

    def next_deadline(self) -> int:
        """Return when it goes on; NEVER once all is done."""
        return self._due

    def step(self, now: int) -> bool:
        """Do a little; tell whether all is done."""
        send = self._work.send
        self._due = now + 1
        try:
            for _ in range(SMALL_STEP if self.grows else STEP):
                self.count += send(now)
        except StopIteration:
            self.leave()
            return True
        return False

    def rest(self, now: int) -> None:
        """Go on a little later."""
        self._due = now + REST_NS

    def leave(self) -> None:
        """Do nothing any more."""
        self._due = NEVER


def place_of(tube: Tube, state: State) -> SortedKeys:
    """Return where a tube's jobs of a state are, but for the reserved.

    To be asked again after each pause: a new ageing gives a tube a new ``ready``.
    """
    return {READY: tube.ready, DELAYED: tube.delayed, BURIED: tube.buried}[state]


def _first(broker: Broker, tube: Tube, state: State) -> Job | None:
    """Return a tube's first job in a state; its place may be another one than a step ago."""
    place = place_of(tube, state)
    return broker.jobs[place.first() & ID_MASK] if place.size else None


def _leases(broker: Broker, tube: Tube) -> list[int]:
    """Return the keys of all leases that there are, of other tubes too; none if the tube has none.

    They are not looked at: a million are copied in some milliseconds.
    """
    keys: list[int] = []
    if tube.reserved:
        for client in broker.directory.clients:
            client.leases.append_to(keys)
    return keys


def _held(broker: Broker, tube: Tube, leases: list[int]) -> Iterator[Job | None]:
    """Give the jobs of a tube that were held under some leases and are held now.

    None is given for each LOOKS others, so that their number stalls nobody.
    """
    jobs, passed = broker.jobs, 0
    for key in leases:
        if not tube.reserved:
            return
        job = jobs.get(key & ID_MASK)
        if job is not None and job.tube is tube and job.holder is not None:
            yield job
            continue
        passed += 1
        if passed % LOOKS == 0:
            yield None


def purging(broker: Broker, tube: Tube, states: tuple[State, ...]) -> Work:
    """Delete as many jobs as there are in these states now, whoever holds them."""
    now = yield 0
    leases = _leases(broker, tube) if RESERVED in states else []
    for state in states:
        if state is RESERVED:
            continue
        for _ in range(place_of(tube, state).size):
            job = _first(broker, tube, state)
            if job is None:
                break
            broker.queues.take(job)
            fates.remove(broker, job, Outcome.GONE)
            broker.directory.drop_if_unused(tube)
            now = yield 1
    for job in _held(broker, tube, leases):
        if job is not None:
            broker.queues.take(job)
            fates.remove(broker, job, Outcome.GONE)
            broker.queues.serve(tube, now)
            broker.directory.drop_if_unused(tube)
        now = yield int(job is not None)


def releasing(broker: Broker, tube: Tube) -> Work:
    """End the leases that there are."""
    now = yield 0
    for job in _held(broker, tube, _leases(broker, tube)):
        if job is not None:
            broker.end_lease(job, Reason.TAKEN_BACK, now)
        now = yield int(job is not None)


def moving(broker: Broker, tube: Tube, state: State, target: str, most: int) -> Work:
    """Put up to ``most`` of the jobs in this state into another tube, the first first."""
    now = yield 0
    for job in _movable(broker, tube, state, target, most):
        fates.move(broker, job, target, now)
        now = yield 1


def _movable(broker: Broker, tube: Tube, state: State, target: str, most: int) -> Iterator[Job]:
    """Give the first jobs in a state; each must be moved before the next is asked for."""
    count = min(most, place_of(tube, state).size)
    if target == tube.name:  # Then the first stays the first.
        for number in [key & ID_MASK for key in islice(place_of(tube, state), count)]:
            job = broker.jobs.get(number)
            if job is not None and job.state is state and job.tube is tube:
                yield job
        return
    for _ in range(count):
        job = _first(broker, tube, state)
        if job is None:
            return
        yield job


def start(
    broker: Broker, client: Client, work: Work, now: int, *, grows: bool = False
) -> Count | Outcome:
    """Do the first step; return the count, or WAITING if that was not all."""
    chore = Chore(broker.directory.new_serial(), client, work, now, grows=grows)
    if chore.step(now):
        return Count(chore.count)
    client.chore = chore
    broker.alarms.advance(chore, chore.next_deadline())
    return Outcome.WAITING


def go_on(broker: Broker, chore: Chore, now: int) -> None:
    """Do another step, if it is time; answer when all is done.

    On a full disk what moves jobs ends where it is: they may take more room in the other tube.
    """
    if broker.is_full and chore.grows:
        chore.leave()
        _finish(broker, chore)
        return
    if not broker.chore_steps:
        chore.rest(now)
        return
    broker.chore_steps -= 1
    if chore.step(now):
        _finish(broker, chore)


def _finish(broker: Broker, chore: Chore) -> None:
    stop(broker, chore.client)
    broker.queues.answers.append((chore.client, Count(chore.count)))


def stop(broker: Broker, client: Client) -> None:
    """Leave the rest of what a client has begun undone."""
    if client.chore is not None:
        client.chore.leave()
        broker.alarms.cancel(client.chore)
        client.chore = None


# -- what clients can ask for ---------------------------------------------------------------------


def purge(
    broker: Broker, client: Client, name: str, states: tuple[State, ...], now: int
) -> Count | Outcome | None:
    """Delete all jobs of a tube in these states. None: no such tube."""
    tube = broker.directory.tubes.get(name)
    return start(broker, client, purging(broker, tube, states), now) if tube is not None else None


def release(broker: Broker, client: Client, name: str, now: int) -> Count | Outcome | None:
    """End all leases of a tube's jobs. None: no such tube."""
    tube = broker.directory.tubes.get(name)
    return start(broker, client, releasing(broker, tube), now) if tube is not None else None


def move(
    broker: Broker, client: Client, name: str, state: State, target: str, most: int, now: int
) -> Count | Outcome | None:
    """Put up to ``most`` jobs of a tube into another. None: no such tube."""
    tube = broker.directory.tubes.get(name)
    if tube is None:
        return None
    return start(broker, client, moving(broker, tube, state, target, most), now, grows=True)
