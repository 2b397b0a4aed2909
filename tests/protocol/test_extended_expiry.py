"""ttl: an unfinished job disappears when its time is up and nobody holds it."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NEVER, NS_PER_S, TICK_LIMIT
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

IN_STATES = {
    "ready": "",
    "delayed": "reserve|release 1 0 99",
    "buried": "reserve|bury 1 0",
    "kicked": "reserve|bury 1 0|kick 1",
    "released": "reserve|release 1 0 0",
}


def run(core: CheckedCore, session: Session, script: str) -> None:
    for line in filter(None, script.split("|")):
        core.send(session, line.encode() + b"\r\n")


@pytest.mark.parametrize("script", IN_STATES.values(), ids=IN_STATES.keys())
@pytest.mark.parametrize("ttl", ["0.001", "1.5", "7"])
def test_a_job_that_nobody_holds_expires_to_the_nanosecond(
    core: CheckedCore, session: Session, script: str, ttl: str
) -> None:
    """In whatever state; its tube goes with it, and it counts as expired, not as deleted."""
    core.ask(session, b"watch a\r\n" + put_with(f"tube=a key=k ttl={ttl}"))
    run(core, session, script)
    core.ask(session, b"ignore a\r\n")
    end = round(float(ttl) * 1000) * NS_PER_S // 1000
    core.advance(end - 1)
    assert list(core.states("a")) == [1]
    core.advance(end)
    assert core.ask(session, b"stats-job 1\r\nstats-tube a\r\n") == b"NOT_FOUND\r\n" * 2
    stats = core.look(session, "stats")
    assert (stats["jobs-expired"], stats["cmd-delete"], stats["current-memory"]) == (1, 0, 0)
    assert core.broker.next_deadline() == NEVER or core.broker.next_deadline() > end


def test_a_put_with_a_delay_may_expire_before_it_is_ready(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with("ttl=2", delay="3") + put_with("ttl=3", delay="2"))
    core.advance(2 * NS_PER_S)
    assert core.states() == {2: "ready"}
    core.advance(3 * NS_PER_S)
    assert core.states() == {}
    assert core.summary("default")["jobs-expired"] == 2


@pytest.mark.parametrize(
    "ending", ["release 1 0 0", "release 1 0 9", "bury 1 0", "disconnect", "timeout", "take back"]
)
@pytest.mark.parametrize("late", [0, 1, 500])
def test_a_held_job_expires_when_its_lease_ends(
    core: CheckedCore, session: Session, worker: Session, ending: str, late: int
) -> None:
    """Not before, and in whichever way; its key is free then, not before."""
    core.ask(session, put_with("key=k ttl=1", ttr="9"))
    core.ask(worker, b"reserve\r\ntouch-for 1 1.%03d\r\n" % (late + (ending != "timeout")))
    core.advance(NS_PER_S + late * NS_PER_S // 1000 - 1)
    assert core.states() == {1: "reserved"}
    assert core.ask(session, put_with("key=k")) == b"EXISTS 1\r\n"
    core.advance(core.now + 1)
    if ending == "disconnect":
        core.disconnect(worker)
    elif ending == "take back":
        assert core.ask(session, b"release-tube default\r\n") == b"RELEASED 1\r\n"
    elif ending != "timeout":
        assert core.ask(worker, ending.encode() + b"\r\n") in {b"RELEASED\r\n", b"BURIED\r\n"}
    assert core.states() == {}
    assert core.broker.expired == 1
    assert core.broker.timeouts == (ending == "timeout")
    assert core.ask(session, put_with("key=k")) == b"INSERTED 2\r\n"


def test_the_end_of_a_lease_before_the_time_is_no_expiry(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with("ttl=2") + b"reserve\r\n")
    core.advance(2 * NS_PER_S - 1)
    core.ask(session, b"release 1 0 0\r\n")
    assert core.states() == {1: "ready"}
    core.advance(2 * NS_PER_S)
    assert core.states() == {}


def test_an_overdue_job_can_be_finished(core: CheckedCore, session: Session) -> None:
    """As long as somebody touches it, it lives."""
    core.ask(session, put_with("ttl=1", ttr="2") + b"reserve\r\n")
    for _ in range(5):
        core.wait_ms(1500)
        assert core.ask(session, b"touch 1\r\n") == b"TOUCHED\r\n"
    assert core.ask(session, b"delete 1\r\n") == b"DELETED\r\n"
    assert core.broker.expired == 0


def test_expiry_comes_before_death(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("ttl=1 attempts=1 dead=d") + b"reserve\r\n")
    core.advance(NS_PER_S)
    core.ask(session, b"release 1 0 0\r\n")
    assert (core.broker.expired, core.broker.dead) == (1, 0)
    assert core.ask(session, b"stats-tube d\r\n") == b"NOT_FOUND\r\n"


def test_the_dead_do_not_expire(core: CheckedCore, session: Session) -> None:
    """Somebody will want to look at them; but the tube where they go may have a ttl."""
    core.ask(session, b"set-policy d ttl=50\r\nset-policy default ttl=9\r\n")
    core.ask(session, put_with("ttl=5 attempts=1"))
    core.ask(session, put_with("ttl=5 attempts=1 dead=d"))
    core.ask(session, b"reserve\r\nreserve\r\nrelease 1 0 0\r\nrelease 2 0 0\r\n")
    core.advance(50 * NS_PER_S - 1)
    assert core.states() == {1: "buried"}
    assert core.states("d") == {2: "ready"}
    core.advance(50 * NS_PER_S)
    assert core.states() == {1: "buried"}
    assert core.states("d") == {}


def test_a_lifetime_by_policy(core: CheckedCore, session: Session) -> None:
    """For all that is put from then on, by put too, if it says nothing itself."""
    core.ask(session, b"put 0 0 9 1\r\nx\r\nset-policy default ttl=2.5\r\n")
    core.ask(session, b"put 0 0 9 1\r\nx\r\nput 0 9 9 1\r\nx\r\n")
    core.ask(session, put_with("ttl=1") + put_with("ttl=5") + put_with("key=k"))
    for milliseconds, left in (
        (999, [1, 2, 3, 4, 5, 6]),
        (1000, [1, 2, 3, 5, 6]),
        (2499, [1, 2, 3, 5, 6]),
        (2500, [1, 5]),
        (5000, [1]),
    ):
        core.advance(milliseconds * NS_PER_S // 1000)
        assert list(core.states()) == left
    core.ask(session, b"set-policy default ttl=0\r\nput 0 0 9 1\r\nx\r\n")
    core.advance(99 * NS_PER_S)
    assert list(core.states()) == [1, 7]


def test_a_moved_job_keeps_its_time(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("tube=a ttl=2") + b"move-jobs a ready b 1\r\n")
    core.advance(2 * NS_PER_S)
    assert core.broker.jobs == {}
    assert core.ask(session, b"stats-tube b\r\n") == b"NOT_FOUND\r\n"


def test_who_waits_is_not_given_what_has_expired(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """A paused tube opens at the moment in which its job expires, or a little later."""
    core.ask(session, put_with("ttl=2") + put_with("ttl=1") + b"pause-tube default 2\r\n")
    core.send(worker, b"reserve-with-timeout 9\r\n")
    core.advance(3 * NS_PER_S)
    assert b"RESERVED 2" not in core.received(worker)


def test_expiry_makes_room(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy default max-jobs=1\r\n" + put_with("ttl=1"))
    assert core.ask(session, put_with()) == b"TUBE_FULL\r\n"
    core.advance(NS_PER_S)
    assert core.ask(session, put_with()) == b"INSERTED 2\r\n"


def test_an_overdue_lease_that_ends_makes_room_for_the_next(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """A tube at its limit of leases opens also when the job that leaves is gone for good."""
    core.ask(session, b"set-policy default concurrency=1\r\n" + put_with("ttl=1") + put_with())
    core.ask(session, b"reserve\r\n")
    core.send(worker, b"reserve\r\n")
    core.advance(NS_PER_S)
    core.ask(session, b"release 1 0 0\r\n")
    assert core.received(worker) == b"RESERVED 2 1\r\nx\r\n"


def test_many_expire_in_portions(core: CheckedCore, session: Session) -> None:
    core.send(session, put_with("ttl=1", body=b"") * (2 * TICK_LIMIT + 10))
    for left in (TICK_LIMIT + 10, 10, 0):
        core.broker.tick(NS_PER_S)
        assert len(core.broker.jobs) == left
    assert core.broker.next_deadline() == NEVER


def test_the_longest_lifetime(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, put_with("ttl=4294967295")) == b"INSERTED 1\r\n"
    assert core.list_jobs()[0]["expires-in"] == 4294967295.0
    assert core.ask(session, put_with("ttl=0")) == b"INSERTED 2\r\n"
    assert "expires-in" not in core.list_jobs()[1]
