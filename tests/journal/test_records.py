"""Records as bytes: what goes in comes out, and what is no record is refused by one exception."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, Job
from stalkd.broker.limits import ID_BITS, NEVER, NS_PER_S
from stalkd.broker.policy import NO_POLICY, Policy
from stalkd.broker.terms import Death, Reason, Terms
from stalkd.broker.tube import Tube
from stalkd.journal.recorder import job_size, pause_size, policy_size
from stalkd.journal.records import (
    JOB_FIXED,
    PAUSE_FIXED,
    TERMED,
    Change,
    Checkpoint,
    Delete,
    JobRecord,
    MalformedError,
    Moved,
    Pause,
    PolicyRecord,
    Reserve,
    Termed,
    pack_change,
    pack_checkpoint,
    pack_delete,
    pack_job,
    pack_moved,
    pack_pause,
    pack_policy,
    pack_reserve,
    unpack,
)
from stalkd.protocol.limits import MAX_RATE
from support.journal import EPOCH

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
COUNTS = st.one_of(U32, st.just(2**32 - 1), st.integers(2**32, 2**70))
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=250)
TUBES = st.one_of(st.just(""), NAMES)
WALLS = st.integers(-EPOCH, EPOCH)
LONGEST_DELAY = (2**32 - 1) * NS_PER_S
STATES = st.sampled_from([READY, RESERVED, DELAYED, BURIED])
MOST = 2**32 - 1


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any job that there can be, its counters higher than a log can tell."""
    tube = Tube(draw(NAMES), 0)
    times = st.integers(0, EPOCH)
    body = draw(st.binary(max_size=300))
    job = Job(draw(U64), tube, draw(U32), draw(U32), draw(U32), body, draw(times))
    job.state = draw(STATES)
    job.key = (draw(times) + draw(st.sampled_from([0, LONGEST_DELAY]))) << ID_BITS | job.id
    job.reserves = draw(COUNTS)
    if draw(st.booleans()):
        past = job.marked()
        past.timeouts, past.releases = draw(COUNTS), draw(COUNTS)
        past.buries, past.kicks = draw(COUNTS), draw(COUNTS)
    return job


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    """Any terms that a job can have."""
    terms = Terms(draw(st.integers(1, LONGEST_DELAY)))
    terms.expires = draw(st.one_of(st.just(NEVER), st.integers(1, EPOCH + LONGEST_DELAY)))
    terms.key, terms.dead = draw(KEYS), draw(TUBES)
    terms.attempts, terms.base = draw(U32), draw(COUNTS)
    if draw(st.booleans()):
        reason = draw(st.sampled_from(list(Reason)))
        terms.death = Death(draw(st.integers(0, EPOCH)), reason, draw(NAMES))
    return terms


POLICIES = st.builds(
    Policy,
    attempts=U32,
    dead=TUBES,
    ttl=st.integers(0, LONGEST_DELAY + NS_PER_S),
    max_jobs=U32,
    rate=st.integers(0, MAX_RATE * 1000),
    concurrency=U32,
    ageing=st.integers(0, MOST * 1000 + 999),
)


def what_changes(job: Job, wall: int) -> tuple[object, ...]:
    """Return what both JOB and CHANGE say of a job's place and its past."""
    order = {DELAYED: (job.key >> ID_BITS) + wall, BURIED: job.key >> ID_BITS}.get(job.state, 0)
    past = job.marked()
    counts = (job.reserves, past.timeouts, past.releases, past.buries, past.kicks)
    state = READY if job.state is RESERVED else job.state
    return state, order, *(min(count, MOST) for count in counts)


@given(jobs(), WALLS)
def test_a_job_comes_back(job: Job, wall: int) -> None:
    """All of it; a reserved one as ready; counters up to four thousand million."""
    expected = (job.id, job.pri, job.delay, job.ttr, job.created + wall)
    record = unpack(pack_job(job, wall))
    assert isinstance(record, JobRecord)
    assert tuple(record) == (*expected, *what_changes(job, wall), job.tube.name, job.body)


