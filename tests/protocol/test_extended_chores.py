"""purge-tube, release-tube, move-jobs: at once in effect, in steps where there are many jobs."""

from __future__ import annotations

import pytest

from stalkd.broker import chores
from stalkd.broker.chores import STEP
from stalkd.broker.limits import NEVER, NS_PER_S
from stalkd.protocol.session import Session
from support.extended import CheckedCore, FakeJournal, put_with


@pytest.fixture(autouse=True)
def equal_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all chores go on by as many jobs at a time."""
    monkeypatch.setattr(chores, "SMALL_STEP", chores.STEP)


MANY = 3_000


def fill(core: CheckedCore, count: int, tube: str = "default", delay: str = "0") -> None:
    session = core.connect()
    core.service.receive(session, put_with(f"tube={tube}", delay=delay, body=b"") * count, core.now)
    core.settle()
    core.disconnect(session)


def one_of_each(core: CheckedCore, session: Session, worker: Session) -> None:
    """Jobs 1 to 4: reserved by the worker, buried, delayed, ready; all with keys and expiry."""
    for number in range(1, 5):
        delay = "60" if number == 3 else "0"
        core.ask(session, put_with(f"tube=a key=k{number} ttl=90", delay=delay))
    core.ask(worker, b"watch a\r\nreserve-job 2\r\nbury 2 0\r\nreserve-job 1\r\n")


# -- purge-tube -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ("ready", {1: "reserved", 2: "buried", 3: "delayed"}),
        ("delayed", {1: "reserved", 2: "buried", 4: "ready"}),
        ("buried", {1: "reserved", 3: "delayed", 4: "ready"}),
        ("reserved", {2: "buried", 3: "delayed", 4: "ready"}),
    ],
)
def test_a_purge_is_of_one_state(
    core: CheckedCore, session: Session, worker: Session, state: str, left: dict[int, str]
) -> None:
    one_of_each(core, session, worker)
    assert core.ask(session, f"purge-tube a {state}\r\n".encode()) == b"PURGED 1\r\n"
    assert core.states("a") == left
    assert core.ask(session, f"purge-tube a {state}\r\n".encode()) == b"PURGED 0\r\n"


def test_a_purge_of_all_leaves_nothing(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """No job, no key, no lease, no memory; and the tube goes when nobody watches it."""
    one_of_each(core, session, worker)
    assert core.ask(session, b"purge-tube a all\r\n") == b"PURGED 4\r\n"
    assert core.broker.memory == 0
    assert core.ask(worker, b"delete 1\r\ntouch 1\r\n") == b"NOT_FOUND\r\n" * 2
    assert core.ask(session, put_with("tube=a key=k1")) == b"INSERTED 5\r\n"
    core.ask(worker, b"ignore a\r\n")
    assert core.ask(session, b"purge-tube a all\r\npurge-tube a all\r\n") == (
        b"PURGED 1\r\nNOT_FOUND\r\n"
    )
    core.advance(200 * NS_PER_S)
    assert core.broker.expired == 0


def test_a_purged_job_is_not_counted_as_deleted_by_a_client(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with() + b"purge-tube default all\r\n")
    assert core.look(session, "stats-tube default")["cmd-delete"] == 0


def test_a_purge_of_held_jobs_makes_room_for_others(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """A tube at its limit of leases opens, and who waits is served."""
    core.ask(session, b"set-policy default concurrency=1\r\n" + put_with() + put_with())
    core.ask(worker, b"reserve\r\n")
    waiter = core.connect()
    core.send(waiter, b"reserve\r\n")
    assert core.ask(session, b"purge-tube default reserved\r\n") == b"PURGED 1\r\n"
    assert core.received(waiter) == b"RESERVED 2 1\r\nx\r\n"


# -- release-tube ---------------------------------------------------------------------------------


def test_all_leases_of_a_tube_end(core: CheckedCore, session: Session, worker: Session) -> None:
    """Whoever has them, but not those of other tubes; as little counted as a lost connection."""
    core.ask(session, put_with("tube=a") * 2 + put_with())
    core.ask(worker, b"watch a\r\nreserve-job 1\r\nreserve-job 3\r\n")
    core.ask(session, b"reserve-job 2\r\n")
    assert core.ask(session, b"release-tube a\r\n") == b"RELEASED 2\r\n"
    assert core.states("a") == {1: "ready", 2: "ready"}
    assert core.states() == {3: "reserved"}
    assert core.ask(worker, b"release 1 0 0\r\ntouch 1\r\n") == b"NOT_FOUND\r\n" * 2
    stats = core.look(session, "stats-job 1")
    assert (stats["releases"], stats["timeouts"], stats["reserves"]) == (0, 0, 1)
    assert core.ask(session, b"release-tube a\r\n") == b"RELEASED 0\r\n"
    assert core.ask(session, b"release-tube b\r\n") == b"NOT_FOUND\r\n"


def test_released_jobs_go_to_those_who_wait(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    """The holder too, if it waits; each job is released once."""
    core.ask(session, put_with() * 2)
    core.ask(worker, b"reserve\r\nreserve\r\n")
    core.send(worker, b"reserve\r\n")
    other = core.connect()
    core.send(other, b"reserve\r\n")
    assert core.ask(session, b"release-tube default\r\n") == b"RELEASED 2\r\n"
    assert core.received(worker) == b"RESERVED 1 1\r\nx\r\n"
    assert core.received(other) == b"RESERVED 2 1\r\nx\r\n"


# -- move-jobs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "number", "now_in"), [("buried", 2, "ready"), ("delayed", 3, "delayed")]
)
def test_a_moved_job_lives(
    core: CheckedCore,
    session: Session,
    worker: Session,
    state: str,
    number: int,
    now_in: str,
) -> None:
    """A buried one is ready in the target; a delayed one keeps its delay."""
    one_of_each(core, session, worker)
    assert core.ask(session, f"move-jobs a {state} b 9\r\n".encode()) == b"MOVED 1\r\n"
    assert core.states("b") == {number: now_in}
    assert "key" not in core.list_jobs("b")[0]
    core.advance(60 * NS_PER_S)
    assert core.states("b") == {number: "ready"}
    assert core.look(session, f"stats-job {number}")["tube"] == "b"


def test_jobs_move_in_their_order_and_up_to_a_number(core: CheckedCore, session: Session) -> None:
    """The redrive with a stop button: small n, repeated."""
    for pri in (3, 1, 2):
        core.ask(session, put_with("tube=a", pri=pri))
    assert core.ask(session, b"move-jobs a ready b 0\r\n") == b"MOVED 0\r\n"
    assert core.ask(session, b"move-jobs a ready b 2\r\n") == b"MOVED 2\r\n"
    assert core.states("b") == {2: "ready", 3: "ready"}
    assert core.ask(session, b"move-jobs a ready b 4294967295\r\n") == b"MOVED 1\r\n"
    assert core.ask(session, b"move-jobs a ready b 1\r\n") == b"NOT_FOUND\r\n"


def test_a_tube_that_is_emptied_stays_while_somebody_uses_it(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, b"use a\r\n" + put_with() + b"move-jobs a ready b 9\r\n")
    assert core.ask(session, b"move-jobs a ready b 9\r\n") == b"MOVED 0\r\n"


def test_moving_nothing_makes_no_tube(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, b"move-jobs default ready b 9\r\nstats-tube b\r\n") == (
        b"MOVED 0\r\nNOT_FOUND\r\n"
    )


def test_moved_jobs_go_to_those_who_wait(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with("tube=a"))
    core.send(worker, b"watch b\r\nreserve\r\n")
    assert core.ask(session, b"move-jobs a ready b 1\r\n") == b"MOVED 1\r\n"
    assert core.received(worker) == b"WATCHING 2\r\nRESERVED 1 1\r\nx\r\n"


def test_a_moved_job_keeps_its_numbers(core: CheckedCore, session: Session) -> None:
    """Id, priority, age, reserves, expiry, body."""
    core.ask(session, put_with("tube=a ttl=90", pri=7, ttr="1.5"))
    core.ask(session, b"reserve-job 1\r\nrelease 1 7 0\r\n")
    before = core.list_jobs("a")
    core.wait_ms(500)
    core.ask(session, b"move-jobs a ready b 1\r\n")
    later = {"age": 0.5, "expires-in": before[0]["expires-in"] - 0.5}
    assert core.list_jobs("b") == [{**before[0], **later}]
    assert core.ask(session, b"peek 1\r\n") == b"FOUND 1 1\r\nx\r\n"
    assert core.summary("b")["total-jobs"] == 0


def test_a_move_into_a_tube_with_a_ttl_lends_it(core: CheckedCore, session: Session) -> None:
    """But a job's own lifetime comes first."""
    core.ask(session, b"set-policy b ttl=2\r\n" + put_with("tube=a") + put_with("tube=a ttl=9"))
    core.ask(session, b"move-jobs a ready b 9\r\n")
    core.advance(2 * NS_PER_S - 1)
    assert core.states("b") == {1: "ready", 2: "ready"}
    core.advance(2 * NS_PER_S)
    assert core.states("b") == {2: "ready"}


