"""What clients were told, and what may be found after a power cut.

The log is a sequence of records; what it recovers is what the first so many of them say. The ledger
notes what each record says, when it was made, and when replies that depend on it were released.
``match`` tells whether something recovered is the outcome of as many records as were promised.
"""

from __future__ import annotations

from dataclasses import astuple

from stalkd.broker.broker import Broker
from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, Job
from stalkd.broker.limits import ID_BITS, NEVER
from stalkd.broker.recorder import Recorder
from stalkd.broker.terms import Terms
from stalkd.broker.tube import Tube

Key = int | str
"""A job's id, a tube's name, or OF_POLICY and a tube's name."""

OF_POLICY = "policy of "

Value = tuple[object, ...] | None
"""All that is remembered of a job, or of a tube's pause or policy; None if there is none."""

Snapshot = dict[Key, Value]

MS = 1_000_000
STATE, ORDER, RESERVES = 6, 7, 8


class Violation(AssertionError):
    """A promise is broken."""


def job_value(job: Job, wall: int) -> Value:
    past = job.past
    order = 0
    if job.state is DELAYED:
        order = (job.key >> ID_BITS) + wall
    elif job.state is BURIED:
        order = job.key >> ID_BITS
    counts = (past.timeouts, past.releases, past.buries, past.kicks) if past else (0, 0, 0, 0)
    return (
        job.tube.name,
        job.pri,
        job.delay,
        job.ttr,
        job.body,
        job.created + wall,
        READY if job.state is RESERVED else job.state,
        order,
        job.reserves,
        *counts,
        terms_value(job.terms, wall),
    )


def terms_value(terms: Terms | None, wall: int) -> Value:
    if terms is None:
        return None
    death = terms.death
    return (
        terms.lease,
        terms.expires + wall if terms.expires != NEVER else NEVER,
        terms.key,
        terms.attempts,
        terms.base,
        terms.dead,
        (death.when + wall, death.reason, death.origin) if death is not None else None,
    )


def policy_value(tube: Tube) -> Value:
    return astuple(tube.policy) if tube.policy is not None else None


def pause_value(tube: Tube, wall: int) -> Value:
    return (tube.paused_until + wall, tube.pause_s) if tube.paused_until else None


def snapshot(broker: Broker, wall: int) -> Snapshot:
    """Return all that a broker has to remember."""
    found: Snapshot = {job.id: job_value(job, wall) for job in broker.jobs.values()}
    for tube in broker.directory.tubes.values():
        if tube.paused_until:
            found[tube.name] = pause_value(tube, wall)
        if tube.policy is not None:
            found[OF_POLICY + tube.name] = policy_value(tube)
    return found


def due(key: Key, value: Value, time: int) -> Value:
    """Return what has become of a value by a time of the wall clock."""
    if value is None or (isinstance(key, str) and key.startswith(OF_POLICY)):
        return value
    if isinstance(key, str):
        until = value[0]
        return value if isinstance(until, int) and until > time else None
    order = value[ORDER]
    if value[STATE] is DELAYED and isinstance(order, int) and order <= time:
        return (*value[:STATE], READY, 0, *value[ORDER + 1 :])
    return value


