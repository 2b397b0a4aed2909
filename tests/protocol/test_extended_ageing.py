"""ageing: a job gains priority as it waits, so that every job has its turn."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.extended import NS_PER_MS, CheckedCore, put_with


def take(core: CheckedCore, session: Session) -> int:
    """Reserve and delete a job; return its id, or 0."""
    reply = core.ask(session, b"reserve-with-timeout 0\r\n")
    if reply == b"TIMED_OUT\r\n":
        return 0
    number = int(reply.split()[1])
    core.ask(session, b"delete %d\r\n" % number)
    return number


@pytest.mark.parametrize(("ageing", "turn"), [("10", 10), ("4", 25), ("0.5", 200), ("0", 0)])
def test_a_starved_job_has_its_turn(
    core: CheckedCore, session: Session, ageing: str, turn: int
) -> None:
    """Every second two urgent jobs come and one is taken: without ageing job 1 never is."""
    core.ask(session, f"set-policy default ageing={ageing}\r\n".encode())
    core.ask(session, put_with(pri=100))
    for second in range(1, 450):
        core.advance(second * NS_PER_S)
        core.ask(session, put_with() * 2)
        if take(core, session) == 1:
            assert turn <= second <= 2 * turn + 2
            return
    assert turn == 0


@pytest.mark.parametrize(("milliseconds", "first"), [(499, 2), (500, 1), (501, 1)])
def test_the_head_start_is_exact(
    core: CheckedCore, session: Session, milliseconds: int, first: int
) -> None:
    """5 points at 10 points a second are half a second; at a tie the lower id is first."""
    core.ask(session, b"set-policy default ageing=10\r\n" + put_with(pri=5))
    core.advance(milliseconds * NS_PER_MS)
    core.ask(session, put_with(pri=0))
    core.wait_ms(99_999)
    assert core.ask(session, b"peek-ready\r\n").split()[1] == b"%d" % first
    assert take(core, session) == first


def test_the_order_follows_the_policy(core: CheckedCore, session: Session) -> None:
    """Set, changed and taken away again, jobs that are there are sorted anew."""
    core.ask(session, put_with(pri=10))
    core.advance(2 * NS_PER_S)
    core.ask(session, put_with(pri=5))
    core.advance(4 * NS_PER_S)
    core.ask(session, put_with(pri=0))
    for ageing, first in (("0", 3), ("10", 1), ("2", 3), ("2.499", 3), ("2.5", 1), ("0", 3)):
        core.ask(session, f"set-policy default ageing={ageing}\r\n".encode())
        assert core.ask(session, b"peek-ready\r\n").split()[1] == b"%d" % first
    core.ask(session, b"set-policy default ageing=100\r\n")
    assert [take(core, session) for _ in range(4)] == [1, 2, 3, 0]


def test_all_moves_of_a_job_go_well_with_ageing(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """Delete, reserve, release, bury, kick, move and purge find it where it now is."""
    core.ask(session, b"set-policy default ageing=3\r\n" + put_with(pri=2000) * 8)
    core.advance(NS_PER_S)
    core.ask(session, b"set-policy default ageing=7.5\r\n")
    core.ask(session, b"delete 1\r\nreserve-job 3\r\nrelease 3 1 0\r\nreserve-job 4\r\n")
    core.ask(session, b"bury 4 7\r\nkick 1\r\nreserve\r\nmove-jobs default ready a 1\r\n")
    assert core.states("a") == {4: "ready"}
    assert core.look(session, "stats-tube default")["current-jobs-urgent"] == 0
    core.ask(session, b"set-policy default ageing=0\r\npurge-tube default all\r\n")
    assert core.states() == {}


def test_a_release_keeps_the_age(core: CheckedCore, session: Session) -> None:
    """Who crashes with an old job does not send it to the end."""
    core.ask(session, b"set-policy default ageing=1\r\n" + put_with(pri=5))
    core.advance(10 * NS_PER_S)
    core.ask(session, put_with(pri=0) + b"reserve-job 1\r\nrelease 1 5 0\r\n")
    assert core.ask(session, b"peek-ready\r\n").startswith(b"FOUND 1 ")


def test_a_delay_is_no_waiting(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy default ageing=1\r\n")
    core.ask(session, put_with(pri=5, delay="10"))
    core.advance(4 * NS_PER_S)
    core.ask(session, put_with(pri=0))
    core.advance(10 * NS_PER_S)
    assert core.ask(session, b"peek-ready\r\n").startswith(b"FOUND 2 ")


@pytest.mark.parametrize(("seconds", "first"), [(0, 2), (9, 2), (10, 1), (11, 1), (1000, 1)])
def test_tubes_compare_by_what_has_been_gained(
    core: CheckedCore, session: Session, seconds: int, first: int
) -> None:
    """A client that watches both is given the one that is more urgent now."""
    core.ask(session, b"watch a\r\nset-policy a ageing=10\r\n" + put_with("tube=a", pri=150))
    core.ask(session, put_with(pri=50))
    core.advance(seconds * NS_PER_S)
    assert take(core, session) == first


def test_two_tubes_that_age_differently(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"watch a\r\nwatch b\r\nset-policy a ageing=1\r\nset-policy b ageing=3\r\n")
    core.ask(session, put_with("tube=a", pri=100) * 2 + put_with("tube=b", pri=120) * 2)
    core.advance(9 * NS_PER_S)
    assert take(core, session) == 1
    core.advance(11 * NS_PER_S)
    assert [take(core, session) for _ in range(4)] == [3, 4, 2, 0]


def test_an_old_job_may_be_more_urgent_than_priority_0(core: CheckedCore, session: Session) -> None:
    """stats-job still shows the priority that was asked for."""
    core.ask(session, b"watch a\r\nset-policy a ageing=1\r\n")
    core.ask(session, put_with(pri=0) + put_with("tube=a", pri=1))
    core.advance(5 * NS_PER_S)
    assert core.look(session, "stats-job 2")["pri"] == 1
    assert [take(core, session), take(core, session)] == [2, 1]


def test_ageing_in_the_dead_tube(core: CheckedCore, session: Session) -> None:
    """A job takes its age along, to wherever it goes."""
    core.ask(session, b"set-policy d ageing=1\r\n" + put_with("attempts=1 dead=d", pri=5))
    core.advance(9 * NS_PER_S)
    core.ask(session, put_with("tube=d", pri=0) + b"reserve-job 1\r\nrelease 1 5 0\r\nuse d\r\n")
    assert core.ask(session, b"peek-ready\r\n").startswith(b"FOUND 1 ")


def test_the_largest_numbers(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy default ageing=4294967295\r\n" + put_with(pri=4294967295))
    core.advance(NS_PER_S)
    core.ask(session, put_with(pri=0))
    core.advance(1 << 60)
    assert [take(core, session) for _ in range(3)] == [1, 2, 0]
