"""Rules that are easily broken and seldom met by chance, one by one."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import ID_MASK, NS_PER_S, TICK_LIMIT
from stalkd.protocol.session import Session
from support.core import Core


@pytest.fixture
def core() -> Core:
    return Core()


def put(core: Core, session: Session, body: bytes, pri: int = 0, delay: int = 0) -> None:
    head = b"put %d %d 60 %d\r\n" % (pri, delay, len(body))
    assert core.ask(session, head + body + b"\r\n").startswith(b"INSERTED")


def reserved_body(core: Core, session: Session) -> bytes:
    reply = core.received(session)
    assert reply.startswith(b"RESERVED"), reply
    return reply.split(b"\r\n")[1]


def test_most_urgent_of_several_tubes(core: Core) -> None:
    """The smallest priority wins, whatever the order of watching, then the oldest job."""
    session = core.connect()
    core.ask(session, b"watch a\r\nwatch b\r\nuse b\r\n")
    put(core, session, b"late", pri=5)
    core.ask(session, b"use a\r\n")
    put(core, session, b"later", pri=5)
    put(core, session, b"urgent", pri=4)
    bodies = []
    for _ in range(3):
        core.send(session, b"reserve\r\n")
        bodies.append(reserved_body(core, session))
    assert bodies == [b"urgent", b"late", b"later"]


def test_jobs_of_a_lost_client_go_back_most_urgent_first(core: Core) -> None:
    """The client that waits longest gets the most urgent of them, not the first reserved."""
    lost, first, second = core.connect(), core.connect(), core.connect()
    put(core, lost, b"slow", pri=9)
    core.send(lost, b"reserve\r\n")
    put(core, first, b"quick", pri=1)
    core.send(lost, b"reserve\r\n")
    core.send(first, b"reserve\r\n")
    core.send(second, b"reserve\r\n")
    core.disconnect(lost)
    assert reserved_body(core, first) == b"quick"
    assert reserved_body(core, second) == b"slow"


def test_waiting_clients_are_served_in_order(core: Core) -> None:
    """First come, first served, also for one that has been served before."""
    producer, *workers = (core.connect() for _ in range(6))
    for _ in range(3):
        for worker in workers:
            core.send(worker, b"reserve\r\n")
        for number, worker in enumerate(workers):
            put(core, producer, b"%d" % number)
            assert reserved_body(core, worker) == b"%d" % number


def test_a_released_job_keeps_its_age(core: Core) -> None:
    """Among equals, the lower id comes first, also when it was away."""
    session = core.connect()
    put(core, session, b"old")
    put(core, session, b"new")
    core.ask(session, b"reserve\r\nrelease 1 0 0\r\nreserve\r\n")
    assert core.ask(session, b"peek-ready\r\n") == b"FOUND 2 3\r\nnew\r\n"


def test_silent_workers_lose_their_jobs(core: Core) -> None:
    """Every lease ends at its deadline, to the nanosecond, though its holder says nothing."""
    workers = [core.connect() for _ in range(200)]
    for number, worker in enumerate(workers):
        core.send(worker, b"put 0 0 %d 0\r\n\r\nreserve\r\n" % (number % 5 + 1))
    for second in range(1, 6):
        core.advance(second * NS_PER_S - 1)
        assert core.broker.timeouts == 40 * (second - 1)
        core.advance(second * NS_PER_S)
        assert core.broker.timeouts == 40 * second


def test_a_tick_is_bounded(core: Core) -> None:
    """Delays that end together are handled in portions; between them clients have their turn."""
    session = core.connect()
    core.send(session, b"put 0 1 60 0\r\n\r\n" * (TICK_LIMIT + 10))
    core.broker.tick(NS_PER_S)
    assert core.broker.directory.default.ready.size == TICK_LIMIT
    assert core.broker.next_deadline() <= NS_PER_S
    core.broker.tick(NS_PER_S)
    assert core.broker.directory.default.ready.size == TICK_LIMIT + 10


def test_deadline_soon_and_paused_tubes(core: Core) -> None:
    """A ready job that cannot be had does not keep the warning away."""
    session = core.connect()
    core.ask(session, b"put 0 0 1 0\r\n\r\nreserve\r\n")
    put(core, session, b"unreachable")
    core.ask(session, b"pause-tube default 9\r\n")
    assert core.ask(session, b"reserve-with-timeout 0\r\n") == b"DEADLINE_SOON\r\n"


def test_a_ready_job_comes_before_deadline_soon(core: Core) -> None:
    """Within the last second of a lease a job that can be had is still handed out."""
    session = core.connect()
    core.ask(session, b"put 0 0 1 0\r\n\r\nreserve\r\n")
    put(core, session, b"another")
    core.send(session, b"reserve\r\n")
    assert reserved_body(core, session) == b"another"


def test_deadline_soon_before_timed_out(core: Core) -> None:
    """When both are due at once, the warning is given."""
    session = core.connect()
    core.ask(session, b"put 0 0 3 0\r\n\r\nreserve\r\nreserve-with-timeout 2\r\n")
    core.advance(2 * NS_PER_S - 1)
    assert core.received(session) == b""
    core.advance(2 * NS_PER_S)
    assert core.received(session) == b"DEADLINE_SOON\r\n"


def test_pause_ends(core: Core) -> None:
    """A worker that waits on a paused tube is served when the pause ends, not before."""
    producer, worker = core.connect(), core.connect()
    core.ask(producer, b"pause-tube default 2\r\n")
    core.send(worker, b"reserve\r\n")
    put(core, producer, b"x")
    core.advance(2 * NS_PER_S - 1)
    assert core.received(worker) == b""
    core.advance(2 * NS_PER_S)
    assert reserved_body(core, worker) == b"x"


def test_a_tube_that_nobody_needs_is_forgotten(core: Core) -> None:
    """With its last user, watcher and job a tube goes, with its counters and its pause."""
    session, other = core.connect(), core.connect()
    core.ask(session, b"use a\r\npause-tube a 9\r\n")
    put(core, session, b"x")
    core.ask(session, b"use default\r\n")
    assert b"total-jobs: 1\n" in core.ask(other, b"stats-tube a\r\n")
    assert core.ask(other, b"delete 1\r\nstats-tube a\r\n") == b"DELETED\r\nNOT_FOUND\r\n"
    assert core.broker.next_deadline() > 10**18
    core.ask(session, b"use a\r\n")
    assert b"cmd-pause-tube: 0\n" in core.ask(other, b"stats-tube a\r\n")


def test_a_million_jobs(core: Core) -> None:
    """They are put, counted, taken from the front, the middle and the end, as a few are."""
    session, count = core.connect(), 1_000_000
    batch = b"put 7 0 60 0\r\n\r\n" * 1_000
    for _ in range(count // 1_000):
        core.send(session, batch)
    assert core.received(session).endswith(b"INSERTED 1000000\r\n")
    assert core.ask(session, b"reserve\r\n") == b"RESERVED 1 0\r\n\r\n"
    assert core.ask(session, b"delete 500000\r\ndelete 1000000\r\n") == b"DELETED\r\n" * 2
    assert b"current-jobs-ready: 999997\n" in core.ask(session, b"stats-tube default\r\n")
    ready = core.broker.directory.default.ready
    for _ in range(499_998):
        core.broker.delete(session.client, ready.first() & ID_MASK, 0)
    assert core.ask(session, b"peek-ready\r\n") == b"FOUND 500001 0\r\n\r\n"