# -- many jobs ------------------------------------------------------------------------------------


def step(core: CheckedCore) -> None:
    core.advance(core.now + 1)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"purge-tube default all", b"PURGED 3000\r\n"),
        (b"purge-tube default ready", b"PURGED 3000\r\n"),
        (b"move-jobs default ready b 3000", b"MOVED 3000\r\n"),
        (b"move-jobs default ready b 2600", b"MOVED 2600\r\n"),
    ],
)
def test_others_have_their_turn_between_the_steps(
    core: CheckedCore, session: Session, line: bytes, reply: bytes
) -> None:
    """Each step handles STEP jobs; what the chore's client sends meanwhile waits for its end."""
    other = core.connect()
    fill(core, MANY)
    core.send(session, line + b"\r\nlist-tube-used\r\n")
    clients = core.look(other, "list-clients")["clients"]
    assert [client["waits-for"] for client in clients] == ["a chore", ""]
    steps = 1
    while not (answer := core.received(session)):
        left = len(core.broker.directory.tubes["default"].ready)
        assert left == MANY - steps * STEP
        assert core.ask(other, b"list-tube-used\r\n") == b"USING default\r\n"
        assert core.broker.next_deadline() == core.now + 1
        step(core)
        steps += 1
    assert answer == reply + b"USING default\r\n"
    assert steps >= MANY // STEP - 1
    assert core.broker.next_deadline() == NEVER
    assert core.look(other, "list-clients")["clients"][0]["waits-for"] == ""


