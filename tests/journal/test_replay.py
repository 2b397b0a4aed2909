"""Whatever is done to the jobs, and whenever the daemon ends: a restart brings back the same."""

from __future__ import annotations

from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalkd.broker.limits import NS_PER_S
from stalkd.journal.files import Directory
from stalkd.journal.limits import LEAST_SEGMENT
from stalkd.protocol.session import Session
from support.crowd import Crowd
from support.directories import Image, QuickDirectory
from support.journal import EPOCH, LogCore, read

MODES = pytest.mark.parametrize("sync_ms", [0, 50, None], ids=["-f 0", "-f 50", "-F"])


@MODES
@pytest.mark.parametrize("seed", range(6))
def test_any_history_comes_back(directory: QuickDirectory, seed: int, sync_ms: int | None) -> None:
    """Hundreds of commands between restarts, through many segments."""
    crowd = Crowd(LogCore(directory, sync_ms=sync_ms), Random(seed))
    for _ in range(6):
        crowd.work(crowd.random.choice([3, 300, 600]))
        crowd.restart()
    crowd.core.idle()
    assert crowd.core.told == []
    assert crowd.core.log.writer.number > 12, "too few segments to be worth it"
    assert crowd.core.on_disk == directory.stored()


ACTS = st.lists(
    st.tuples(st.sampled_from([*["work"] * 6, "restart"]), st.integers(1, 12)), max_size=12
)


@given(st.integers(0, 2**32), ACTS, st.sampled_from([0, 50, None]))
def test_any_short_history_comes_back(
    seed: int, acts: list[tuple[str, int]], sync_ms: int | None
) -> None:
    """The same, for histories small enough to be understood when they fail."""
    crowd = Crowd(LogCore(Image(), sync_ms=sync_ms), Random(seed))
    for act, count in acts:
        if act == "work":
            crowd.work(count)
        else:
            crowd.restart()
    crowd.restart()


# -- one thing at a time --------------------------------------------------------------------------


def stats(core: LogCore, session: Session, job_id: int) -> dict[str, str]:
    """Return what stats-job says, without the file, which a restart may change."""
    lines = core.ask(session, b"stats-job %d\r\n" % job_id).decode().splitlines()
    fields = dict(line.split(": ") for line in lines if ": " in line)
    del fields["file"]
    return fields


def with_every_state(core: LogCore) -> Session:
    """Put jobs 1 to 5: ready, delayed, buried, reserved, and released with a delay."""
    session = core.connect()
    core.send(session, b"put 9 0 7 1\r\na\r\nput 8 60 7 1\r\nb\r\nput 7 0 7 1\r\nc\r\n")
    core.send(session, b"put 6 0 70 1\r\nd\r\nput 5 0 7 1\r\ne\r\n")
    core.advance(core.now + 3 * NS_PER_S)
    core.send(session, b"reserve-job 3\r\nbury 3 33\r\nreserve-job 4\r\n")
    core.send(session, b"reserve-job 5\r\nrelease 5 55 100\r\nkick-job 2\r\nreserve-job 2\r\n")
    core.send(session, b"release 2 22 50\r\n")
    return session


@MODES
@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
@pytest.mark.parametrize("now", [0, EPOCH])
def test_stats_job_after_a_restart(
    directory: QuickDirectory, sync_ms: int | None, kill: bool, now: int
) -> None:
    """Every field: what was reserved is ready, its reserves stay; ages and delays go on."""
    core = LogCore(directory, sync_ms=sync_ms, now=5)
    session = with_every_state(core)
    before = {number: stats(core, session, number) for number in range(1, 6)}
    assert [job["state"] for job in before.values()] == [
        "ready",
        "delayed",
        "buried",
        "reserved",
        "delayed",
    ]
    core = core.restart(kill=kill, after=10 * NS_PER_S, now=now)
    before[4] |= {"state": "ready", "time-left": "0"}
    for job in before.values():
        job["age"] = str(int(job["age"]) + 10)
    before[2]["time-left"], before[5]["time-left"] = "40", "90"
    assert {number: stats(core, core.connect(), number) for number in range(1, 6)} == before


