"""Single histories of extended commands that once came out wrong."""

from __future__ import annotations

import pytest

from stalkd.broker.check import check
from stalkd.broker.job import BURIED, READY
from support.core import Core
from support.directories import Image
from support.journal import LogCore


def test_a_move_within_a_tube_is_about_as_many_jobs_as_it_says() -> None:
    """Not about the first again and again."""
    core = Core()
    session = core.connect()
    for key in (b"one", b"two", b"three"):
        core.send(session, b"put-with 0 0 9 0 key=%b\r\n\r\n" % key)
    core.received(session)
    assert core.ask(session, b"move-jobs default ready default 2\r\n") == b"MOVED 2\r\n"
    assert set(core.broker.directory.default.keys) == {"three"}


def test_a_plain_job_has_all_attempts_in_the_tube_that_it_is_moved_to() -> None:
    """Though nobody counted attempts where it comes from."""
    core = Core()
    session = core.connect()
    core.send(session, b"use old\r\nput 0 0 9 0\r\n\r\nset-policy new attempts=2\r\n")
    core.send(session, b"reserve-job 1\r\nrelease 1 0 0\r\n" * 5)
    core.send(session, b"move-jobs old ready new 1\r\n")
    states = []
    for _ in range(2):
        core.send(session, b"reserve-job 1\r\nrelease 1 0 0\r\n")
        states.append(core.broker.jobs[1].state)
    assert states == [READY, BURIED]


def test_a_batch_never_has_a_job_twice() -> None:
    """Not even if the lease of the first has ended before the batch is sent."""
    core = Core()
    worker, other = core.connect(), core.connect()
    core.send(worker, b"reserve-batch 3 10\r\n")
    core.send(other, b"put 0 0 9 1\r\nx\r\nrelease-tube default\r\n")
    assert core.received(worker).count(b"JOB 1 ") == 1


def test_a_list_of_no_jobs_is_refused() -> None:
    """As a batch of none is: there is nothing to go on behind."""
    core = Core()
    session = core.connect()
    core.send(session, b"put 0 0 9 0\r\n\r\n")
    core.received(session)
    assert core.ask(session, b"list-jobs default all 0 0\r\n") == b"BAD_FORMAT\r\n"


def test_the_longest_times_can_be_remembered() -> None:
    """Whole seconds, rounded up, must fit where those of a plain put are kept."""
    core = LogCore(Image())
    session = core.connect()
    longest = b"4294967295"
    core.send(session, b"put-with 0 %b %b 0 ttl=%b\r\n\r\n" % (longest, longest, longest))
    assert core.received(session) == b"INSERTED 1\r\n"
    expected = core.view()
    assert core.restart().view() == expected


@pytest.mark.parametrize(
    ("chore", "reply"),
    [
        (b"purge-tube default ready\r\n", b"PURGED 1200\r\n"),
        (b"move-jobs default ready a 5000\r\n", b"MOVED 1200\r\n"),
        (b"move-jobs default ready default 5000\r\n", b"MOVED 1200\r\n"),
    ],
)
def test_jobs_may_be_sorted_anew_while_many_are_handled(chore: bytes, reply: bytes) -> None:
    """A change of ageing comes between two steps."""
    core = Core()
    session, other = core.connect(), core.connect()
    core.send(session, b"put 0 0 9 0\r\n\r\n" * 1200)
    core.received(session)
    core.send(session, chore)
    core.send(other, b"set-policy default ageing=1\r\n")
    for _ in range(30):
        core.advance(core.now + 10)
        check(core.broker)
    assert core.received(session) == reply


def test_a_tube_whose_last_job_is_purged_is_gone() -> None:
    """Also if who asked for it hangs up before the count is sent."""
    core = Core()
    session, other = core.connect(), core.connect()
    core.send(other, b"put-with 0 0 9 0 tube=a\r\n\r\n" * 500)
    core.send(session, b"purge-tube a all\r\n")
    core.disconnect(session)
    check(core.broker)
    assert list(core.broker.directory.tubes) == ["default"]
