"""rate and concurrency: when jobs may be reserved, and who gets the next."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.broker.policy import BURST_NS
from stalkd.protocol.session import Session
from support.extended import NS_PER_MS, CheckedCore, put_with


def start(core: CheckedCore, options: str, jobs: int) -> None:
    """Give the default tube a policy and jobs."""
    session = core.connect()
    core.ask(session, f"set-policy default {options}\r\n".encode())
    core.ask(session, put_with(ttr="9999") * jobs)
    core.disconnect(session)


def waiting(core: CheckedCore, count: int, line: bytes = b"reserve\r\n") -> list[Session]:
    """Return clients that have begun to wait in this order."""
    clients = [core.connect() for _ in range(count)]
    for client in clients:
        core.send(client, line)
    return clients


def got(core: CheckedCore, client: Session) -> int:
    """Return the id of the job that a client has got, 0 if none."""
    reply = core.received(client)
    return int(reply.split()[1]) if reply else 0


# -- rate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "interval"),
    [("0.001", 1_000_000), ("0.5", 2_000), ("1", 1_000), ("2.5", 400), ("8", 125), ("100", 10)],
)
def test_who_waits_wakes_exactly_when_it_is_allowed(
    core: CheckedCore, rate: str, interval: int
) -> None:
    """Not a nanosecond before; one after the other, in the order of waiting."""
    start(core, f"rate={rate}", 5)
    clients = waiting(core, 4)
    assert [got(core, client) for client in clients] == [1, 0, 0, 0]
    for number in (1, 2, 3):
        core.advance(number * interval * NS_PER_MS - 1)
        assert [got(core, client) for client in clients] == [0, 0, 0, 0]
        core.advance(number * interval * NS_PER_MS)
        assert [got(core, client) for client in clients] == [
            number + 1 if place == number else 0 for place in range(4)
        ]


@pytest.mark.parametrize(
    "reserve",
    [b"reserve-with-timeout 0", b"reserve-batch 9 0"],
)
def test_who_does_not_wait_goes_without(
    core: CheckedCore, session: Session, reserve: bytes
) -> None:
    """Though there are jobs; a batch has as many as the rate allows."""
    start(core, "rate=2", 3)
    for number in (1, 2, 3):
        reply = core.ask(session, reserve + b"\r\n")
        assert b" %d 1" % number in reply
        assert reply.count(b"x\r\n") == 1
        assert core.ask(session, reserve + b"\r\n") == b"TIMED_OUT\r\n"
        core.wait_ms(499)
        assert core.ask(session, reserve + b"\r\n") == b"TIMED_OUT\r\n"
        core.wait_ms(1)


def test_a_timeout_may_come_before_the_rate(core: CheckedCore) -> None:
    """Who has left is passed over."""
    start(core, "rate=1", 3)
    first, quick, gone, last = waiting(core, 4, b"reserve-with-timeout 9\r\n")
    core.disconnect(gone)
    core.end_input(quick)
    assert (got(core, first), core.received(quick)) == (1, b"TIMED_OUT\r\n")
    core.advance(NS_PER_S)
    assert got(core, last) == 2


def test_who_comes_again_stands_behind_the_others(core: CheckedCore) -> None:
    """Over a long time all get the same."""
    start(core, "rate=10", 300)
    clients = waiting(core, 7)
    counts = [0] * 7
    for step in range(70):
        core.advance(step * 100 * NS_PER_MS)
        for place, client in enumerate(clients):
            number = got(core, client)
            if number:
                counts[place] += 1
                core.send(client, b"reserve\r\n")
    assert counts == [10] * 7


@pytest.mark.parametrize("rate", [50, 200, 1_000, 30_000, 1_000_000])
def test_a_high_rate_is_kept_over_time(core: CheckedCore, session: Session, rate: int) -> None:
    """What falls within BURST_NS may come together; over 50 ms it is as many as it says."""
    expected = rate // 20
    start(core, f"rate={rate}", 0)
    jobs = min(expected + rate // 100 + 10, 2_000)
    core.send(session, put_with(body=b"") * jobs)
    worker = core.connect()
    taken = 0
    while core.now < 50 * NS_PER_MS and taken < jobs:
        core.received(worker)
        core.send(worker, b"reserve-batch 1000 0\r\n")
        taken = core.broker.queues.reserved
        core.wait_ms(1)
    burst = rate * BURST_NS // NS_PER_S
    assert min(jobs, expected) <= taken <= expected + burst + 1


def test_a_rate_is_not_saved_up(core: CheckedCore) -> None:
    """After an idle hour there is one reserve, not thousands."""
    start(core, "rate=1", 5)
    core.advance(3_600 * NS_PER_S)
    clients = waiting(core, 3)
    assert [got(core, client) for client in clients] == [1, 0, 0]


def test_reserve_job_counts_but_is_not_refused(core: CheckedCore, session: Session) -> None:
    """As in a paused tube. The next reserve is due an interval after the last of them."""
    start(core, "rate=1", 4)
    core.ask(session, b"reserve-job 4\r\nreserve-job 3\r\n")
    core.wait_ms(500)
    core.ask(session, b"reserve-job 2\r\n")
    assert core.states() == {1: "ready", 2: "reserved", 3: "reserved", 4: "reserved"}
    (client,) = waiting(core, 1)
    core.wait_ms(999)
    assert got(core, client) == 0
    core.wait_ms(1)
    assert got(core, client) == 1


@pytest.mark.parametrize(
    ("rate", "opens"), [("0.001", 1_000_000), ("40", 25), ("200", 5), ("1e3", 1)]
)
def test_any_number_of_reserve_job_puts_the_next_off_by_one_interval(
    core: CheckedCore, session: Session, rate: str, opens: int
) -> None:
    """Milliseconds. Who takes jobs by their ids does not close the tube for hours."""
    start(core, f"rate={float(rate):g}", 300)
    core.ask(session, b"".join(b"reserve-job %d\r\n" % number for number in range(2, 301)))
    first, second = waiting(core, 2)
    core.advance(opens * NS_PER_MS - 1)
    assert (got(core, first), got(core, second)) == (0, 0)
    core.advance(opens * NS_PER_MS)
    assert (got(core, first), got(core, second)) == (1, 0)


@pytest.mark.parametrize("options", ["rate=0", "rate=100", "rate=1000000"])
def test_a_higher_rate_holds_at_once(core: CheckedCore, options: str) -> None:
    """What the old one has put off does not outlast it."""
    start(core, "rate=0.001", 5)
    first, second = waiting(core, 2)
    assert (got(core, first), got(core, second)) == (1, 0)
    core.ask(core.connect(), f"set-policy default {options}\r\n".encode())
    core.wait_ms(10)
    assert got(core, second) == 2


def test_a_rate_that_is_set_again_grants_nothing(core: CheckedCore) -> None:
    """Whoever sets the policy in a loop does not open the tube by that."""
    start(core, "rate=1", 5)
    first, second = waiting(core, 2)
    session = core.connect()
    for milliseconds in range(0, 1_000, 50):
        core.advance(milliseconds * NS_PER_MS)
        core.ask(session, b"set-policy default rate=1 max-jobs=9\r\n")
    assert (got(core, first), got(core, second)) == (1, 0)
    core.advance(NS_PER_S)
    assert got(core, second) == 2


@pytest.mark.parametrize(("pause", "opens"), [(1, 2), (2, 2), (3, 3)])
def test_a_pause_and_a_rate_hold_both(core: CheckedCore, pause: int, opens: int) -> None:
    start(core, "rate=0.5", 5)
    first, second = waiting(core, 2)
    core.ask(core.connect(), b"pause-tube default %d\r\n" % pause)
    core.advance(opens * NS_PER_S - 1)
    assert (got(core, first), got(core, second)) == (1, 0)
    core.advance(opens * NS_PER_S)
    assert got(core, second) == 2


def test_a_pause_that_is_ended_does_not_end_the_rate(core: CheckedCore) -> None:
    start(core, "rate=1", 5)
    first, second = waiting(core, 2)
    session = core.connect()
    core.ask(session, b"pause-tube default 9\r\npause-tube default 0\r\n")
    assert (got(core, first), got(core, second)) == (1, 0)
    core.advance(NS_PER_S)
    assert got(core, second) == 2


def test_another_tube_is_not_slowed_down(core: CheckedCore, session: Session) -> None:
    """Its jobs are had, though more urgent ones wait in the tube that is closed."""
    start(core, "rate=1", 3)
    core.ask(session, b"watch a\r\n" + put_with("tube=a", pri=99))
    assert b"RESERVED 1" in core.ask(session, b"reserve\r\n")
    assert b"RESERVED 4" in core.ask(session, b"reserve\r\n")
    core.send(session, b"reserve\r\n")
    core.advance(NS_PER_S)
    assert got(core, session) == 2


def test_jobs_that_come_into_a_closed_tube_wait(core: CheckedCore, session: Session) -> None:
    """In their order of priority, by whatever way they come in."""
    start(core, "rate=1", 1)
    first, second, third = waiting(core, 3)
    core.ask(session, put_with(pri=5, delay="0.5") + put_with(pri=3, delay="0.7"))
    core.wait_ms(999)
    assert (got(core, first), got(core, second)) == (1, 0)
    core.wait_ms(1)
    assert (got(core, second), got(core, third)) == (3, 0)
    core.wait_ms(1000)
    assert got(core, third) == 2


# -- concurrency ----------------------------------------------------------------------------------

ENDINGS = {
    "delete": "delete 1",
    "bury": "bury 1 0",
    "release with delay": "release 1 0 9",
    "purge": "purge-tube default reserved",
    "expiry": "|release 1 0 0",
}


@pytest.mark.parametrize("ending", [*ENDINGS, "disconnect", "timeout", "release", "take back"])
def test_the_end_of_a_lease_lets_the_next_in(
    core: CheckedCore, session: Session, worker: Session, ending: str
) -> None:
    """Who has waited longest, and gets the most urgent job: also the one that came back."""
    core.ask(session, b"set-policy default concurrency=1\r\n")
    core.ask(session, put_with("ttl=2" if ending == "expiry" else "", ttr="3"))
    core.ask(session, put_with(pri=1) * 2)
    core.ask(worker, b"reserve\r\n")
    first, second = waiting(core, 2)
    core.advance(3 * NS_PER_S - 1)
    assert (got(core, first), got(core, second)) == (0, 0)
    if ending == "timeout":
        core.advance(3 * NS_PER_S)
    elif ending == "disconnect":
        core.disconnect(worker)
    elif ending == "release":
        core.ask(worker, b"release 1 0 0\r\n")
    elif ending == "take back":
        core.ask(session, b"release-tube default\r\n")
    else:
        core.ask(worker, ENDINGS[ending].replace("|", "").encode() + b"\r\n")
    back = ending in {"disconnect", "timeout", "release", "take back"}
    assert (got(core, first), got(core, second)) == (1 if back else 2, 0)


def test_a_death_lets_the_next_in(core: CheckedCore, session: Session, worker: Session) -> None:
    """Dead in place or elsewhere."""
    core.ask(session, b"set-policy default concurrency=1\r\n")
    core.ask(session, put_with("attempts=1") + put_with("attempts=1 dead=d") + put_with())
    core.ask(worker, b"reserve\r\n")
    first, second = waiting(core, 2)
    core.ask(worker, b"release 1 0 0\r\n")
    assert got(core, first) == 2
    core.disconnect(first)
    assert got(core, second) == 3


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_more_leases_than_allowed(core: CheckedCore, session: Session, limit: int) -> None:
    """However they are asked for."""
    start(core, f"concurrency={limit}", 9)
    reply = core.ask(session, b"reserve-batch 9 0\r\n")
    assert reply.startswith(b"RESERVED_BATCH %d\r\n" % limit)
    assert core.ask(session, b"reserve-batch 9 0\r\nreserve-with-timeout 0\r\n") == (
        b"TIMED_OUT\r\n" * 2
    )
    assert core.ask(session, b"delete 1\r\nreserve-batch 9 0\r\n").startswith(
        b"DELETED\r\nRESERVED_BATCH 1\r\n"
    )


def test_reserve_job_goes_beyond_the_limit(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """It is not refused, but counts: the tube opens when the number is below the limit again."""
    start(core, "concurrency=2", 5)
    core.ask(worker, b"reserve-job 5\r\nreserve-job 4\r\nreserve-job 3\r\n")
    assert core.broker.directory.default.reserved == 3
    (client,) = waiting(core, 1)
    core.ask(worker, b"delete 3\r\n")
    assert got(core, client) == 0
    core.ask(worker, b"delete 4\r\n")
    assert got(core, client) == 1


def test_touching_opens_nothing(core: CheckedCore, session: Session, worker: Session) -> None:
    start(core, "concurrency=1", 2)
    core.ask(worker, b"reserve\r\n")
    (client,) = waiting(core, 1)
    core.ask(worker, b"touch 1\r\ntouch-for 1 100\r\n")
    core.wait_ms(60_000)
    assert got(core, client) == 0


def test_a_limit_may_change(core: CheckedCore, session: Session, worker: Session) -> None:
    """A higher one serves who waits; a lower one takes no lease away."""
    start(core, "concurrency=1", 9)
    clients = waiting(core, 5)
    core.ask(session, b"set-policy default concurrency=3\r\n")
    assert [got(core, client) for client in clients] == [1, 2, 3, 0, 0]
    core.ask(session, b"set-policy default concurrency=2\r\n")
    assert core.broker.directory.default.reserved == 3
    core.ask(clients[0], b"delete 1\r\n")
    assert got(core, clients[3]) == 0
    core.ask(clients[1], b"delete 2\r\n")
    assert got(core, clients[3]) == 4
    core.ask(session, b"set-policy default concurrency=0\r\n")
    assert got(core, clients[4]) == 5


def test_a_crowded_tube_and_deadline_soon(core: CheckedCore, session: Session) -> None:
    """A job that cannot be had does not keep the warning away."""
    core.ask(session, b"set-policy default concurrency=1\r\n" + put_with(ttr="2") + put_with())
    core.ask(session, b"reserve\r\n")
    core.send(session, b"reserve\r\n")
    core.advance(NS_PER_S)
    assert core.received(session) == b"DEADLINE_SOON\r\n"


def test_rate_and_concurrency_hold_both(core: CheckedCore, worker: Session) -> None:
    start(core, "rate=1 concurrency=1", 5)
    core.ask(worker, b"reserve\r\n")
    (client,) = waiting(core, 1)
    core.ask(worker, b"delete 1\r\n")
    core.advance(NS_PER_S - 1)
    assert got(core, client) == 0
    core.advance(NS_PER_S)
    assert got(core, client) == 2
    (other,) = waiting(core, 1)
    core.advance(5 * NS_PER_S)
    assert got(core, other) == 0
    core.ask(client, b"delete 2\r\n")
    assert got(core, other) == 3


def test_a_dropped_tube_forgets_its_limits(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy a rate=0.001\r\n" + put_with("tube=a") + b"watch a\r\n")
    core.ask(session, b"reserve\r\ndelete 1\r\nset-policy a rate=0\r\nignore a\r\n")
    core.ask(session, put_with("tube=a") * 2 + b"watch a\r\n")
    assert core.ask(session, b"reserve\r\nreserve\r\n").count(b"RESERVED") == 2