def test_delays_that_end_while_nobody_runs(directory: QuickDirectory) -> None:
    """Are over at the start."""
    core = LogCore(directory)
    with_every_state(core)
    core = core.restart(after=100 * NS_PER_S)
    states = {number: job.state.value for number, job in core.broker.jobs.items()}
    assert states == {1: "ready", 2: "ready", 3: "buried", 4: "ready", 5: "ready"}


def test_the_order_of_jobs(directory: QuickDirectory) -> None:
    """Is the same in reserve, in kick, and for jobs that are buried before and after."""
    core = LogCore(directory)
    session = core.connect()
    random = Random(1)
    for _ in range(30):
        core.send(session, b"put %d 0 9 0\r\n\r\n" % random.randrange(5))
    core.send(session, b"".join(b"reserve-job %d\r\nbury %d 0\r\n" % (n, n) for n in (9, 3, 7)))
    core = core.restart(kill=True)
    session = core.connect()
    core.send(session, b"reserve-job 5\r\nbury 5 0\r\n")
    expected = core.view()
    core = core.restart()
    session = core.connect()
    core.ask(session, b"")
    assert expected.buried == {"default": [9, 3, 7, 5]}
    replies = core.ask(session, b"peek-buried\r\nkick 1\r\n" * 4).split(b"\r\n")
    assert [int(line.split()[1]) for line in replies if line.startswith(b"FOUND")] == [9, 3, 7, 5]
    core = core.restart()
    session = core.connect()
    replies = core.ask(session, b"reserve\r\n" * 30).split(b"\r\n")
    ids = [int(line.split()[1]) for line in replies if line.startswith(b"RESERVED")]
    assert ids == sorted(range(1, 31), key=lambda n: (core.broker.jobs[n].pri, n))


def test_pauses_go_on(directory: QuickDirectory) -> None:
    """By the wall clock, also of tubes that nobody uses any more; those that ended are over."""
    core = LogCore(directory)
    session = core.connect()
    core.send(session, b"use a\r\nput 0 0 9 0\r\n\r\nwatch b\r\nwatch c\r\nwatch d\r\n")
    core.send(
        session, b"pause-tube a 30\r\npause-tube b 40\r\npause-tube c 5\r\npause-tube d 50\r\n"
    )
    core.send(session, b"pause-tube d 0\r\n")
    core = core.restart(kill=True, after=10 * NS_PER_S, now=EPOCH)
    tubes = core.broker.directory.tubes
    assert sorted(tubes) == ["a", "b", "default"]
    reply = core.ask(core.connect(), b"stats-tube a\r\n")
    assert b"pause: 30\npause-time-left: 20\n" in reply
    core.advance(core.now + 20 * NS_PER_S)
    assert core.ask(core.connect(), b"watch a\r\nreserve\r\n").endswith(b"RESERVED 1 0\r\n\r\n")
    core.advance(core.now + 10 * NS_PER_S)
    assert sorted(tubes) == ["a", "default"]
    core.check()


def test_a_pause_that_outlived_its_tube(directory: QuickDirectory) -> None:
    """The tube goes with it, whether the pause ends by time or by command."""
    core = LogCore(directory)
    core.send(core.connect(), b"watch a\r\nwatch b\r\npause-tube a 60\r\npause-tube b 60\r\n")
    core = core.restart()
    assert core.ask(core.connect(), b"pause-tube a 0\r\n") == b"PAUSED\r\n"
    core.check()
    assert sorted(core.broker.directory.tubes) == ["b", "default"]
    core.advance(core.now + 60 * NS_PER_S)
    core.check()
    assert sorted(core.broker.directory.tubes) == ["default"]


def test_ids_are_never_used_again(directory: QuickDirectory) -> None:
    """Also when the queue was emptied, and the daemon then started again and again."""
    core = LogCore(directory)
    session = core.connect()
    for number in range(1, 51):
        core.send(session, b"put 0 0 9 0\r\n\r\ndelete %d\r\n" % number)
    for kill in (True, False, True, False):
        core.idle()
        core = core.restart(kill=kill)
        assert core.broker.last_id == 50
    assert core.ask(core.connect(), b"put 0 0 9 0\r\n\r\n") == b"INSERTED 51\r\n"


