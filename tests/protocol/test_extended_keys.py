"""key: unique among the living jobs of a tube, whatever their state."""

from __future__ import annotations

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

TWIN = put_with("tube=a key=k", body=b"twin")

TAKEN = {
    "ready": "",
    "reserved": "reserve-job 1",
    "delayed": "reserve-job 1|release 1 0 9",
    "buried": "reserve-job 1|bury 1 0",
    "kicked": "reserve-job 1|bury 1 0|kick-job 1",
    "released": "reserve-job 1|release 1 0 0",
    "taken back": "reserve-job 1|release-tube a",
    "others moved": "move-jobs a delayed b 9",
    "others purged": "purge-tube a buried",
}
FREE = {
    "deleted": "delete 1",
    "deleted by its holder": "reserve-job 1|delete 1",
    "deleted while buried": "reserve-job 1|bury 1 0|delete 1",
    "moved": "move-jobs a ready b 1",
    "moved in place": "move-jobs a ready a 1",
    "moved from the buried": "reserve-job 1|bury 1 0|move-jobs a buried b 1",
    "purged": "purge-tube a all",
    "purged while held": "reserve-job 1|purge-tube a reserved",
    "dead": "reserve-job 1|release 1 0 0|" * 3,
}


def run(core: CheckedCore, session: Session, script: str) -> None:
    for line in filter(None, script.split("|")):
        core.send(session, line.encode() + b"\r\n")
    core.received(session)


@pytest.mark.parametrize("script", TAKEN.values(), ids=TAKEN.keys())
def test_a_key_is_taken_while_its_job_lives(
    core: CheckedCore, session: Session, worker: Session, script: str
) -> None:
    """For everybody; the id is told, and nothing of the twin stays."""
    core.ask(session, put_with("tube=a key=k attempts=3"))
    run(core, session, script)
    memory = core.broker.memory
    assert core.ask(worker, TWIN + TWIN) == b"EXISTS 1\r\n" * 2
    assert core.broker.memory == memory
    assert core.ask(worker, b"peek 1\r\npeek 2\r\n") == b"FOUND 1 1\r\nx\r\nNOT_FOUND\r\n"


@pytest.mark.parametrize("script", FREE.values(), ids=FREE.keys())
def test_a_key_is_free_when_its_job_has_ended_or_left(
    core: CheckedCore, session: Session, script: str
) -> None:
    core.ask(session, put_with("tube=a key=k attempts=3"))
    run(core, session, script)
    assert core.ask(session, TWIN) == b"INSERTED 2\r\n"
    assert core.ask(session, TWIN) == b"EXISTS 2\r\n"


@pytest.mark.parametrize("script", ["", "reserve-job 1|bury 1 0", "reserve-job 1|release 1 0 9"])
def test_a_key_is_free_when_its_job_has_expired(
    core: CheckedCore, session: Session, script: str
) -> None:
    core.ask(session, put_with("tube=a key=k ttl=2"))
    run(core, session, script)
    core.advance(2 * NS_PER_S - 1)
    assert core.ask(session, TWIN) == b"EXISTS 1\r\n"
    core.advance(2 * NS_PER_S)
    assert core.ask(session, TWIN) == b"INSERTED 2\r\n"


def test_tubes_have_keys_of_their_own(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, TWIN + put_with("key=k") + put_with("tube=a key=K")) == (
        b"INSERTED 1\r\nINSERTED 2\r\nINSERTED 3\r\n"
    )


def test_a_job_may_be_moved_to_where_its_key_is_taken(core: CheckedCore, session: Session) -> None:
    """It has given it up."""
    core.ask(session, put_with("key=k") + TWIN)
    assert core.ask(session, b"move-jobs default ready a 1\r\n") == b"MOVED 1\r\n"
    assert [job.get("key") for job in core.list_jobs("a")] == [None, "k"]
    assert core.ask(session, b"delete 1\r\n" + TWIN) == b"DELETED\r\nEXISTS 2\r\n"


def test_a_dead_job_does_not_stand_in_the_way_of_the_living(
    core: CheckedCore, session: Session
) -> None:
    """Dead in place or elsewhere, where another job of the key may be."""
    core.ask(session, put_with("tube=d key=k") + put_with("tube=a key=k attempts=1 dead=d"))
    core.ask(session, b"reserve-job 2\r\nrelease 2 0 0\r\n")
    assert core.ask(session, TWIN) == b"INSERTED 3\r\n"
    core.ask(session, b"move-jobs d ready a 9\r\n")
    assert core.ask(session, TWIN) == b"EXISTS 3\r\n"


def test_a_refused_put_takes_no_key(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy a max-jobs=1\r\n" + put_with("tube=a"))
    assert core.ask(session, TWIN) == b"TUBE_FULL\r\n"
    core.ask(session, b"drain on\r\n")
    assert core.ask(session, TWIN) == b"DRAINING\r\n"
    core.ask(session, b"drain off\r\ndelete 1\r\n")
    assert core.ask(session, TWIN) == b"INSERTED 2\r\n"


def test_a_twin_is_told_so_also_in_a_full_tube(core: CheckedCore, session: Session) -> None:
    """For an idempotent producer the job is there, and that is good news."""
    core.ask(session, b"set-policy a max-jobs=1\r\n" + TWIN)
    assert core.ask(session, TWIN) == b"EXISTS 1\r\n"
    assert core.summary("a")["jobs-rejected"] == 0


def test_many_producers_of_one_key_make_one_job(core: CheckedCore) -> None:
    """Their bodies arrive side by side; the first that is complete wins."""
    clients = [core.connect() for _ in range(10)]
    for position in range(len(TWIN)):
        for client in clients:
            core.send(client, TWIN[position : position + 1])
    replies = [core.received(client) for client in clients]
    assert replies == [b"INSERTED 1\r\n"] + [b"EXISTS 1\r\n"] * 9


def test_a_key_is_shown(core: CheckedCore, session: Session) -> None:
    """Whatever it is made of, a reader of YAML gets the same string."""
    keys = ["true", "1e5", "'", '"', "\\", "a: b".replace(" ", "_"), "#", "- ", "~", "{}[]&*!|>%@`"]
    for key in map(str.strip, keys):
        assert b"INSERTED" in core.ask(session, put_with(f"key={key}"))
    assert [job["key"] for job in core.list_jobs()] == [key.strip() for key in keys]
