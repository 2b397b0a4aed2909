"""wait-job: a job's end is told to whoever waits for it, once, whatever that end is."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

ENDS = {
    "deleted": ("delete 1", b"DELETED\r\n"),
    "deleted by its holder": ("reserve|delete 1", b"DELETED\r\n"),
    "buried": ("reserve|bury 1 0", b"BURIED\r\n"),
    "purged": ("purge-tube default all", b"NOT_FOUND\r\n"),
    "purged while held": ("reserve|purge-tube default reserved", b"NOT_FOUND\r\n"),
    "dead in place": ("reserve|release 1 0 0|reserve|release 1 0 0", b"BURIED\r\n"),
    "taken back too often": ("reserve|release 1 0 0|reserve|release-tube default", b"BURIED\r\n"),
}
NO_ENDS = (
    "reserve|release 1 0 0",
    "reserve|release 1 0 9",
    "reserve|touch 1",
    "reserve|touch-for 1 9",
    "release-tube default",
    "move-jobs default ready a 1",
    "kick 9",
    "peek 1",
    "delete 2",
    "set-policy default ageing=1",
    "pause-tube default 1",
)


def run(core: CheckedCore, session: Session, script: str) -> None:
    for line in script.split("|"):
        core.send(session, line.encode() + b"\r\n")


@pytest.mark.parametrize(("script", "expected"), ENDS.values(), ids=ENDS.keys())
def test_who_waits_is_told(
    core: CheckedCore, session: Session, worker: Session, script: str, expected: bytes
) -> None:
    """Once, and then what it sent meanwhile is run."""
    core.ask(session, put_with("attempts=2 ttl=60"))
    core.send(worker, b"wait-job 1 30\r\nlist-tube-used\r\n")
    assert core.received(worker) == b""
    run(core, session, script)
    assert core.received(worker) == expected + b"USING default\r\n"
    core.advance(99 * NS_PER_S)
    assert core.received(worker) == b""


@pytest.mark.parametrize("script", NO_ENDS)
def test_what_is_no_end_is_not_told(
    core: CheckedCore, session: Session, worker: Session, script: str
) -> None:
    core.ask(session, put_with() + put_with())
    core.send(worker, b"wait-job 1 30\r\n")
    run(core, session, script)
    assert core.received(worker) == b""
    core.advance(30 * NS_PER_S - 1)
    assert core.received(worker) == b""
    core.advance(30 * NS_PER_S)
    assert core.received(worker) == b"TIMED_OUT\r\n"


def test_death_in_another_tube_is_told_as_a_burial(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with("attempts=1 dead=d") + b"reserve\r\n")
    core.send(worker, b"wait-job 1 30\r\n")
    core.disconnect(session)
    assert core.received(worker) == b"BURIED\r\n"
    assert core.states("d") == {1: "ready"}


DEAD = {
    "buried in place": ("", ""),
    "in its dead tube": (" dead=d", ""),
    "held there": (" dead=d", "reserve-job 1"),
    "delayed there": (" dead=d", "reserve-job 1|release 1 0 9"),
    "held where it died": ("", "reserve-job 1"),
}


@pytest.mark.parametrize(("options", "script"), DEAD.values(), ids=DEAD.keys())
def test_a_job_that_is_dead_already_is_told_at_once(
    core: CheckedCore, session: Session, worker: Session, options: str, script: str
) -> None:
    """As those were told who waited when it died, whatever has become of it since."""
    core.ask(session, put_with("attempts=1" + options) + b"reserve\r\nrelease 1 0 0\r\n")
    if script:
        run(core, session, script)
    assert core.ask(worker, b"wait-job 1 30\r\nwait-job 1 0\r\n") == b"BURIED\r\n" * 2
    assert not core.broker.queues.watchers


REVIVALS = {
    "kick": ("", "kick 1"),
    "kick-job": ("", "kick-job 1"),
    "move in place": ("", "move-jobs default buried default 1"),
    "move": (" dead=d", "move-jobs d ready default 1"),
    "kick in the dead tube": (" dead=d", "reserve-job 1|release 1 0 9|kick-job 1"),
}


@pytest.mark.parametrize(("options", "revival"), REVIVALS.values(), ids=REVIVALS.keys())
def test_a_job_that_lives_again_is_waited_for(
    core: CheckedCore, session: Session, worker: Session, options: str, revival: str
) -> None:
    """Until it dies once more."""
    core.ask(session, put_with("attempts=1" + options) + b"reserve\r\nrelease 1 0 0\r\n")
    run(core, session, revival)
    core.send(worker, b"wait-job 1 30\r\n")
    assert core.received(worker) == b""
    core.ask(session, b"reserve-job 1\r\n")
    assert core.received(worker) == b""
    core.ask(session, b"release 1 0 0\r\n")
    assert core.received(worker) == b"BURIED\r\n"


def test_expiry_is_told(core: CheckedCore, session: Session, worker: Session) -> None:
    core.ask(session, put_with("ttl=1.5"))
    core.send(worker, b"wait-job 1 30\r\n")
    core.wait_ms(1499)
    assert core.received(worker) == b""
    core.wait_ms(1)
    assert core.received(worker) == b"NOT_FOUND\r\n"


def test_what_has_ended_already(core: CheckedCore, session: Session) -> None:
    """A buried job is answered at once, a deleted one is unknown."""
    core.ask(session, put_with() + b"reserve\r\nbury 1 0\r\n")
    assert core.ask(session, b"wait-job 1 30\r\n") == b"BURIED\r\n"
    assert core.ask(session, b"delete 1\r\nwait-job 1 30\r\n") == b"DELETED\r\nNOT_FOUND\r\n"
    assert core.ask(session, b"wait-job 0 30\r\nwait-job 99 0\r\n") == b"NOT_FOUND\r\n" * 2


def test_a_timeout_of_nothing_only_asks(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, put_with() + b"wait-job 1 0\r\n").endswith(b"TIMED_OUT\r\n")


@pytest.mark.parametrize("timeout", ["0.001", "0.999", "1.5", "2147483647"])
def test_the_wait_is_exact(
    core: CheckedCore, session: Session, worker: Session, timeout: str
) -> None:
    core.ask(session, put_with())
    core.send(worker, f"wait-job 1 {timeout}\r\n".encode())
    end = round(float(timeout) * 1000) * NS_PER_S // 1000
    core.advance(end - 1)
    assert core.received(worker) == b""
    core.advance(end)
    assert core.received(worker) == b"TIMED_OUT\r\n"


def test_many_wait_for_one(core: CheckedCore, session: Session) -> None:
    """Each is told, but not those who left; nobody counts as waiting for a job to reserve."""
    core.ask(session, put_with())
    waiters = [core.connect() for _ in range(50)]
    for waiter in waiters:
        core.send(waiter, b"wait-job 1 30\r\n")
    assert core.look(session, "stats")["current-waiting"] == 0
    for waiter in waiters[::2]:
        core.disconnect(waiter)
    core.ask(session, b"delete 1\r\n")
    assert [core.received(waiter) for waiter in waiters] == [b"", b"DELETED\r\n"] * 25
    assert not core.broker.queues.watchers


def test_one_waits_for_many_in_turn(core: CheckedCore, session: Session, worker: Session) -> None:
    core.ask(session, put_with() * 3)
    core.send(worker, b"wait-job 3 9\r\nwait-job 1 9\r\nwait-job 2 9\r\n")
    core.ask(session, b"delete 1\r\n")
    assert core.received(worker) == b""
    core.ask(session, b"delete 3\r\n")
    assert core.received(worker) == b"DELETED\r\nNOT_FOUND\r\n"
    core.ask(session, b"delete 2\r\n")
    assert core.received(worker) == b"DELETED\r\n"


def test_who_waits_for_an_end_gets_no_job(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with(delay="9"))
    core.send(worker, b"wait-job 1 30\r\n")
    core.ask(session, put_with())
    assert core.received(worker) == b""
    assert core.states() == {1: "delayed", 2: "ready"}


def test_its_own_leases_end_while_it_waits(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """Without DEADLINE_SOON, which is an answer to those who reserve."""
    core.ask(session, put_with(ttr="1.5") + put_with())
    core.ask(worker, b"reserve\r\n")
    core.send(worker, b"wait-job 2 3\r\n")
    core.wait_ms(1500)
    assert core.received(worker) == b""
    assert core.states() == {1: "ready", 2: "ready"}
    core.wait_ms(1500)
    assert core.received(worker) == b"TIMED_OUT\r\n"


def test_who_waits_for_a_job_of_its_own_sees_it_die(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("attempts=1", ttr="0.5") + b"reserve\r\n")
    core.send(session, b"wait-job 1 3\r\n")
    core.wait_ms(500)
    assert core.received(session) == b"BURIED\r\n"


def test_a_half_closed_client_does_not_wait(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with())
    core.send(worker, b"wait-job 1 30\r\nwait-job 1 30\r\nwait-job 9 30\r\n")
    core.end_input(worker)
    assert core.received(worker) == b"TIMED_OUT\r\nTIMED_OUT\r\nNOT_FOUND\r\n"
    assert worker.closing
    assert not core.broker.queues.watchers
    late = core.connect()
    core.service.end_wait(late, core.now)
    assert core.ask(late, b"wait-job 1 30\r\n") == b"TIMED_OUT\r\n"


def test_the_end_of_input_comes_with_the_end_of_the_job(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """Whichever is first, there is one answer."""
    core.ask(session, put_with())
    core.send(worker, b"wait-job 1 30\r\n")
    core.service.receive(session, b"delete 1\r\n", core.now)
    core.service.end_input(worker, core.now)
    core.settle()
    assert core.received(worker) == b"DELETED\r\n"
    assert worker.closing


def test_a_reserve_after_a_wait_is_a_reserve(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """What was waited for before leaves no trace in how the next answer is given."""
    core.ask(session, put_with())
    core.send(worker, b"wait-job 1 1\r\nreserve\r\nreserve-batch 2 9\r\nreserve\r\n")
    core.advance(NS_PER_S)
    assert core.received(worker) == b"TIMED_OUT\r\nRESERVED 1 1\r\nx\r\n"
    core.ask(session, put_with())
    assert core.received(worker) == b"RESERVED_BATCH 1\r\nJOB 2 1 0 60 1 default\r\nx\r\n"
    core.ask(session, put_with())
    assert core.received(worker) == b"RESERVED 3 1\r\nx\r\n"
