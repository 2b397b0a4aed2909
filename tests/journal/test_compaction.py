"""Whatever clients do, the log stays small, nothing gets lost by that, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from stalkd.journal.frames import FRAME_SIZE
from stalkd.journal.limits import COPY_STEP, LEAST_SEGMENT, MANY_SEGMENTS
from stalkd.journal.records import CHECKPOINT_SIZE
from stalkd.journal.segment import segment_name
from support.directories import QuickDirectory
from support.journal import MS, LogCore

MODES = pytest.mark.parametrize("sync_ms", [0, 50, None], ids=["-f 0", "-f 50", "-F"])

ROUNDS = 600
REST_EVERY = 30

LARGEST = 100_000
"""Bytes of the largest body put here."""

Mix = Iterator[bytes]


def put(size: int, delay: int = 0) -> bytes:
    return b"put 0 %d 9 %d\r\n%b\r\n" % (delay, size, bytes(size))


def first_in_first_out(core: LogCore, random: Random) -> Mix:
    number = 0
    while True:
        yield put(random.randrange(900)) * 8
        yield b"".join(
            b"reserve-job %d\r\ndelete %d\r\n" % (n, n) for n in range(number, number + 9)
        )
        number += 8


def any_order(core: LogCore, random: Random) -> Mix:
    while True:
        yield put(random.randrange(900)) * 6
        jobs = list(core.broker.jobs)
        victims = random.sample(jobs, min(len(jobs), 6 if len(jobs) > 200 else 5))
        yield b"".join(b"delete %d\r\n" % number for number in victims)


def released_for_ever(core: LogCore, random: Random) -> Mix:
    yield put(500) * 50
    while True:
        chosen = random.sample(range(1, 51), 10)
        yield b"".join(b"reserve-job %d\r\nrelease %d 0 60\r\n" % (n, n) for n in chosen)


def buried_and_kicked(core: LogCore, random: Random) -> Mix:
    yield put(300) * 100
    while True:
        chosen = random.sample(range(1, 101), 8)
        yield b"".join(b"reserve-job %d\r\nbury %d 5\r\n" % (n, n) for n in chosen) + b"kick 7\r\n"


def long_lived_under_churn(core: LogCore, random: Random) -> Mix:
    yield put(1000) * 60
    number = 61
    while True:
        yield put(600, delay=random.choice([0, 9])) * 5
        yield b"".join(b"delete %d\r\n" % n for n in range(number, number + 5))
        number += 5


def large_bodies(core: LogCore, random: Random) -> Mix:
    number = 0
    while True:
        yield put(random.choice([100, 20_000, 40_000, LARGEST]))
        number += 1
        yield b"delete %d\r\n" % (number - 4)


def many_pauses(core: LogCore, random: Random) -> Mix:
    tubes = [b"t%d" % number for number in range(300)]
    yield b"".join(b"watch %b\r\n" % tube for tube in tubes)
    while True:
        seconds = random.choice([0, 1, 3600])
        yield b"".join(b"pause-tube %b %d\r\n" % (t, seconds) for t in random.sample(tubes, 20))


MIXES = [
    first_in_first_out,
    any_order,
    released_for_ever,
    buried_and_kicked,
    long_lived_under_churn,
    large_bodies,
    many_pauses,
]


def limit(core: LogCore) -> int:
    """What the log may take when it is at rest."""
    return 2 * core.live() + 2 * core.options.segment_bytes


def must_be_small(core: LogCore, directory: QuickDirectory) -> None:
    """At rest, the files take no more than they may, and each of them is needed."""
    core.idle()
    assert directory.stored() == core.on_disk
    assert directory.stored() <= limit(core)
    names = {segment_name(number) for number in core.log.segments}
    assert set(directory.names()) == {*names, "reserve"}
    assert core.log.bounds.first == min(core.log.segments)


@MODES
@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.__name__)
def test_the_log_stays_small(
    directory: QuickDirectory, mix: Callable[[LogCore, Random], Mix], sync_ms: int | None
) -> None:
    """Whatever is done to the jobs, and while it is done.

    Meanwhile it may be larger by half a segment and two of the largest jobs, and by the files that
    go with the next sync.
    """
    core = LogCore(directory, sync_ms=sync_ms)
    session, random = core.connect(), Random(1)
    commands = mix(core, random)
    slack = LEAST_SEGMENT // 2 + 2 * LARGEST * (mix is large_bodies)
    for number in range(1, ROUNDS + 1):
        core.advance(core.now + MS)
        core.send(session, next(commands))
        assert directory.stored() <= limit(core) + core.log.bounds.doomed_bytes + slack
        if number % REST_EVERY == 0:
            must_be_small(core, directory)
            core.check()
    assert core.log.writer.number > 8, "too few segments to be worth it"
    expected = core.view()
    assert core.restart(kill=True).view() == expected


@MODES
def test_everything_is_deleted(directory: QuickDirectory, sync_ms: int | None) -> None:
    """In any order, at once: nothing of it stays."""
    core = LogCore(directory, sync_ms=sync_ms)
    session, random = core.connect(), Random(2)
    core.send(session, put(3000) * 200)
    core.send(session, b"watch a\r\npause-tube a 60\r\n")
    must_be_small(core, directory)
    numbers = list(range(1, 201))
    random.shuffle(numbers)
    core.send(session, b"".join(b"delete %d\r\n" % number for number in numbers))
    core.send(session, b"pause-tube a 0\r\n")
    must_be_small(core, directory)
    assert core.live() == 0
    assert directory.stored() <= 2 * LEAST_SEGMENT
    core = core.restart()
    assert not core.broker.jobs
    assert core.broker.last_id == 200


@MODES
@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
def test_many_restarts(directory: QuickDirectory, sync_ms: int | None, kill: bool) -> None:
    """Each begins a file; these are joined, however small they are."""
    core = LogCore(directory, sync_ms=sync_ms)
    core.send(core.connect(), put(700) * 100 + b"watch a\r\npause-tube a 99999\r\n")
    for _ in range(100):
        core.send(core.connect(), put(10))
        core.idle()
        expected = core.view()
        core = core.restart(kill=kill)
        assert core.view() == expected
        assert len(directory.names()) <= MANY_SEGMENTS + 2 * directory.stored() // LEAST_SEGMENT + 3
    must_be_small(core, directory)
    core.check()


def test_a_log_written_with_larger_segments(directory: QuickDirectory) -> None:
    """A smaller -s takes effect: the limit is that of the new size."""
    core = LogCore(directory, segment_bytes=20 * LEAST_SEGMENT)
    session = core.connect()
    core.send(session, put(900) * 1000)
    core.send(session, b"".join(b"delete %d\r\n" % number for number in range(1, 991)))
    core.idle()
    core = core.restart(segment_bytes=LEAST_SEGMENT)
    must_be_small(core, directory)
    assert directory.stored() < 4 * LEAST_SEGMENT
    assert sorted(core.broker.jobs) == list(range(991, 1001))


# -- nobody waits for it --------------------------------------------------------------------------


def appended(core: LogCore) -> int:
    """Bytes appended so far, written or not."""
    writer = core.log.writer
    return writer.total + writer.position - writer.written


def most_at_once(core: LogCore) -> int:
    """Let the log compact to its end; return how many bytes it copied at most in one go."""
    most, before = 0, core.log.compactor.copied
    core.log.compactor.segment_bytes = 1  # As if the limit were far exceeded.
    for _ in range(10_000):
        start = appended(core)
        core.log.compact(core.now)
        most = max(most, appended(core) - start)
        core.log.write(core.now, core.wall)
        core.now += 100 * MS
        core.sync()
        if not core.log.is_compacting or core.log.compactor.copied - before > 10_000:
            break
    assert core.log.compactor.copied > before
    return most


MARKS = 3 * (FRAME_SIZE + CHECKPOINT_SIZE)
"""What may have to be written besides: where segments begin."""


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_step_is_small(directory: QuickDirectory, size: int) -> None:
    """However large the segments: the clients have their turn soon."""
    core = LogCore(directory, segment_bytes=16 << 20)
    session = core.connect()
    for _ in range(10):
        core.send(session, put(size) * 200)
    core.send(session, put(100))
    assert most_at_once(core) <= COPY_STEP + size + 300 + MARKS


def test_a_step_is_small_for_pauses_too(directory: QuickDirectory) -> None:
    """Thousands of them, all of tubes with long names."""
    core = LogCore(directory, segment_bytes=16 << 20)
    session = core.connect()
    for number in range(3000):
        name = b"%d" % number + b"x" * 190
        core.send(session, b"watch %b\r\npause-tube %b 3600\r\n" % (name, name))
    assert most_at_once(core) <= COPY_STEP + 300 + MARKS


def test_a_step_looks_at_few_jobs(directory: QuickDirectory) -> None:
    """A segment in which a hundred thousand jobs came and went is not gone through at once."""
    core = LogCore(directory, segment_bytes=16 << 20)
    session = core.connect()
    for start in range(0, 50_000, 500):
        batch = range(start + 1, start + 501)
        core.send(session, put(0) * 500)
        core.send(session, b"".join(b"delete %d\r\n" % number for number in batch))
    core.send(session, put(0))
    steps, oldest = 0, core.log.writer.number
    while oldest in core.log.segments:
        core.log.compactor._step(COPY_STEP)
        steps += 1
    assert steps >= 3
    assert core.log.compactor.copied == 1
