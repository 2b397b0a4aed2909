"""A full disk: puts are refused, everything else goes on for ever, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from stalkd.broker.limits import NEVER
from stalkd.journal.limits import LEAST_SEGMENT, NEWS_NS, RETRY_NS
from stalkd.journal.news import Fullness
from stalkd.protocol.session import Session
from support.crowd import Crowd
from support.journal import MS, LogCore
from support.quota import SmallDisk

MODES = pytest.mark.parametrize("sync_ms", [0, 50, None], ids=["-f 0", "-f 50", "-F"])

DISK = 12 * LEAST_SEGMENT

INSERTED, REFUSED = b"INSERTED", b"OUT_OF_MEMORY"


def put(core: LogCore, session: Session, size: int = 700) -> bytes:
    """Put a job; return the first word of the reply."""
    reply = core.ask(session, b"put 0 0 9 %d\r\n%b\r\n" % (size, bytes(size)))
    return reply.split()[0]


def fill(core: LogCore, session: Session) -> int:
    """Put until it is refused; return how many jobs there are."""
    while put(core, session) == INSERTED:
        core.advance(core.now + MS)
    return len(core.broker.jobs)


def full_log(sync_ms: int | None, disk: SmallDisk | None = None) -> tuple[LogCore, Session]:
    """A log on a full disk, and a client."""
    core = LogCore(disk or SmallDisk(DISK), sync_ms=sync_ms)
    session = core.connect()
    assert fill(core, session) > 10
    core.idle()
    fill(core, session)
    assert core.told[0] == "log_full"
    return core, session


def disk_of(core: LogCore) -> SmallDisk:
    assert isinstance(core.directory, SmallDisk)
    return core.directory


def catch_up(core: LogCore) -> None:
    """Let the log do what it needs before further commands may run: that must come to an end."""
    for _ in range(100):
        if not core.log.is_behind:
            return
        core.advance(max(core.now + MS, min(core.log.next_deadline(), core.now + 100 * MS)))
    pytest.fail(f"nothing goes on any more; {disk_of(core).free()} bytes are free")


def must_be_right(core: LogCore) -> None:
    """It has not failed, goes on, and a restart brings back what there is."""
    catch_up(core)
    assert core.log.failed is None
    core.check()
    disk_of(core).others = 0  # A start needs a little room of its own.
    expected = core.view()
    core = core.restart(kill=True)
    assert core.view() == expected
    assert core.recovered.notes == []
    core.check()


# -- what goes on ---------------------------------------------------------------------------------


@MODES
def test_puts_are_refused_when_the_disk_is_full(sync_ms: int | None) -> None:
    """Most of it is used then, for jobs that are all there."""
    core, session = full_log(sync_ms)
    assert put(core, session) == REFUSED
    assert core.log.statistics()["binlog-state"] == "full"
    assert core.live() > DISK / 3
    assert set(core.told) <= {"log_full", "log_has_room"}
    must_be_right(core)


@MODES
def test_releases_go_on_for_ever(sync_ms: int | None) -> None:
    """Many times what would fit on the disk."""
    core, session = full_log(sync_ms)
    random, jobs = Random(1), list(core.broker.jobs)
    for number in range(1_000):
        chosen = random.sample(jobs, 5)
        lines = [b"reserve-job %d\r\nrelease %d %d 0\r\n" % (n, n, number % 9) for n in chosen]
        assert core.ask(session, b"".join(lines)).count(b"RELEASED\r\n") == 5
        core.advance(core.now + MS)
        catch_up(core)
    must_be_right(core)


def test_a_hundred_thousand_releases() -> None:
    """Of one job, in larger batches than the log can clean up after at once: it makes them wait."""
    core, session = full_log(50)
    lines = b"reserve-job 7\r\nrelease 7 0 0\r\n" * 50
    for _ in range(2_000):
        assert core.ask(session, lines).count(b"RELEASED\r\n") == 50
        core.advance(core.now + 10 * MS)
        catch_up(core)
    assert core.broker.jobs[7].reserves == 100_000
    must_be_right(core)


@MODES
def test_burials_kicks_pauses_and_timeouts_go_on(sync_ms: int | None) -> None:
    """As releases do."""
    core, session = full_log(sync_ms)
    random, jobs = Random(2), list(core.broker.jobs)
    core.ask(session, b"watch a\r\n")
    for number in range(600):
        first, second, third = random.sample(jobs, 3)
        core.send(session, b"reserve-job %d\r\nbury %d 3\r\n" % (first, first))
        core.send(session, b"reserve-job %d\r\nrelease %d 3 2\r\n" % (second, second))
        core.send(session, b"pause-tube a %d\r\nkick 1\r\nreserve-job %d\r\n" % (number % 3, third))
        core.advance(core.now + 200 * MS)
        catch_up(core)
    assert core.broker.timeouts > 100
    must_be_right(core)


@MODES
@pytest.mark.parametrize("others", [False, True], ids=["alone", "others take what is left"])
def test_all_jobs_are_deleted(sync_ms: int | None, others: bool) -> None:
    """In any order, one by one."""
    core, session = full_log(sync_ms)
    jobs = list(core.broker.jobs)
    Random(3).shuffle(jobs)
    for number in jobs:
        assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
        core.advance(core.now + MS)
        catch_up(core)
        if others:
            core.idle()  # What was freed a moment ago is not theirs yet.
            disk_of(core).fill()
    assert core.live() == 0
    must_be_right(core)


# -- when there is room again ---------------------------------------------------------------------


@MODES
def test_puts_resume_after_deletes(sync_ms: int | None) -> None:
    """Once some of the jobs are gone, and as many as before fit in the end."""
    core, session = full_log(sync_ms)
    jobs = list(core.broker.jobs)
    for number in jobs[: len(jobs) // 2]:
        assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
    core.idle()
    assert put(core, session) == INSERTED
    assert core.told[-1] == "log_has_room"
    for _ in range(5):
        fill(core, session)
        core.idle()
    assert len(core.broker.jobs) > len(jobs) * 0.9
    must_be_right(core)


@MODES
def test_puts_resume_when_others_make_room(sync_ms: int | None) -> None:
    """At once."""
    core, session = full_log(sync_ms)
    before = len(core.broker.jobs)
    disk_of(core).size_of_disk += DISK
    assert put(core, session) == INSERTED
    core.idle()
    assert core.log.statistics()["binlog-state"] == "ok"
    assert fill(core, session) > before * 1.5
    must_be_right(core)


@MODES
def test_large_jobs_are_refused_first(sync_ms: int | None) -> None:
    """A job that does not fit is refused whatever its size; smaller ones still find room."""
    core = LogCore(SmallDisk(DISK), sync_ms=sync_ms)
    session = core.connect()
    assert put(core, session, 2 * DISK) == REFUSED
    assert put(core, session, 7 * LEAST_SEGMENT) == INSERTED
    assert put(core, session, 5 * LEAST_SEGMENT) == REFUSED
    assert put(core, session, 100) == INSERTED
    must_be_right(core)


def test_the_last_line_about_a_full_disk_is_soon_true() -> None:
    """However often that changes, the operator is told once in a second, and how it is then."""
    core, session = full_log(0)
    disk = disk_of(core)
    for _ in range(2):
        core.advance(core.now + NEWS_NS)
    core.told.clear()
    for number in range(7):
        disk.size_of_disk += DISK if number % 2 == 0 else -DISK
        put(core, session, 4 * LEAST_SEGMENT)
        core.advance(core.now + MS)
    assert core.log.state() == "ok"
    assert core.told == ["log_has_room"]


def test_a_state_that_came_too_soon_to_be_told_is_told_when_it_lasts() -> None:
    """And not at all if it is over by then."""
    told: list[str] = []
    fullness = Fullness(Path("/log"), lambda name, **_: told.append(name))
    fullness.look(0, is_full=True)
    fullness.look(1, is_full=False)
    assert (told, fullness.due) == (["log_full"], NEWS_NS)
    fullness.look(2, is_full=True)
    assert fullness.due == NEVER
    fullness.look(3, is_full=False)
    fullness.look(fullness.due, is_full=False)
    assert told == ["log_full", "log_has_room"]


def test_a_full_disk_is_told_though_nothing_is_put() -> None:
    """Deletes and releases find that out, too."""
    core = LogCore(SmallDisk(DISK), sync_ms=0)
    session = core.connect()
    put(core, session)
    disk_of(core).fill()
    for _ in range(400):
        core.ask(session, b"reserve-job 1\r\nrelease 1 0 0\r\n")
        if core.log.space.full:
            break
    assert core.told == ["log_full"]


# -- starts ---------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
def test_starts_on_a_full_disk(sync_ms: int | None, kill: bool) -> None:
    """Several times, though each begins a file: and each time jobs can be worked on."""
    core, _ = full_log(sync_ms)
    for _ in range(30):
        expected = core.view()
        core = core.restart(kill=kill)
        assert core.view() == expected
        work_on(core)
        core.idle()
    must_be_right(core)


def work_on(core: LogCore) -> None:
    session = core.connect()
    number = next(iter(core.broker.jobs))
    core.ask(session, b"reserve-job %d\r\nrelease %d 5 0\r\n" % (number, number))
    assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
    catch_up(core)


@MODES
@pytest.mark.parametrize("kill", [False, True], ids=["closed", "killed"])
def test_starts_while_others_take_what_is_free(sync_ms: int | None, kill: bool) -> None:
    """At least once; and if not the next time, then when there is some room."""
    core, _ = full_log(sync_ms)
    for number in range(8):
        disk_of(core).fill()
        expected, time = core.view(), core.time
        try:
            core = core.restart(kill=kill)
        except OSError:
            assert number
            disk_of(core).size_of_disk += 3 * LEAST_SEGMENT
            core = LogCore(core.directory, sync_ms=sync_ms, wall=time)
        assert core.view() == expected
        work_on(core)
    must_be_right(core)


def test_no_room_for_a_log_at_all() -> None:
    """The start fails, and tries in vain to leave no trace; with some room it succeeds."""
    disk = SmallDisk(0)
    with pytest.raises(OSError, match="No space left"):
        LogCore(disk)
    disk.size_of_disk = DISK
    must_be_right(LogCore(disk))


# -- worse disks ----------------------------------------------------------------------------------


@MODES
def test_no_new_file_can_be_made(sync_ms: int | None) -> None:
    """The last segment grows beyond its size until one can be made."""
    core = LogCore(SmallDisk(1 << 30), sync_ms=sync_ms)
    session = core.connect()
    put(core, session)
    disk_of(core).most_files = len(disk_of(core).inodes)
    for _ in range(2_000):
        assert core.ask(session, b"reserve-job 1\r\nrelease 1 0 0\r\n").endswith(b"RELEASED\r\n")
        core.advance(core.now + MS)
        catch_up(core)
    disk_of(core).most_files += 5
    core.send(session, b"reserve-job 1\r\nrelease 1 0 0\r\n")
    core.idle()
    assert core.log.writer.number > 1
    must_be_right(core)


@MODES
@pytest.mark.parametrize("seed", range(4))
def test_no_new_file_can_be_made_on_a_full_disk(sync_ms: int | None, seed: int) -> None:
    """Cleaning has to wait for one, but nobody has to wait for cleaning."""
    core, session = full_log(sync_ms)
    disk, random = disk_of(core), Random(seed)
    most, disk.most_files = disk.most_files, 0
    jobs = list(core.broker.jobs)
    for _ in range(len(jobs) // 2):
        number = jobs.pop(random.randrange(len(jobs)))
        assert core.ask(session, b"delete %d\r\n" % number) == b"DELETED\r\n"
        core.advance(core.now + MS)
        catch_up(core)
    assert core.log.next_deadline() <= core.now + RETRY_NS
    disk.most_files = most
    disk.size_of_disk += DISK  # The last segment has grown, and takes as much to be cleaned.
    core.idle()
    assert put(core, session) == INSERTED
    must_be_right(core)


@pytest.mark.parametrize("count", [1, 5])
def test_the_reserve_is_not_spent_on_files_that_cannot_be_made(count: int) -> None:
    """Where it is not space that is wanting."""
    core, _ = full_log(0)
    disk, space = disk_of(core), core.log.space
    disk.most_files = 0
    held = space.reserved
    for _ in range(count):
        with pytest.raises(OSError, match="No space left"):
            core.log.writer.rotate()
    assert space.reserved == held


def test_a_new_file_is_made_at_the_price_of_some_of_the_reserve() -> None:
    """Where it is: some file systems take space for a file's name alone."""
    core, _ = full_log(0)
    disk = disk_of(core)
    disk.takes_space_for_names = True
    disk.fill()
    number = core.log.writer.number
    core.log.writer.rotate()
    assert core.log.writer.number == number + 1
    core.round()
    disk.takes_space_for_names = False
    must_be_right(core)