def test_many_leases_are_ended_in_steps(core: CheckedCore, session: Session) -> None:
    worker = core.connect()
    fill(core, MANY)
    for _ in range(3):
        core.send(worker, b"reserve-batch 1000 0\r\n")
    core.send(session, b"release-tube default\r\n")
    assert core.broker.queues.reserved == MANY - STEP
    core.ask(worker, b"delete 3000\r\nrelease 2999 0 0\r\nbury 2998 0\r\n")
    while not (answer := core.received(session)):
        step(core)
    assert answer == b"RELEASED 2997\r\n"
    assert core.broker.queues.reserved == 0
    assert core.broker.next_deadline() > core.now + NS_PER_S


ABOUT_LEASES = pytest.mark.parametrize(
    ("line", "word"),
    [(b"release-tube t", b"RELEASED"), (b"purge-tube t reserved", b"PURGED")],
)


@pytest.fixture
def holder(core: CheckedCore, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Let steps be small, and return who has the last of all leases: of jobs 101 to 103 in t."""
    monkeypatch.setattr(chores, "STEP", 3)
    monkeypatch.setattr(chores, "LOOKS", 5)
    fill(core, 100)
    fill(core, 3, "t")
    clients = [core.connect(), core.connect()]
    for client in clients:
        core.ask(client, b"reserve-batch 50 0\r\n")
    core.ask(clients[1], b"reserve-job 101\r\nreserve-job 102\r\nreserve-job 103\r\n")
    return clients[1]


@ABOUT_LEASES
def test_the_leases_of_other_tubes_are_passed_over_in_steps(
    core: CheckedCore, session: Session, holder: Session, line: bytes, word: bytes
) -> None:
    """However many there are, they stall nobody, and are as they were."""
    core.send(session, line + b"\r\n")
    for _ in range(100 // (3 * 5)):
        assert core.received(session) == b""
        assert core.broker.queues.reserved == 103
        step(core)
    step(core)
    assert core.received(session) == word + b" 3\r\n"
    assert core.broker.queues.reserved == 100


@ABOUT_LEASES
def test_leases_that_come_and_go_meanwhile_are_not_counted(
    core: CheckedCore, session: Session, holder: Session, line: bytes, word: bytes
) -> None:
    """One that was touched is; and those that come remain."""
    core.send(session, line + b"\r\n")
    core.ask(holder, put_with("tube=t") + b"reserve-job 104\r\n")
    core.ask(holder, b"touch 101\r\ndelete 102\r\nrelease 103 0 9\r\n")
    while not (answer := core.received(session)):
        step(core)
    assert answer == word + b" 1\r\n"
    states = core.states("t")
    assert (states.get(101), states[103], states[104]) == (
        "ready" if word == b"RELEASED" else None,
        "delayed",
        "reserved",
    )


@ABOUT_LEASES
def test_the_search_ends_with_the_last_lease_of_the_tube(
    core: CheckedCore, session: Session, holder: Session, line: bytes, word: bytes
) -> None:
    core.send(session, line + b"\r\n")
    core.ask(holder, b"delete 101\r\ndelete 102\r\ndelete 103\r\n")
    assert core.received(session) == b""
    step(core)
    assert core.received(session) == word + b" 0\r\n"


def test_jobs_that_come_in_meanwhile_do_not_make_it_longer(
    core: CheckedCore, session: Session
) -> None:
    """A purge ends, though a producer is as fast as it; it deletes as many as there were."""
    other = core.connect()
    fill(core, MANY)
    core.send(session, b"purge-tube default ready\r\n")
    while not (answer := core.received(session)):
        core.ask(other, put_with(pri=9) * STEP)
        step(core)
    assert answer == b"PURGED 3000\r\n"
    assert len(core.broker.jobs) >= MANY - STEP


def test_jobs_that_go_meanwhile_are_not_counted(core: CheckedCore, session: Session) -> None:
    other = core.connect()
    fill(core, 1_200)
    core.send(session, b"purge-tube default all\r\n")
    core.ask(other, b"reserve-batch 600 0\r\n")
    step(core)
    assert core.received(session) == b"PURGED 600\r\n"
    assert core.broker.queues.reserved == 600


@pytest.mark.parametrize("line", [b"purge-tube t all", b"move-jobs t ready b 9999"])
def test_a_tube_may_be_gone_and_made_again_meanwhile(
    core: CheckedCore, session: Session, line: bytes
) -> None:
    """The chore is about the tube that there was."""
    other = core.connect()
    fill(core, 1_200, "t")
    core.send(session, line + b"\r\n")
    core.send(other, b"watch t\r\nignore default\r\nreserve-batch 1000 0\r\n")
    for number in range(501, 1_201):
        core.ask(other, b"delete %d\r\n" % number)
    core.ask(other, b"watch default\r\nignore t\r\n")
    assert core.ask(other, b"stats-tube t\r\n") == b"NOT_FOUND\r\n"
    core.ask(other, put_with("tube=t"))
    step(core)
    assert core.received(session).endswith(b" 500\r\n")
    assert core.states("t") == {1201: "ready"}


@pytest.mark.parametrize("ageings", [("1",), ("1", "0"), ("1", "2", "0", "3")])
@pytest.mark.parametrize("line", [b"purge-tube default all", b"move-jobs default ready b 9999"])
def test_the_order_of_a_tube_may_change_meanwhile(
    core: CheckedCore, session: Session, line: bytes, ageings: tuple[str, ...]
) -> None:
    """A new ageing sorts its jobs anew; the chore goes on with those that are there."""
    other = core.connect()
    fill(core, MANY)
    core.send(session, line + b"\r\n")
    for ageing in ageings:
        core.ask(other, f"set-policy default ageing={ageing}\r\n".encode())
        step(core)
    while not (answer := core.received(session)):
        step(core)
    assert answer.endswith(b" 3000\r\n")
    assert core.broker.directory.default.ready.size == 0


@pytest.mark.parametrize(
    "line",
    [b"purge-tube default all", b"release-tube default", b"move-jobs default delayed b 9999"],
)
def test_hanging_up_ends_a_chore_where_it_is(core: CheckedCore, line: bytes) -> None:
    """What is done is done, the rest is left; and nothing rings any more."""
    client, worker = core.connect(), core.connect()
    fill(core, MANY, delay="9" if b"delayed" in line else "0")
    if b"release" in line:
        for _ in range(3):
            core.send(worker, b"reserve-batch 1000 0\r\n")
    core.send(client, line + b"\r\n")
    step(core)
    core.disconnect(client)
    default = core.broker.directory.default
    done = MANY - (default.reserved if b"release" in line else default.job_count())
    assert done == 2 * STEP
    core.advance(core.now + 1_000)
    assert done == MANY - (default.reserved if b"release" in line else default.job_count())
    core.ask(worker, b"purge-tube default reserved\r\n")


def test_a_purge_drops_its_tube_with_the_last_job(core: CheckedCore) -> None:
    """Though its client hangs up before it could be told."""
    client = core.connect()
    fill(core, STEP, "t")
    core.send(client, b"purge-tube t all\r\n")
    core.disconnect(client)
    assert core.ask(core.connect(), b"stats-tube t\r\n") == b"NOT_FOUND\r\n"


def test_a_half_closed_client_is_answered_and_then_closed(
    core: CheckedCore, session: Session
) -> None:
    """Its chore is work, not a wait: it goes on to the end, as does what was sent behind it."""
    fill(core, 1_200)
    core.send(session, b"purge-tube default all\r\nlist-tube-used\r\nreserve\r\n")
    core.end_input(session)
    assert core.received(session) == b""
    assert not session.closing
    for _ in range(3):
        step(core)
    assert core.received(session) == b"PURGED 1200\r\nUSING default\r\nTIMED_OUT\r\n"
    assert session.closing


def test_one_chore_after_the_other(core: CheckedCore, session: Session) -> None:
    """Each is answered once, with its own count, and what waits behind them is not disturbed."""
    fill(core, 1_200)
    core.send(session, b"move-jobs default ready a 1100\r\nmove-jobs a ready b 600\r\n")
    core.send(session, b"purge-tube b all\r\nwatch c\r\nignore default\r\nreserve\r\n")
    for _ in range(9):
        step(core)
    replies = core.received(session)
    assert replies == b"MOVED 1100\r\nMOVED 600\r\nPURGED 600\r\nWATCHING 2\r\nWATCHING 1\r\n"
    core.ask(core.connect(), put_with("tube=c"))
    assert core.received(session) == b"RESERVED 1201 1\r\nx\r\n"


def test_two_chores_on_one_tube_share_its_jobs(core: CheckedCore, session: Session) -> None:
    other = core.connect()
    fill(core, MANY)
    core.service.receive(session, b"purge-tube default all\r\n", core.now)
    core.service.receive(other, b"move-jobs default ready b 9999\r\n", core.now)
    core.settle()
    for _ in range(9):
        step(core)
    purged = int(core.received(session).split()[1])
    moved = int(core.received(other).split()[1])
    assert purged + moved == MANY
    assert core.broker.directory.tubes["b"].ready.size == moved


def test_a_tick_that_comes_late_does_it_all(core: CheckedCore, session: Session) -> None:
    fill(core, MANY)
    core.send(session, b"purge-tube default all\r\n")
    core.advance(NS_PER_S)
    for _ in range(9):
        step(core)
    assert core.received(session) == b"PURGED 3000\r\n"


def test_what_may_need_room_goes_on_in_small_steps(
    core: CheckedCore, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends where it is when the disk of the log is full."""
    monkeypatch.setattr(chores, "SMALL_STEP", 50)
    fill(core, 200)
    core.send(session, b"move-jobs default ready b 150\r\n")
    step(core)
    assert core.received(session) == b""
    core.broker.is_full = True
    step(core)
    assert core.received(session) == b"MOVED 100\r\n"
    refused = core.ask(session, b"move-jobs default ready b 1\r\nmove-jobs a ready b 1\r\n")
    assert refused == b"OUT_OF_MEMORY\r\n" * 2
    core.broker.is_full = False
    assert core.ask(session, b"move-jobs default ready b 1\r\n") == b"MOVED 1\r\n"


def test_only_a_full_disk_refuses_moves(core: CheckedCore, session: Session) -> None:
    """Not a limit of memory, which only puts exceed, nor a log that was lost and takes no puts."""
    fill(core, 2)
    core.shared.max_memory = core.broker.memory
    core.shared.journal = FakeJournal(room=1)
    assert not core.shared.admits(0)
    assert core.ask(session, b"move-jobs default ready b 1\r\n") == b"MOVED 1\r\n"
    core.shared.journal = FakeJournal(room=-1)
    assert core.ask(session, b"move-jobs default ready b 1\r\n") == b"OUT_OF_MEMORY\r\n"
    core.shared.log_lost = core.shared.draining = True
    assert core.ask(session, b"move-jobs default ready b 1\r\n") == b"MOVED 1\r\n"


def test_chores_rest_while_the_disk_is_behind(core: CheckedCore, session: Session) -> None:
    """What is not written must not become more and more."""
    fill(core, MANY)
    core.send(session, b"purge-tube default all\r\n")
    core.broker.is_behind = True
    for _ in range(20):
        core.wait_ms(1)
    assert core.broker.directory.default.ready.size == MANY - chores.STEP
    core.broker.is_behind = False
    for _ in range(20):
        core.wait_ms(1)
    assert core.received(session) == b"PURGED %d\r\n" % MANY
