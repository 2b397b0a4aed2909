"""put-with: what it asks for, what refuses it and in which order, and what it leaves behind."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.broker.terms import TERMS_COST
from stalkd.protocol.session import Session, Settings
from support.extended import NS_PER_MS, CheckedCore, FakeJournal, put_with

RESERVED = b"RESERVED 1 1\r\nx\r\n"


def test_without_options_it_is_a_put(core: CheckedCore, session: Session) -> None:
    """To the byte of memory: who asks for nothing more pays for nothing more."""
    core.send(session, put_with(pri=7, delay="2", ttr="9"))
    memory = core.broker.memory
    core.send(session, b"put 7 2 9 1\r\nx\r\n")
    assert core.received(session) == b"INSERTED 1\r\nINSERTED 2\r\n"
    assert core.broker.memory == 2 * memory
    first, second = (core.look(session, f"stats-job {number}") for number in (1, 2))
    assert first == {**second, "id": 1}


def test_it_puts_into_the_tube_in_use(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"use a\r\n" + put_with())
    assert core.states("a") == {1: "ready"}


def test_it_puts_into_any_tube_without_using_it(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, put_with("tube=a") + b"list-tube-used\r\n") == (
        b"INSERTED 1\r\nUSING default\r\n"
    )
    assert core.states("a") == {1: "ready"}
    assert core.summary("a")["current-using"] == 0
    core.ask(session, b"delete 1\r\n")
    assert core.ask(session, b"stats-tube a\r\n") == b"NOT_FOUND\r\n"


def test_it_makes_the_client_a_producer(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with())
    assert core.broker.directory.producers == 1


def test_who_waits_for_the_tube_gets_the_job(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.send(worker, b"watch a\r\nreserve\r\n")
    assert core.ask(session, put_with("tube=a key=k")) == b"INSERTED 1\r\n"
    assert core.received(worker) == b"WATCHING 2\r\n" + RESERVED


@pytest.mark.parametrize("delay", ["0.001", "0.5", "1.5", "2", "2.999"])
def test_a_delay_is_exact(core: CheckedCore, session: Session, worker: Session, delay: str) -> None:
    """To the nanosecond before, the job is not there; stats-job shows whole seconds."""
    end = round(float(delay) * 1000) * NS_PER_MS
    core.ask(session, put_with(delay=delay))
    assert core.look(session, "stats-job 1")["delay"] == -(-end // NS_PER_S)
    core.send(worker, b"reserve\r\n")
    core.advance(end - 1)
    assert core.received(worker) == b""
    core.advance(end)
    assert core.received(worker) == RESERVED


@pytest.mark.parametrize("ttr", ["0.001", "0.25", "1.001", "3"])
def test_a_time_to_run_is_exact(
    core: CheckedCore, session: Session, worker: Session, ttr: str
) -> None:
    """Also from a touch on; stats-job shows whole seconds."""
    lease = round(float(ttr) * 1000) * NS_PER_MS
    core.ask(session, put_with(ttr=ttr))
    core.ask(worker, b"reserve\r\n")
    assert core.look(session, "stats-job 1")["ttr"] == -(-lease // NS_PER_S)
    core.advance(lease - 1)
    assert core.ask(worker, b"touch 1\r\n") == b"TOUCHED\r\n"
    core.advance(2 * lease - 2)
    assert core.states() == {1: "reserved"}
    core.advance(2 * lease - 1)
    assert core.states() == {1: "ready"}


def test_a_time_to_run_of_nothing_is_a_second(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("key=a", ttr="0") + b"reserve\r\n")
    assert core.look(session, "stats-job 1")["ttr"] == 1
    core.advance(NS_PER_S - 1)
    assert core.states() == {1: "reserved"}
    core.advance(NS_PER_S)
    assert core.states() == {1: "ready"}


def test_a_lease_below_a_second_is_a_deadline_soon(core: CheckedCore, session: Session) -> None:
    """Its whole length lies within the margin."""
    core.ask(session, put_with(ttr="0.5") + b"reserve\r\n")
    assert core.ask(session, b"reserve-with-timeout 1\r\n") == b"DEADLINE_SOON\r\n"


# -- what refuses it ------------------------------------------------------------------------------


def test_the_order_of_reasons() -> None:
    """Size, options, CR LF, draining, no log, key, room in the tube, room."""
    core = CheckedCore(Settings(max_job_size=1000, max_memory=700))
    session = core.connect()
    core.ask(session, put_with("key=k") + b"set-policy default max-jobs=1\r\n")
    good = put_with("key=k sync=1")
    assert core.ask(session, put_with("nosuch=1", body=b"x" * 1001)) == b"JOB_TOO_BIG\r\n"
    assert core.ask(session, put_with("nosuch=1", body=b"x" * 1000)) == b"BAD_FORMAT\r\n"
    core.ask(session, b"drain on\r\n")
    assert core.ask(session, good[:-2] + b"--") == b"EXPECTED_CRLF\r\n"
    core.ask(session, b"delete 1\r\n")
    assert core.ask(session, good) == b"DRAINING\r\n"
    core.ask(session, b"drain off\r\n")
    assert core.ask(session, good) == b"NOT_DURABLE\r\n"
    assert core.ask(session, put_with("key=k", pri=1)) == b"INSERTED 2\r\n"
    core.broker.directory.default.rejected = 0
    core.shared.max_memory = 10_000
    assert core.ask(session, put_with("key=k")) == b"EXISTS 2\r\n"
    assert core.ask(session, put_with("key=l")) == b"TUBE_FULL\r\n"
    assert core.summary("default")["jobs-rejected"] == 1
    core.ask(session, b"set-policy default max-jobs=0\r\n")
    core.shared.journal = FakeJournal(room=TERMS_COST + 3)
    assert core.ask(session, put_with("key=l", body=b"four")) == b"OUT_OF_MEMORY\r\n"
    assert core.ask(session, put_with("key=l", body=b"2b")) == b"INSERTED 3\r\n"


def test_the_memory_limit_counts_what_was_asked_for() -> None:
    """Refused before the body is kept, and after; a body without CR LF is told so first."""
    core = CheckedCore(Settings(max_memory=1_000))
    session = core.connect()
    big = put_with(body=b"y" * 900)
    assert core.ask(session, big) == b"OUT_OF_MEMORY\r\n"
    assert core.ask(session, big[:-2] + b"--") == b"EXPECTED_CRLF\r\n"
    assert core.ask(session, put_with("key=k ttl=9")) == b"INSERTED 1\r\n"
    assert core.broker.memory > TERMS_COST
    assert core.ask(session, put_with("key=l tube=new")) == b"OUT_OF_MEMORY\r\n"
    assert core.ask(session, b"stats-tube new\r\ndelete 1\r\n") == b"NOT_FOUND\r\nDELETED\r\n"
    assert core.broker.memory == 0


def test_a_body_in_pieces_is_given_up_when_memory_runs_out() -> None:
    core = CheckedCore(Settings(max_memory=1_000))
    slow, quick = core.connect(), core.connect()
    sent = put_with("key=k", body=b"x" * 600)
    core.send(slow, sent[:-10])
    assert core.ask(quick, put_with()) == b"INSERTED 1\r\n"
    for byte in sent[-10:]:
        core.send(slow, bytes([byte]))
    assert core.received(slow) == b"OUT_OF_MEMORY\r\n"
    assert core.shared.uploading == 0
    assert core.ask(quick, b"delete 1\r\n" + put_with("key=k")) == b"DELETED\r\nINSERTED 2\r\n"


@pytest.mark.parametrize("refusal", ["drain on", "set-policy a max-jobs=0"])
def test_a_refused_put_makes_no_tube(core: CheckedCore, session: Session, refusal: str) -> None:
    core.ask(session, refusal.encode() + b"\r\n")
    core.ask(session, put_with("tube=a sync=1"))
    assert core.ask(session, b"stats-tube a\r\n") == b"NOT_FOUND\r\n"


def test_half_a_put_leaves_nothing_behind(core: CheckedCore, session: Session) -> None:
    """Neither a job nor a key nor a tube nor bytes of a body, whichever way the client goes."""
    for end in (core.disconnect, core.end_input):
        client = core.connect()
        core.send(client, put_with("tube=a key=k", body=b"hello")[:-3])
        assert core.shared.uploading == 4
        assert core.ask(session, b"stats-tube a\r\n") == b"NOT_FOUND\r\n"
        end(client)
        if end == core.end_input:
            assert client.closing
            core.disconnect(client)
        assert core.shared.uploading == 0
    assert core.ask(session, put_with("tube=a key=k")) == b"INSERTED 1\r\n"


def test_the_tube_may_fill_while_a_body_arrives(core: CheckedCore, session: Session) -> None:
    """What counts is what holds when the body is complete: tube, key and drain alike."""
    slow = [core.connect() for _ in range(3)]
    core.ask(session, b"set-policy default max-jobs=1\r\n")
    for client, options in zip(slow, ["key=a", "key=b", "key=c"], strict=True):
        core.send(client, put_with(options)[:-1])
    assert core.ask(slow[0], b"\n") == b"INSERTED 1\r\n"
    assert core.ask(slow[1], b"\n") == b"TUBE_FULL\r\n"
    core.ask(session, b"drain on\r\n")
    assert core.ask(slow[2], b"\n") == b"DRAINING\r\n"


# -- sync=1 ---------------------------------------------------------------------------------------


def test_sync_asks_for_a_sync(core: CheckedCore, session: Session) -> None:
    """Also for a twin, whose producer may not have asked; not for a job that was not taken."""
    core.shared.journal = journal = FakeJournal()
    demands = []
    for options in ("key=a", "key=b sync=0", "key=c sync=1", "key=a sync=1", "key=a"):
        core.ask(session, put_with(options))
        demands.append(journal.demands)
    assert demands == [0, 0, 1, 2, 2]
    core.ask(session, b"set-policy default max-jobs=1\r\n")
    assert core.ask(session, put_with("sync=1")) == b"TUBE_FULL\r\n"
    core.ask(session, b"drain on\r\n")
    assert core.ask(session, put_with("sync=1")) == b"DRAINING\r\n"
    assert journal.demands == 2