@MODES
def test_a_file_system_that_reserves_nothing(sync_ms: int | None) -> None:
    """Replies wait while nothing can be written; nothing is lost, and it goes on by itself."""
    core = LogCore(SmallDisk(DISK, reserves=False), sync_ms=sync_ms)
    session = core.connect()
    put(core, session)
    disk_of(core).fill()
    while not core.log.is_behind:
        core.send(session, b"reserve-job 1\r\nrelease 1 0 0\r\n")
        core.now += MS
    assert not core.log.clears(core.now)
    assert core.told[-1] == "log_stalled"
    for _ in range(5):
        core.advance(core.log.next_deadline())
        assert core.log.is_behind
    disk_of(core).others = 0
    core.advance(core.now + RETRY_NS)
    assert not core.log.is_behind
    core.advance(core.now + 100 * MS)
    assert core.log.clears(core.now)
    assert "log_goes_on" in core.told[-2:]
    must_be_right(core)


@MODES
@pytest.mark.parametrize("seed", range(6))
def test_any_history_on_a_disk_that_others_use(seed: int, sync_ms: int | None) -> None:
    """They fill it and make room, the daemon ends and starts: whatever was accepted is there.

    If all that was held back is used up, it goes on when they make room; so does a start.
    """
    random = Random(seed)
    crowd = Crowd(LogCore(SmallDisk(DISK), sync_ms=sync_ms), random)
    told: set[str] = set()
    for _ in range(60):
        disk = disk_of(crowd.core)
        disk.others = max(0, disk.others - random.choice([0, 0, 20, 100, DISK // 4096]) * 4096)
        if random.random() < 0.4:
            disk.fill()
        crowd.work(random.randint(1, 30))
        told |= set(crowd.core.told)
        if random.random() < 0.15 or crowd.core.log.is_behind:
            disk.others = 0
            crowd.core.advance(crowd.core.now + RETRY_NS)
            crowd.restart()
        crowd.core.check()
    assert "log_full" in told
    assert "log_segment_failed" not in told
    crowd.restart()
