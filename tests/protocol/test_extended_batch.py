"""reserve-batch and touch-for: many jobs at once, and leases of any length."""

from __future__ import annotations

import re

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import MOST_BATCH, OUTPUT_HIGH_WATER
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

JOB = re.compile(rb"JOB (\d+) (\d+) (\d+) ([\d.]+) (\d+) (\S+)\r\n")


def ids(reply: bytes) -> list[int]:
    """Return the ids in a batch, whose form is verified."""
    head, _, rest = reply.partition(b"\r\n")
    word, count = head.split(b" ")
    assert word == b"RESERVED_BATCH"
    found = []
    while rest:
        match = JOB.match(rest)
        assert match
        found.append(int(match[1]))
        end = match.end() + int(match[2])
        assert rest[end : end + 2] == b"\r\n"
        rest = rest[end + 2 :]
    assert len(found) == int(count)
    return found


def test_a_batch_says_all_about_its_jobs(core: CheckedCore, session: Session) -> None:
    """Id, size, priority, time-to-run, attempt and tube; the most urgent first."""
    core.ask(session, b"watch a\r\n" + put_with("tube=a", pri=9, ttr="1.5", body=b"a\r\nb"))
    core.ask(session, b"put 3 0 60 0\r\n\r\nreserve\r\nrelease 2 3 0\r\n" + put_with(ttr="0.001"))
    assert core.ask(session, b"reserve-batch 10 0\r\n") == (
        b"RESERVED_BATCH 3\r\n"
        b"JOB 3 1 0 0.001 1 default\r\nx\r\n"
        b"JOB 2 0 3 60 2 default\r\n\r\n"
        b"JOB 1 4 9 1.500 1 a\r\na\r\nb\r\n"
    )
    assert core.states() == {2: "reserved", 3: "reserved"}


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2), (3, 3), (4, 3), (4294967295, 3)])
def test_no_more_than_asked_for(
    core: CheckedCore, session: Session, most: int, expected: int
) -> None:
    core.ask(session, put_with() * 3)
    found = ids(core.ask(session, b"reserve-batch %d 0\r\n" % most))
    assert found == [1, 2, 3][:expected]


def test_a_batch_is_bounded_in_jobs(core: CheckedCore, session: Session) -> None:
    core.send(session, put_with(body=b"") * (MOST_BATCH + 1))
    core.received(session)
    assert len(ids(core.ask(session, b"reserve-batch 4294967295 0\r\n"))) == MOST_BATCH


def test_a_batch_is_bounded_in_bytes(core: CheckedCore, session: Session) -> None:
    """The first that does not fit ends it, though others behind it would: nobody overtakes."""
    size = OUTPUT_HIGH_WATER // 5
    for number in range(7):
        core.send(session, put_with(pri=number, body=b"x" * size))
    core.ask(session, put_with(pri=9))
    assert ids(core.ask(session, b"reserve-batch 100 0\r\n")) == [1, 2, 3, 4, 5]
    assert ids(core.ask(session, b"reserve-batch 100 0\r\n")) == [6, 7, 8]


def test_the_first_job_fits_whatever_its_size(core: CheckedCore, session: Session) -> None:
    core.shared.max_job_size = 2 * OUTPUT_HIGH_WATER
    core.ask(session, put_with(body=b"x" * 2 * OUTPUT_HIGH_WATER) + put_with())
    assert ids(core.ask(session, b"reserve-batch 9 0\r\n")) == [1]
    assert ids(core.ask(session, b"reserve-batch 9 0\r\n")) == [2]