@given(jobs(), WALLS)
def test_a_change_comes_back(job: Job, wall: int) -> None:
    """Priority, delay, place and counters."""
    expected = (job.id, job.pri, job.delay, *what_changes(job, wall))
    record = unpack(pack_change(job, wall))
    assert isinstance(record, Change)
    assert tuple(record) == expected


def same_terms(found: Terms | None, terms: Terms) -> None:
    assert found is not None
    assert (found.lease, found.expires) == (terms.lease, terms.expires)
    assert (found.key, found.dead, found.death) == (terms.key, terms.dead, terms.death)
    assert (found.attempts, found.base) == (terms.attempts, min(terms.base, MOST))


@given(jobs(), any_terms(), WALLS)
def test_a_job_with_terms_comes_back(job: Job, terms: Terms, wall: int) -> None:
    """All of it, and all of them."""
    plain = unpack(pack_job(job, wall))
    job.terms = terms
    payload = pack_job(job, wall)
    record = unpack(payload)
    assert payload[0] == TERMED
    assert isinstance(record, Termed)
    assert record.job == plain
    same_terms(record.terms.terms(wall), terms)


@given(jobs(), st.one_of(st.none(), any_terms()), WALLS)
def test_a_move_comes_back(job: Job, terms: Terms | None, wall: int) -> None:
    """All but the body; also that a job has no terms."""
    plain = unpack(pack_job(job, wall))
    job.terms = terms
    record = unpack(pack_moved(job, wall))
    assert isinstance(record, Moved)
    assert isinstance(plain, JobRecord)
    assert record.job == plain._replace(body=b"")
    if terms is None:
        assert record.terms.terms(wall) is None
    else:
        same_terms(record.terms.terms(wall), terms)


@given(NAMES, POLICIES)
def test_a_policy_comes_back(name: str, policy: Policy) -> None:
    """Every rule, to its limit; none is all zeros."""
    tube = Tube(name, 0)
    assert unpack(pack_policy(tube)) == PolicyRecord(name, NO_POLICY)
    tube.policy = policy
    assert unpack(pack_policy(tube)) == PolicyRecord(name, policy)


@given(jobs())
def test_a_reserve_and_a_delete_come_back(job: Job) -> None:
    """The id, and how often it was reserved."""
    assert unpack(pack_reserve(job)) == Reserve(job.id, min(job.reserves, MOST))
    assert unpack(pack_delete(job.id)) == Delete(job.id)


@given(NAMES, U32, st.integers(0, EPOCH + LONGEST_DELAY), WALLS)
def test_a_pause_comes_back(name: str, seconds: int, until: int, wall: int) -> None:
    """When it ends by the wall clock; 0 for one that has ended, whatever the clock says."""
    tube = Tube(name, 0)
    tube.pause_s, tube.paused_until = seconds, until
    payload = pack_pause(tube, wall)
    assert unpack(payload) == Pause(until + wall if until else 0, seconds, name)


@given(U64, U64, U64, U64, st.integers(-(2**63), 2**63 - 1))
def test_a_checkpoint_comes_back(first: int, segment: int, offset: int, last: int, at: int) -> None:
    """Every field, to its limit."""
    checkpoint = Checkpoint(first, segment, offset, last, at)
    assert unpack(pack_checkpoint(checkpoint)) == checkpoint


@given(jobs(), any_terms(), POLICIES)
def test_sizes_are_known_without_packing(job: Job, terms: Terms, policy: Policy) -> None:
    """What is counted as live is what is written."""
    tube = job.tube
    frame = job_size(job) - JOB_FIXED - len(tube.name) - len(job.body)
    assert job_size(job) == frame + len(pack_job(job, 0))
    assert pause_size(tube) == frame + len(pack_pause(tube, 0))
    job.terms, tube.policy = terms, policy
    assert job_size(job) == frame + len(pack_job(job, 0))
    assert policy_size(tube) == frame + len(pack_policy(tube))


# -- what is no record ----------------------------------------------------------------------------

EXAMPLE = Job(1, Tube("a tube", 0), 2, 3, 4, b"body", 5)
EXAMPLE.key = 6 << ID_BITS | 1