class Ledger:
    """Records are counted from 1; ``total`` is how many there are.

    ``interval`` is how much acknowledged work may be at risk, in nanoseconds, None: any.
    ``durable`` is the count of records that must be there whatever was acknowledged.
    """

    def __init__(self, interval: int | None, start: Snapshot, last_id: int = 0) -> None:
        self.interval = interval
        self.versions: dict[Key, list[tuple[int, Value]]] = {
            key: [(0, value)] for key, value in start.items()
        }
        self.ids = [last_id]
        self.made_at = [0]
        self.released_at = [0]
        self.is_urgent = [False]
        self.urgent = 0
        self.durable = 0
        self.written = 0

    @property
    def total(self) -> int:
        return len(self.made_at) - 1

    def note(self, key: Key, value: Value, now: int, *, urgent: bool) -> None:
        """Take in a record."""
        self.made_at.append(now)
        self.is_urgent.append(urgent)
        self.ids.append(max(self.ids[-1], key) if isinstance(key, int) else self.ids[-1])
        self.versions.setdefault(key, [(0, None)]).append((self.total, value))
        if urgent:
            self.urgent = self.total

    def latest(self, key: Key) -> Value:
        return self.versions[key][-1][1]

    def wrote(self, now: int) -> None:
        """Note that all records have been written; until then none can have been released."""
        self.made_at[self.written + 1 :] = [now] * (self.total - self.written)
        self.written = self.total

    def release(self, upto: int, now: int) -> None:
        """Note that all replies that depend on the first ``upto`` records have left."""
        missing = upto + 1 - len(self.released_at)
        self.released_at += [now] * missing

    @property
    def acknowledged(self) -> int:
        return len(self.released_at) - 1

    @property
    def given(self) -> int:
        """The last id that somebody knows."""
        return self.ids[self.floor()]

    def floor(self) -> int:
        """Return how many records must be there."""
        if self.interval is None:
            return self.durable
        count = self.acknowledged
        last = self.released_at[count]
        while count > self.durable:
            at_risk = last - self.made_at[count] < self.interval
            if self.is_urgent[count] and not at_risk:
                break
            count -= 1
        return max(count, self.durable)

    def match(self, found: Snapshot, last_id: int, time: int) -> int:
        """Return the largest number of records that has this outcome. Raises Violation."""
        if strangers := found.keys() - self.versions.keys():
            raise Violation(f"{strangers} never existed")
        floor = self.floor()
        wrong = bytearray(self.total + 2)
        wrong[:floor] = b"1" * floor
        for key, versions in self.versions.items():
            value = found.get(key)
            end = self.total + 1
            for start, known in reversed(versions):
                if due(key, known, time) != value:
                    wrong[start:end] = b"1" * (end - start)
                end = start
                if end <= floor:
                    break
            if wrong.find(0, floor) > self.total:
                raise Violation(self._differs(key, value, floor))
        first, count = wrong.find(0), wrong.rfind(0, 0, self.total + 1)
        if last_id < self.ids[first]:
            raise Violation(f"the last id is {last_id}, but {self.ids[first]} was given out")
        return count

    def _differs(self, key: Key, value: Value, floor: int) -> str:
        return (
            f"{key!r} is {_short(value)}, of {[(n, _short(v)) for n, v in self.versions[key]]};"
            f" {floor} of {self.total} records must be there ({self.acknowledged} acknowledged)"
        )


def _short(value: Value) -> object:
    if value is None:
        return None
    return tuple(f"<{len(part)}>" if isinstance(part, bytes) else part for part in value)


class Tap(Recorder):
    """Tells the ledger of each record before the log gets it."""

    def __init__(self, inner: Recorder, ledger: Ledger, wall: int) -> None:
        self._inner = inner
        self._ledger = ledger
        self._wall = wall
        self.now = 0

    def _note(self, job: Job, *, urgent: bool) -> None:
        self._ledger.note(job.id, job_value(job, self._wall), self.now, urgent=urgent)

    def put(self, job: Job) -> None:
        self._note(job, urgent=True)
        self._inner.put(job)

    def reserved(self, job: Job) -> None:
        """Only these are written now; the rest of a kick or release follows."""
        value = self._ledger.latest(job.id)
        assert value is not None
        value = (*value[:STATE], READY, 0, job.reserves, *value[RESERVES + 1 :])
        self._ledger.note(job.id, value, self.now, urgent=False)
        self._inner.reserved(job)

    def changed(self, job: Job) -> None:
        self._note(job, urgent=True)
        self._inner.changed(job)

    def expired(self, job: Job) -> None:
        self._note(job, urgent=False)
        self._inner.expired(job)

    def deleted(self, job: Job) -> None:
        self._ledger.note(job.id, None, self.now, urgent=True)
        self._inner.deleted(job)

    def paused(self, tube: Tube) -> None:
        self._ledger.note(tube.name, pause_value(tube, self._wall), self.now, urgent=True)
        self._inner.paused(tube)

    def changing(self, job: Job) -> None:
        self._inner.changing(job)

    def moved(self, job: Job) -> None:
        self._note(job, urgent=True)
        self._inner.moved(job)

    def deciding(self, tube: Tube) -> None:
        self._inner.deciding(tube)

    def decided(self, tube: Tube) -> None:
        self._ledger.note(OF_POLICY + tube.name, policy_value(tube), self.now, urgent=True)
        self._inner.decided(tube)
