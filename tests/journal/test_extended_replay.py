"""Whatever the extended commands did: a restart brings it back, and the accounts are right."""

from __future__ import annotations

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalkd.broker.limits import NS_PER_S
from support.directories import Image, QuickDirectory
from support.extended_crowd import ExtendedCrowd
from support.journal import MS, SYNC_NS, LogCore
from support.view import ready_orders

MODES = pytest.mark.parametrize("sync_ms", [0, 50, None], ids=["-f 0", "-f 50", "-F"])


@MODES
@pytest.mark.parametrize("seed", range(3))
def test_any_history_comes_back(directory: QuickDirectory, seed: int, sync_ms: int | None) -> None:
    """Hundreds of commands between restarts, through many segments, compacted all the time."""
    crowd = ExtendedCrowd(LogCore(directory, sync_ms=sync_ms), Random(seed))
    for _ in range(4):
        crowd.work(crowd.random.choice([3, 200, 400]))
        crowd.core.idle()
        crowd.restart()
    crowd.core.idle()
    crowd.core.check()
    assert crowd.core.told == []
    assert crowd.core.log.compactor.copied or crowd.core.log.writer.number > 6
    assert crowd.core.on_disk == directory.stored()


ACTS = st.lists(
    st.tuples(st.sampled_from([*["work"] * 6, "restart"]), st.integers(1, 12)), max_size=12
)


@given(st.integers(0, 2**32), ACTS, st.sampled_from([0, 50, None]))
def test_any_short_history_comes_back(
    seed: int, acts: list[tuple[str, int]], sync_ms: int | None
) -> None:
    """The same, for histories small enough to be understood when they fail."""
    crowd = ExtendedCrowd(LogCore(Image(), sync_ms=sync_ms), Random(seed))
    for act, count in acts:
        if act == "work":
            crowd.work(count)
        else:
            crowd.restart()
    crowd.restart()


# -- when a sync fails ----------------------------------------------------------------------------


class FailingCore(LogCore):
    """Of its syncs every fourth fails: all that is not certain is written again."""

    syncs = 0

    def sync(self) -> None:
        self.log.demand_sync()  # With -F there are hardly any otherwise.
        task = self.log.begin_sync(self.now)
        if task is None:
            return
        self.syncs += 1
        if self.syncs % 4:
            task.run()
            self.log.end_sync(task, None, SYNC_NS, self.now)
        else:
            self.log.end_sync(task, OSError(errno.EIO, "made up"), SYNC_NS, self.now)


@MODES
@pytest.mark.parametrize("seed", range(2))
def test_a_failed_sync_loses_nothing(seed: int, sync_ms: int | None) -> None:
    """Neither jobs with terms nor what became of them, nor policies; and the accounts are right."""
    crowd = ExtendedCrowd(FailingCore(Image(), sync_ms=sync_ms), Random(seed))
    for _ in range(3):
        for _ in range(12):
            crowd.work(10)
            crowd.core.advance(crowd.core.now + 100 * MS)
            crowd.core.check()
        assert "log_segment_failed" in crowd.core.told
        assert crowd.core.log.failed is None
        crowd.restart()


# -- one thing at a time --------------------------------------------------------------------------


def test_a_job_whose_last_attempt_a_restart_ended_is_dead(directory: QuickDirectory) -> None:
    """It goes where it was to go; one that has attempts left, or is kicked, does not."""
    core = LogCore(directory)
    session = core.connect()
    core.send(session, b"put-with 0 0 9 0 key=k attempts=2 dead=morgue ttl=99\r\n\r\n")
    core.send(session, b"put-with 0 0 9 0 attempts=1\r\n\r\nput 0 0 9 0\r\n\r\n")
    core.send(session, b"set-policy default attempts=2\r\nset-policy morgue ttl=5\r\n")
    core.send(session, b"reserve-job 1\r\nreserve-job 2\r\nreserve-job 3\r\n")
    core = core.restart(kill=True)
    assert {number: job.tube.name for number, job in core.broker.jobs.items()} == dict.fromkeys(
        (1, 2, 3), "default"
    )
    assert ready_orders(core.broker) == {"default": [1, 3]}
    session = core.connect()
    core.send(session, b"kick-job 2\r\nreserve-job 1\r\nreserve-job 3\r\n")
    core = core.restart(after=NS_PER_S)
    assert ready_orders(core.broker) == {"morgue": [1], "default": [2]}
    listed = core.ask(core.connect(), b"list-jobs morgue all 0 9\r\n")
    assert b'died-in: "default"\n  died-because: "restarted"' in listed
    assert b"key" not in listed
    assert b"expires-in: 5.000" in listed


def test_a_job_that_expired_while_nobody_ran_is_not_dead(directory: QuickDirectory) -> None:
    """Though its last attempt was going on: it is gone, as when its lease ends."""
    core = LogCore(directory)
    core.send(core.connect(), b"put-with 0 0 9 0 attempts=1 ttl=2\r\n\r\nreserve-job 1\r\n")
    core = core.restart(after=3 * NS_PER_S)
    core.advance(core.now + 1)
    assert not core.broker.jobs
    assert core.broker.directory.default.dead == 0


def test_a_job_that_died_where_it_is_stays_dead_though_somebody_held_it(
    directory: QuickDirectory,
) -> None:
    """The end of a lease that began by its id buries it again, also that which a restart ends."""
    core = LogCore(directory)
    session = core.connect()
    core.send(session, b"put-with 0 0 9 0 attempts=2\r\n\r\n" + b"reserve\r\nrelease 1 0 0\r\n" * 2)
    core.send(session, b"reserve-job 1\r\n")
    expected = core.view(NS_PER_S)
    core = core.restart(after=NS_PER_S)
    assert core.view() == expected
    assert expected.buried == {"default": [1]}
    assert core.ask(core.connect(), b"wait-job 1 9\r\n") == b"BURIED\r\n"


def test_a_kick_gives_new_attempts_that_a_restart_knows_of(directory: QuickDirectory) -> None:
    """Also in a tube without a policy."""
    core = LogCore(directory)
    session = core.connect()
    core.send(session, b"put-with 0 0 9 0 attempts=2\r\n\r\nreserve\r\nrelease 1 0 0\r\n")
    core.send(session, b"reserve\r\nbury 1 0\r\nkick 1\r\nreserve\r\n")
    core = core.restart()
    session = core.connect()
    assert ready_orders(core.broker) == {"default": [1]}
    assert b"attempts-used: 1\n" in core.ask(session, b"explain-job 1\r\n")
    core.send(session, b"reserve\r\nrelease 1 0 0\r\n")
    assert ready_orders(core.broker) == {}
