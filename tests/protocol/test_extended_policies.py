"""set-policy, get-policy, max-jobs and drain: what holds for a tube, and for the daemon."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NEVER, NS_PER_S
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

NOTHING = {
    "attempts": 0,
    "dead": "",
    "ttl": 0,
    "max-jobs": 0,
    "rate": 0,
    "concurrency": 0,
    "ageing": 0,
}
ALL = "attempts=3 dead=d ttl=1.5 max-jobs=9 rate=0.125 concurrency=4 ageing=2.001"


def policy(core: CheckedCore, tube: str, options: str) -> None:
    session = core.connect()
    assert core.ask(session, f"set-policy {tube} {options}\r\n".encode()) == b"POLICY_SET\r\n"
    core.disconnect(session)


def test_a_policy_is_what_was_set(core: CheckedCore, session: Session) -> None:
    """And what is not mentioned stays as it was."""
    assert core.ask(session, b"get-policy a\r\n") == b"NOT_FOUND\r\n"
    assert core.look(session, "get-policy default") == NOTHING
    policy(core, "a", ALL)
    expected = {
        "attempts": 3,
        "dead": "d",
        "ttl": 1.5,
        "max-jobs": 9,
        "rate": 0.125,
        "concurrency": 4,
        "ageing": 2.001,
    }
    assert core.look(session, "get-policy a") == expected
    policy(core, "a", "dead= rate=7")
    assert core.look(session, "get-policy a") == {**expected, "dead": "", "rate": 7}


def test_the_largest_policy(core: CheckedCore, session: Session) -> None:
    most = 4294967295
    policy(core, "a", f"attempts={most} max-jobs={most} concurrency={most} ttl={most}")
    policy(core, "a", f"ageing={most} rate=1000000 dead={'x' * 200}")
    shown = core.look(session, "get-policy a")
    assert shown["ageing"] == shown["ttl"] == shown["attempts"] == most
    assert core.ask(session, put_with("tube=a") + b"watch a\r\nreserve\r\nrelease 1 0 0\r\n") == (
        b"INSERTED 1\r\nWATCHING 2\r\nRESERVED 1 1\r\nx\r\nRELEASED\r\n"
    )


def test_a_policy_keeps_its_tube(core: CheckedCore, session: Session) -> None:
    """Until nothing of it is left, or in use."""
    core.ask(session, b"use a\r\nset-policy a rate=1\r\nuse default\r\n")
    assert core.summary("a")["current-using"] == 0
    policy(core, "a", "rate=0")
    assert core.ask(session, b"get-policy a\r\n") == b"NOT_FOUND\r\n"
    core.ask(session, b"watch a\r\nset-policy a rate=1\r\nset-policy a rate=0\r\n")
    assert core.look(session, "get-policy a") == NOTHING
    policy(core, "b", "rate=0")
    assert core.ask(session, b"get-policy b\r\n") == b"NOT_FOUND\r\n"
    assert core.broker.next_deadline() == NEVER


def test_a_tube_with_every_policy_works(core: CheckedCore, session: Session) -> None:
    policy(core, "default", ALL)
    core.ask(session, put_with() * 2 + b"reserve\r\ndelete 1\r\n")
    assert core.states() == {2: "ready"}
    core.advance(2 * NS_PER_S)
    assert core.states() == {}


# -- max-jobs -------------------------------------------------------------------------------------

PUT = b"put 0 0 60 1\r\nx\r\n"


@pytest.mark.parametrize(
    "script",
    [
        "",
        "reserve-job 1",
        "reserve-job 1|release 1 0 9",
        "reserve-job 1|bury 1 0",
    ],
)
def test_jobs_of_all_states_fill_a_tube(core: CheckedCore, session: Session, script: str) -> None:
    """put-with is told so, and put in a word that every client knows."""
    policy(core, "default", "max-jobs=2")
    assert core.ask(session, PUT + put_with()) == b"INSERTED 1\r\nINSERTED 2\r\n"
    for line in filter(None, script.split("|")):
        core.ask(session, line.encode() + b"\r\n")
    for _ in range(2):
        assert core.ask(session, PUT) == b"OUT_OF_MEMORY\r\n"
        assert core.ask(session, put_with()) == b"TUBE_FULL\r\n"
        assert core.ask(session, PUT.replace(b"0 0 60", b"0 9 60")) == b"OUT_OF_MEMORY\r\n"
        assert core.ask(session, put_with(delay="9")) == b"TUBE_FULL\r\n"
    assert core.summary("default")["jobs-rejected"] == 8
    assert core.ask(session, b"delete 1\r\n" + PUT) == b"DELETED\r\nINSERTED 7\r\n"
    assert core.ask(session, put_with("tube=other")) == b"INSERTED 8\r\n"


@pytest.mark.parametrize(
    "line",
    [
        "reserve-job 1|release 1 0 0",
        "reserve-job 1|release 1 0 9",
        "reserve-job 1|bury 1 0|kick 1",
        "reserve-job 1|bury 1 0|kick-job 1",
        "move-jobs from ready default 9",
        "reserve-job 2|release-tube default",
        "reserve-job 1|bury 1 0|move-jobs default buried default 1",
    ],
)
def test_what_is_there_already_is_never_refused(
    core: CheckedCore, session: Session, line: str
) -> None:
    """So nothing gets stuck, however far beyond the limit."""
    core.ask(session, PUT + PUT + put_with("tube=from") * 2)
    policy(core, "default", "max-jobs=1")
    for each in line.split("|"):
        assert core.ask(session, each.encode() + b"\r\n").split()[0] in {
            *(b"RESERVED", b"RELEASED", b"BURIED", b"KICKED", b"MOVED"),
        }
    assert len(core.broker.jobs) == 4
    assert core.ask(session, put_with()) == b"TUBE_FULL\r\n"


def test_a_limit_may_be_raised_and_lifted(core: CheckedCore, session: Session) -> None:
    policy(core, "default", "max-jobs=1")
    for options in ("max-jobs=2", "max-jobs=0"):
        core.ask(session, put_with())
        assert core.ask(session, put_with()) == b"TUBE_FULL\r\n"
        policy(core, "default", options)
    assert core.ask(session, put_with() + PUT) == b"INSERTED 3\r\nINSERTED 4\r\n"


def test_a_body_in_pieces_finds_the_tube_full(core: CheckedCore, session: Session) -> None:
    policy(core, "default", "max-jobs=1")
    other = core.connect()
    core.send(session, PUT[:-1])
    assert core.ask(other, PUT) == b"INSERTED 2\r\n"
    assert core.ask(session, b"\n") == b"OUT_OF_MEMORY\r\n"


# -- drain ----------------------------------------------------------------------------------------


def test_drain(core: CheckedCore, session: Session, worker: Session) -> None:
    """Puts of both kinds are refused to everybody, all else goes on, and it can be taken back."""
    core.ask(session, put_with() + b"set-policy default max-jobs=1\r\n")
    assert core.ask(session, b"drain on\r\ndrain on\r\n") == b"DRAINING\r\n" * 2
    assert core.look(worker, "stats")["draining"] is True
    for client in (session, worker):
        assert core.ask(client, PUT + put_with("tube=a key=k")) == b"DRAINING\r\n" * 2
    assert core.ask(worker, b"reserve\r\nrelease 1 0 0\r\nmove-jobs default ready a 1\r\n") == (
        b"RESERVED 1 1\r\nx\r\nRELEASED\r\nMOVED 1\r\n"
    )
    assert core.ask(worker, b"drain off\r\ndrain off\r\n") == b"ACCEPTING\r\n" * 2
    assert core.look(session, "stats")["draining"] is False
    assert core.ask(session, PUT) == b"INSERTED 4\r\n"


def test_a_daemon_whose_log_is_lost_keeps_draining(core: CheckedCore, session: Session) -> None:
    core.shared.log_lost = core.shared.draining = True
    assert core.ask(session, b"drain off\r\n" + PUT) == b"DRAINING\r\nDRAINING\r\n"