def test_ids_are_never_used_again_when_all_records_of_them_are_gone(
    directory: QuickDirectory,
) -> None:
    """The highest id is remembered by itself."""
    core = LogCore(directory)
    session = core.connect()
    core.send(session, b"put 0 0 9 0\r\n\r\n" * 50)
    core.send(session, b"".join(b"delete %d\r\n" % number for number in range(2, 51)))
    last = core.log.writer.number
    while core.log.bounds.first <= last:
        core.send(session, b"reserve-job 1\r\nrelease 1 0 0\r\n" * 50)
        core.idle()
    for kill in (True, False, True):
        core = core.restart(kill=kill)
        assert core.broker.last_id == 50


@pytest.mark.parametrize("size", [LEAST_SEGMENT - 200, LEAST_SEGMENT, 5 * LEAST_SEGMENT + 1])
def test_jobs_larger_than_a_segment(directory: QuickDirectory, size: int) -> None:
    """Are stored like all others, and copied like all others."""
    core = LogCore(directory)
    session = core.connect()
    for _ in range(3):
        core.send(session, b"put 0 0 9 %d\r\n%b\r\n" % (size, Random(size).randbytes(size)))
        core.send(session, b"put 0 0 9 1\r\nx\r\n")
    expected = core.view()
    core = core.restart(kill=True)
    assert core.view() == expected
    session = core.connect()
    core.send(session, b"delete 1\r\n")
    for _ in range(2000):
        core.send(session, b"reserve-job 6\r\nrelease 6 0 0\r\n")
    core.idle()
    core.check()
    assert core.log.compactor.copied
    assert read(directory, 0, EPOCH)[0].jobs[3].body == Random(size).randbytes(size)


def test_a_smaller_job_limit_keeps_larger_jobs(directory: QuickDirectory) -> None:
    """What -z says counts for puts."""
    core = LogCore(directory)
    core.send(core.connect(), b"put 0 0 9 1000\r\n%b\r\nput 0 0 9 1\r\nx\r\n" % bytes(1000))
    core = core.restart()
    core.shared.max_job_size = 10
    assert core.ask(core.connect(), b"peek 1\r\n") == b"FOUND 1 1000\r\n%b\r\n" % bytes(1000)
    assert set(core.broker.jobs) == {1, 2}


def test_jobs_that_only_half_arrived_are_not_remembered(directory: QuickDirectory) -> None:
    """Their ids were taken, but nobody was told them."""
    core = LogCore(directory)
    core.send(core.connect(), b"put 0 0 9 10\r\nabc")
    core.send(core.connect(), b"put 0 0 9 1\r\nx\r\n")
    core = core.restart(kill=True)
    assert set(core.broker.jobs) == {2}


def test_a_log_without_anything(directory: QuickDirectory) -> None:
    """Starts, ends and starts."""
    core = LogCore(directory)
    for kill in (True, False, True, True, False):
        core = core.restart(kill=kill)
        assert not core.broker.jobs
        assert core.recovered.notes == []
    core.idle()
    core.check()


def test_a_clock_that_went_back(directory: QuickDirectory) -> None:
    """Makes ages 0 and delays longer, and loses nothing."""
    core = LogCore(directory)
    session = with_every_state(core)
    core.send(session, b"pause-tube default 10\r\n")
    bodies = {number: job.body for number, job in core.broker.jobs.items()}
    core = core.restart(after=-3600 * NS_PER_S)
    assert {number: job.body for number, job in core.broker.jobs.items()} == bodies
    fields = stats(core, core.connect(), 2)
    assert (fields["age"], fields["state"], fields["time-left"]) == ("0", "delayed", "3650")
    core.check()


def test_real_files_and_real_syncs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same with nothing left out."""
    with TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as path:
        directory = Directory(tmp_path_factory.getbasetemp() / path)
        crowd = Crowd(LogCore(directory), Random(99))
        for _ in range(3):
            crowd.work(50)
            crowd.restart()
        crowd.core.close()
        directory.close()