TERMED_EXAMPLE = Job(1, Tube("a tube", 0), 2, 3, 4, b"body", 5)
TERMED_EXAMPLE.key = 6 << ID_BITS | 1
TERMED_EXAMPLE.terms = Terms(7)
TERMED_EXAMPLE.terms.key, TERMED_EXAMPLE.terms.dead = "key", "dead"
TERMED_EXAMPLE.terms.death = Death(8, Reason.RELEASED, "origin")
TERMED_EXAMPLE.tube.policy = Policy(attempts=1, dead="dead")

FIXED = [
    pack_checkpoint(Checkpoint(1, 2, 3, 4, 5)),
    pack_change(EXAMPLE, 0),
    pack_reserve(EXAMPLE),
    pack_delete(1),
    pack_pause(EXAMPLE.tube, 0),
    pack_moved(EXAMPLE, 0),
    pack_moved(TERMED_EXAMPLE, 0),
    pack_policy(EXAMPLE.tube),
    pack_policy(TERMED_EXAMPLE.tube),
]
"""One record of each kind whose length is not free."""

WHOLE = [*FIXED, pack_job(EXAMPLE, 0), pack_job(TERMED_EXAMPLE, 0)]


@given(
    st.one_of(st.binary(min_size=1), st.builds(bytes.__add__, st.sampled_from(WHOLE), st.binary()))
)
@example(bytes(1))
@example(b"\xff")
def test_any_bytes_are_a_record_or_malformed(payload: bytes) -> None:
    """No other exception leaves the reader."""
    with suppress(MalformedError):
        unpack(payload)


@given(st.sampled_from(WHOLE), st.data())
def test_any_damage_is_a_record_or_malformed(payload: bytes, data: st.DataObject) -> None:
    """The same for what nearly is a record."""
    damaged = bytearray(payload)
    for place in data.draw(st.lists(st.integers(0, len(payload) - 1), min_size=1)):
        damaged[place] = data.draw(st.integers(0, 255))
    with suppress(MalformedError):
        unpack(bytes(damaged))


@pytest.mark.parametrize("payload", FIXED, ids=lambda payload: f"kind {payload[0]}, {len(payload)}")
def test_a_record_of_another_length_is_malformed(payload: bytes) -> None:
    """Shorter by any number of bytes, or longer."""
    for size in range(1, len(payload)):
        with pytest.raises(MalformedError, match=f"malformed record of kind {payload[0]}|whole"):
            unpack(payload[:size])
    with pytest.raises(MalformedError):
        unpack(payload + b"\0")


def test_a_job_without_its_whole_name_is_malformed() -> None:
    """Up to the body, which may be empty."""
    payload = pack_job(EXAMPLE, 0)
    name_ends = JOB_FIXED + len("a tube")
    for size in range(1, name_ends):
        with pytest.raises(MalformedError):
            unpack(payload[:size])
    record = unpack(payload[:name_ends])
    assert isinstance(record, JobRecord)
    assert record.body == b""


def test_names_are_never_empty_and_always_ascii() -> None:
    """Neither a job's nor a pause's."""
    job, pause = bytearray(pack_job(EXAMPLE, 0)), bytearray(pack_pause(EXAMPLE.tube, 0))
    for payload, fixed in ((job, JOB_FIXED), (pause, PAUSE_FIXED)):
        for length, name in ((0, b""), (6, b"\xe4 tube")):
            damaged = payload[:fixed] + name
            damaged[fixed - 1] = length
            with pytest.raises(MalformedError):
                unpack(bytes(damaged))


def test_an_unknown_kind_is_named() -> None:
    """So that the operator can be told."""
    for kind in (0, *range(10, 256)):
        with pytest.raises(MalformedError, match=f"unknown kind {kind}$"):
            unpack(bytes([kind]) + b"anything")


def test_an_unknown_state_is_malformed() -> None:
    """In a job as in a change."""
    for payload, place in ((pack_job(EXAMPLE, 0), 29), (pack_change(EXAMPLE, 0), 17)):
        assert payload[place] == 1, "the example is delayed"
        with pytest.raises(MalformedError):
            unpack(payload[:place] + b"\3" + payload[place + 1 :])
