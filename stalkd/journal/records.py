"""What is remembered, as bytes: one record for each change. The format is in stalkd-wal(5).

A record sets values and never adds to them, so reading one twice does no harm. Times are wall
clock, in nanoseconds since 1970: what is encoded gets ``wall``, the wall clock's lead over the
broker's clock.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, Job, Past, State
from stalkd.broker.limits import ID_BITS
from stalkd.broker.policy import NO_POLICY, Policy
from stalkd.journal.terms import TermsRecord, pack_terms, unpack_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalkd.broker.tube import Tube

CHECKPOINT: Final = 1
JOB: Final = 2
CHANGE: Final = 3
RESERVE: Final = 4
DELETE: Final = 5
PAUSE: Final = 6
TERMED: Final = 7
MOVED: Final = 8
POLICY: Final = 9

_STATES: Final = (READY, DELAYED, BURIED)
_CODES: Final = {READY: 0, DELAYED: 1, BURIED: 2, RESERVED: 0}
"""A reserved job is remembered as ready: that is how a restart brings it back."""

_NO_PAST: Final = (0, 0, 0, 0)

_MOST: Final = (1 << 32) - 1
"""Counters stop here in the log: four thousand million reserves of one job."""

_CHECKPOINT = Struct("<BQQQQq")
_JOB = Struct("<BQIIIqBqIIIIIB")
_FRESH_JOB = Struct("<BQIIIq29xB")
"""_JOB for a job that is ready and has no past: zeros between ``created`` and the name's length."""
_CHANGE = Struct("<BQIIBqIIIII")
_RESERVE = Struct("<BQI")
_DELETE = Struct("<BQ")
_PAUSE = Struct("<BqIB")
_POLICY = Struct("<BIQIIIQBB")

CHECKPOINT_SIZE: Final = _CHECKPOINT.size
"""Bytes of a CHECKPOINT record."""

PAUSE_FIXED: Final = _PAUSE.size
"""Bytes of a PAUSE record besides the tube's name."""

POLICY_FIXED: Final = _POLICY.size
"""Bytes of a POLICY record besides the names of the tube and of the one for its dead jobs."""

JOB_FIXED: Final = _JOB.size
"""Bytes of a JOB record besides the tube's name and the body."""


class MalformedError(Exception):
    """A record is intact, but is none of those that this version writes."""


class Checkpoint(NamedTuple):
    """Where the log begins, up to where it is on disk for certain, and the highest id given."""

    first: int
    synced_segment: int
    synced_offset: int
    last_id: int
    time: int


class JobRecord(NamedTuple):
    """All about a job. ``order`` is when its delay ends, or its place among the buried."""

    id: int
    pri: int
    delay: int
    ttr: int
    created: int
    state: State
    order: int
    reserves: int
    timeouts: int
    releases: int
    buries: int
    kicks: int
    tube: str
    body: bytes


class Change(NamedTuple):
    """What a release, bury, kick or the end of a lease changes."""

    id: int
    pri: int
    delay: int
    state: State
    order: int
    reserves: int
    timeouts: int
    releases: int
    buries: int
    kicks: int


class Reserve(NamedTuple):
    """A job was reserved; it counts as ready from now on."""

    id: int
    reserves: int


class Delete(NamedTuple):
    """A job is gone."""

    id: int


class Pause(NamedTuple):
    """A tube is paused until a time (0: no more), as asked for in seconds."""

    until: int
    seconds: int
    tube: str


class Termed(NamedTuple):
    """All about a job that has terms."""

    job: JobRecord
    terms: TermsRecord


class Moved(NamedTuple):
    """A job has another tube, or other terms; ``job`` is all about it but the body."""

    job: JobRecord
    terms: TermsRecord


class PolicyRecord(NamedTuple):
    """A tube has a policy; none any more, if it is all zeros."""

    tube: str
    policy: Policy


Record = Checkpoint | JobRecord | Change | Reserve | Delete | Pause | Termed | Moved | PolicyRecord


# -- from the broker's objects to bytes -----------------------------------------------------------


def pack_job(job: Job, wall: int) -> bytes:
    """Return the whole record of a job."""
    past = job.past
    name = job.tube.name.encode("ascii")
    if job.terms is not None:
        return _pack_whole(TERMED, job, wall) + job.body
    if job.state is READY and past is None and not job.reserves:
        created = job.created + wall
        fixed = _FRESH_JOB.pack(JOB, job.id, job.pri, job.delay, job.ttr, created, len(name))
        return fixed + name + job.body
    return _pack_fixed(JOB, job, wall, len(name)) + name + job.body


def pack_moved(job: Job, wall: int) -> bytes:
    """Return the record of a job's new tube and terms, or none."""
    return _pack_whole(MOVED, job, wall)


def _pack_whole(kind: int, job: Job, wall: int) -> bytes:
    name = job.tube.name.encode("ascii")
    return _pack_fixed(kind, job, wall, len(name)) + name + pack_terms(job.terms, wall)


def _pack_fixed(kind: int, job: Job, wall: int, name_size: int) -> bytes:
    past = job.past
    return _JOB.pack(
        kind,
        job.id,
        job.pri,
        job.delay,
        job.ttr,
        job.created + wall,
        _CODES[job.state],
        _order(job, wall),
        min(job.reserves, _MOST),
        *(_NO_PAST if past is None else _counts(past)),
        name_size,
    )