def test_the_first_is_waited_for_and_the_rest_only_taken(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.send(worker, b"reserve-batch 3 5\r\nlist-tube-used\r\n")
    assert core.received(worker) == b""
    core.send(session, put_with())
    assert core.received(worker) == (
        b"RESERVED_BATCH 1\r\nJOB 1 1 0 60 1 default\r\nx\r\nUSING default\r\n"
    )


def test_what_comes_in_the_same_moment_is_in_the_batch(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.send(worker, b"reserve-batch 3 5\r\n")
    core.send(session, put_with() * 4)
    assert ids(core.received(worker)) == [1, 2, 3]


def test_a_batch_that_waits_is_served_in_its_turn(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """It is one client among others: who waited before it gets the first job."""
    first = core.connect()
    core.send(first, b"reserve\r\n")
    core.send(worker, b"reserve-batch 9 9\r\n")
    core.send(session, put_with() * 3)
    assert core.received(first) == b"RESERVED 1 1\r\nx\r\n"
    assert ids(core.received(worker)) == [2, 3]


@pytest.mark.parametrize("timeout", [b"0.001", b"0.75", b"2"])
def test_the_wait_is_exact(core: CheckedCore, session: Session, timeout: bytes) -> None:
    end = round(float(timeout) * 1000) * NS_PER_S // 1000
    core.send(session, b"reserve-batch 3 " + timeout + b"\r\n")
    core.advance(end - 1)
    assert core.received(session) == b""
    core.advance(end)
    assert core.received(session) == b"TIMED_OUT\r\n"
    core.ask(session, put_with())
    assert core.states() == {1: "ready"}


def test_a_batch_of_nothing_times_out_at_once(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, b"reserve-batch 3 0\r\n") == b"TIMED_OUT\r\n"


def test_deadline_soon(core: CheckedCore, session: Session) -> None:
    """At once, and in the middle of a wait; a job that is there comes first."""
    core.ask(session, put_with(ttr="2") + b"reserve\r\n")
    core.send(session, b"reserve-batch 3 9\r\n")
    core.advance(NS_PER_S - 1)
    assert core.received(session) == b""
    core.advance(NS_PER_S)
    assert core.received(session) == b"DEADLINE_SOON\r\n"
    assert core.ask(session, b"reserve-batch 3 0\r\n") == b"DEADLINE_SOON\r\n"
    assert ids(core.ask(session, put_with() + b"reserve-batch 3 0\r\n")[12:]) == [2]


def test_leases_start_together_and_end_one_by_one(core: CheckedCore, session: Session) -> None:
    for ttr in ("3", "1", "2.5"):
        core.ask(session, put_with(ttr=ttr))
    core.advance(NS_PER_S)
    core.ask(session, b"reserve-batch 3 0\r\n")
    for milliseconds, left in ((999, {1, 2, 3}), (1000, {1, 3}), (2500, {1}), (3000, set())):
        core.advance(NS_PER_S + milliseconds * NS_PER_S // 1000)
        states = core.states()
        assert {number for number in states if states[number] == "reserved"} == left
    assert core.broker.timeouts == 3


def test_all_go_back_when_the_holder_goes(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with() * 3)
    core.ask(worker, b"reserve-batch 3 0\r\nrelease 1 0 9\r\n")
    core.disconnect(worker)
    assert core.states() == {1: "delayed", 2: "ready", 3: "ready"}


def test_a_client_that_goes_while_it_waits_takes_nothing(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.send(worker, b"reserve-batch 3 9\r\n")
    core.disconnect(worker)
    core.ask(session, put_with())
    assert core.states() == {1: "ready"}


def test_a_half_closed_client_does_not_wait(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.send(worker, b"reserve-batch 3 9\r\nreserve-batch 3 9\r\n")
    core.end_input(worker)
    assert core.received(worker) == b"TIMED_OUT\r\nTIMED_OUT\r\n"
    assert worker.closing
    core.ask(session, put_with())
    late = core.connect()
    core.service.end_wait(late, core.now)
    core.send(late, b"reserve-batch 3 9\r\nreserve-batch 3 9\r\n")
    reply = core.received(late)
    assert reply.endswith(b"x\r\nTIMED_OUT\r\n")
    assert not late.closing


def test_a_batch_passes_over_paused_tubes(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"watch a\r\n" + put_with("tube=a") + put_with() + b"pause-tube a 9\r\n")
    assert ids(core.ask(session, b"reserve-batch 9 0\r\n")) == [2]


def test_a_job_taken_back_meanwhile_is_named_once(core: CheckedCore, worker: Session) -> None:
    """It is handed over and taken back before its batch could be sent: then its lease is lost."""
    other = core.connect()
    core.send(worker, b"reserve-batch 9 9\r\n")
    core.service.receive(other, put_with() + b"release-tube default\r\n", core.now)
    core.settle()
    assert core.received(other) == b"INSERTED 1\r\nRELEASED 1\r\n"
    assert ids(core.received(worker)) == [1]
    assert core.states() == {1: "ready"}


# -- touch-for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", ["0.001", "0.5", "30", "90", "4294967295"])
def test_a_lease_ends_when_it_was_said(
    core: CheckedCore, session: Session, worker: Session, seconds: str
) -> None:
    """Sooner or later than before, and counted from the touch."""
    core.ask(session, put_with())
    core.ask(worker, b"reserve\r\n")
    core.advance(10 * NS_PER_S)
    assert core.ask(worker, f"touch-for 1 {seconds}\r\n".encode()) == b"TOUCHED\r\n"
    end = 10 * NS_PER_S + round(float(seconds) * 1000) * NS_PER_S // 1000
    core.advance(end - 1)
    assert core.states() == {1: "reserved"}
    core.advance(end)
    assert core.states() == {1: "ready"}
    assert core.broker.timeouts == 1


def test_a_touch_for_nothing_ends_the_lease(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with())
    assert core.ask(worker, b"reserve\r\ntouch-for 1 0\r\n").endswith(b"TOUCHED\r\n")
    core.advance(core.now)
    assert core.states() == {1: "ready"}


def test_a_touch_after_a_touch_for_is_the_usual_one(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with(ttr="1.5"))
    core.ask(worker, b"reserve\r\ntouch-for 1 100\r\ntouch 1\r\n")
    core.wait_ms(1499)
    assert core.states() == {1: "reserved"}
    core.wait_ms(1)
    assert core.states() == {1: "ready"}


def test_only_the_holder_touches(core: CheckedCore, session: Session, worker: Session) -> None:
    core.ask(session, put_with() + put_with(delay="9") + put_with())
    core.ask(worker, b"reserve\r\nreserve-job 3\r\nbury 3 0\r\n")
    touches = b"touch-for 1 5\r\ntouch-for 2 5\r\ntouch-for 3 5\r\ntouch-for 4 5\r\n"
    assert core.ask(session, touches) == b"NOT_FOUND\r\n" * 4
    assert core.ask(worker, touches) == b"TOUCHED\r\n" + b"NOT_FOUND\r\n" * 3


def test_a_shorter_lease_brings_deadline_soon_nearer(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with() + b"reserve\r\ntouch-for 1 3\r\n")
    core.send(session, b"reserve\r\n")
    core.advance(2 * NS_PER_S - 1)
    assert core.received(session) == b""
    core.advance(2 * NS_PER_S)
    assert core.received(session) == b"DEADLINE_SOON\r\n"