def pack_change(job: Job, wall: int) -> bytes:
    """Return the record of a job's change."""
    past = job.past
    return _CHANGE.pack(
        CHANGE,
        job.id,
        job.pri,
        job.delay,
        _CODES[job.state],
        _order(job, wall),
        min(job.reserves, _MOST),
        *(_NO_PAST if past is None else _counts(past)),
    )


def _order(job: Job, wall: int) -> int:
    if job.state is DELAYED:
        return (job.key >> ID_BITS) + wall
    return job.key >> ID_BITS if job.state is BURIED else 0


def _counts(past: Past) -> Iterator[int]:
    counts = (past.timeouts, past.releases, past.buries, past.kicks)
    return (min(count, _MOST) for count in counts)


def pack_reserve(job: Job) -> bytes:
    """Return the record of a reserve."""
    return _RESERVE.pack(RESERVE, job.id, min(job.reserves, _MOST))


def pack_delete(job_id: int) -> bytes:
    """Return the record of a job's end."""
    return _DELETE.pack(DELETE, job_id)


def pack_pause(tube: Tube, wall: int) -> bytes:
    """Return the record of a tube's pause, or of its end."""
    name = tube.name.encode("ascii")
    until = tube.paused_until + wall if tube.paused_until else 0
    return _PAUSE.pack(PAUSE, until, tube.pause_s, len(name)) + name


def pack_policy(tube: Tube) -> bytes:
    """Return the record of a tube's policy, or that it has none."""
    policy = tube.policy or NO_POLICY
    name, dead = tube.name.encode("ascii"), policy.dead.encode("ascii")
    fixed = _POLICY.pack(
        POLICY,
        policy.attempts,
        policy.ttl,
        policy.max_jobs,
        policy.rate,
        policy.concurrency,
        policy.ageing,
        len(name),
        len(dead),
    )
    return fixed + name + dead


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the record of a checkpoint."""
    return _CHECKPOINT.pack(CHECKPOINT, *checkpoint)


# -- from bytes to records ------------------------------------------------------------------------


def unpack(payload: bytes) -> Record:
    """Return what a payload says. Raises MalformedError."""
    reader = _READERS.get(payload[0])
    if reader is None:
        raise MalformedError(f"a record of unknown kind {payload[0]}")
    try:
        return reader(payload)
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise MalformedError(f"a malformed record of kind {payload[0]}") from error


def _read_checkpoint(payload: bytes) -> Checkpoint:
    return Checkpoint(*_CHECKPOINT.unpack(payload)[1:])


def _read_job(payload: bytes) -> JobRecord:
    fields, body_start = _read_fixed(payload)
    return JobRecord._make((*fields, payload[body_start:]))


def _read_fixed(payload: bytes) -> tuple[tuple[Any, ...], int]:
    """Return all fields of a job but the body, and where they end."""
    fields = _JOB.unpack_from(payload)
    end = JOB_FIXED + fields[13]
    name = payload[JOB_FIXED:end]
    if not name or len(name) < fields[13]:
        raise MalformedError("a job without a whole tube name")
    return (*fields[1:6], _STATES[fields[6]], *fields[7:13], name.decode("ascii")), end


def _read_termed(payload: bytes) -> Termed:
    fields, end = _read_fixed(payload)
    terms, body_start = unpack_terms(payload, end)
    return Termed(JobRecord._make((*fields, payload[body_start:])), terms)


def _read_moved(payload: bytes) -> Moved:
    fields, start = _read_fixed(payload)
    terms, end = unpack_terms(payload, start)
    if end != len(payload):
        raise MalformedError("something behind a job's terms")
    return Moved(JobRecord._make((*fields, b"")), terms)


def _read_policy(payload: bytes) -> PolicyRecord:
    _, attempts, ttl, max_jobs, rate, concurrency, ageing, name_size, dead_size = (
        _POLICY.unpack_from(payload)
    )
    names = payload[POLICY_FIXED:].decode("ascii")
    if not name_size or len(names) != name_size + dead_size:
        raise MalformedError("a policy without whole tube names")
    dead = names[name_size:]
    policy = Policy(attempts, dead, ttl, max_jobs, rate, concurrency, ageing)
    return PolicyRecord(names[:name_size], policy)


def _read_change(payload: bytes) -> Change:
    fields = _CHANGE.unpack(payload)
    return Change._make((*fields[1:4], _STATES[fields[4]], *fields[5:]))


def _read_reserve(payload: bytes) -> Reserve:
    return Reserve(*_RESERVE.unpack(payload)[1:])


def _read_delete(payload: bytes) -> Delete:
    return Delete(_DELETE.unpack(payload)[1])


def _read_pause(payload: bytes) -> Pause:
    _, until, seconds, length = _PAUSE.unpack_from(payload)
    name = payload[_PAUSE.size :]
    if not name or len(name) != length:
        raise MalformedError("a pause without a whole tube name")
    return Pause(until, seconds, name.decode("ascii"))


_READERS: Final[dict[int, Callable[[bytes], Record]]] = {
    CHECKPOINT: _read_checkpoint,
    JOB: _read_job,
    CHANGE: _read_change,
    RESERVE: _read_reserve,
    DELETE: _read_delete,
    PAUSE: _read_pause,
    TERMED: _read_termed,
    MOVED: _read_moved,
    POLICY: _read_policy,
}
