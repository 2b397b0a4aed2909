"""list-jobs, explain-job, stats-tubes, list-clients: YAML that is true."""

from __future__ import annotations

from typing import Any

import pytest

from stalkd.broker.inspection import MOST_HELD
from stalkd.broker.job import BURIED, Job
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import MOST_LISTED
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

STANDARD_JOB = """
id tube state pri age delay ttr time-left file reserves timeouts releases buries kicks
""".split()
STANDARD_TUBE = """
name current-jobs-urgent current-jobs-ready current-jobs-reserved current-jobs-delayed
current-jobs-buried total-jobs current-using current-watching current-waiting cmd-delete
cmd-pause-tube pause pause-time-left
""".split()


def fill(core: CheckedCore, count: int, tube: str = "default") -> None:
    session = core.connect()
    core.service.receive(session, put_with(f"tube={tube}", body=b"") * count, core.now)
    core.settle()
    core.disconnect(session)


# -- list-jobs ------------------------------------------------------------------------------------


def test_a_list_says_all_about_its_jobs(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with("tube=t", pri=9, body=b"hello"))
    core.ask(session, put_with("tube=t key=k ttl=20.5 attempts=3 dead=d", delay="3.5", ttr="0.25"))
    core.ask(worker, b"reserve-job 1\r\n")
    core.wait_ms(1500)
    assert core.look(session, "list-jobs t all 0 9") == {
        "next": 0,
        "jobs": [
            {
                "id": 1,
                "state": "reserved",
                "pri": 9,
                "age": 1.5,
                "bytes": 5,
                "ttr": 60.0,
                "reserves": 1,
                "time-left": 58.5,
            },
            {
                "id": 2,
                "state": "delayed",
                "pri": 0,
                "age": 1.5,
                "bytes": 1,
                "ttr": 0.25,
                "reserves": 0,
                "time-left": 2.0,
                "key": "k",
                "expires-in": 19.0,
                "attempts": 3,
                "dead": "d",
            },
        ],
    }


def test_a_list_of_nothing(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, b"list-jobs a all 0 9\r\n") == b"NOT_FOUND\r\n"
    nothing = {"next": 0, "jobs": []}
    assert core.look(session, "list-jobs default all 0 9") == nothing
    core.ask(session, put_with())
    assert core.look(session, "list-jobs default buried 0 9") == nothing
    assert core.look(session, "list-jobs default all 1 9") == nothing
    assert core.look(session, "list-jobs default all 18446744073709551615 9") == nothing


@pytest.mark.parametrize("state", ["ready", "delayed", "buried", "reserved", "all"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_together_are_the_whole(
    core: CheckedCore, session: Session, state: str, limit: int
) -> None:
    """By id, whatever the priorities, each job once; next is 0 on the last page and only there."""
    for number in range(24):
        core.ask(session, put_with(pri=99 - number, delay="9" if number % 4 == 1 else "0"))
        core.ask(session, put_with("tube=other"))
    jobs = {job["id"]: job for job in core.list_jobs()}
    for number in list(jobs)[2::4]:
        core.ask(session, b"reserve-job %d\r\nbury %d 0\r\n" % (number, number))
    for number in list(jobs)[3::4]:
        core.ask(session, b"reserve-job %d\r\n" % number)
    found: list[int] = []
    after, pages = 0, 0
    while pages == 0 or after:
        page = core.look(session, f"list-jobs default {state} {after} {limit}")
        found += [job["id"] for job in page["jobs"]]
        assert len(page["jobs"]) == limit or page["next"] == 0
        assert page["next"] in {0, found[-1]}
        after, pages = page["next"], pages + 1
    states = core.states()
    assert found == [number for number in states if state in {"all", states[number]}]
    assert pages == -(-len(found) // limit)


def test_jobs_may_come_and_go_between_pages(core: CheckedCore, session: Session) -> None:
    """Who stays is listed once."""
    fill(core, 10)
    first = core.look(session, "list-jobs default all 0 4")
    core.ask(session, b"delete 4\r\ndelete 6\r\nreserve-job 7\r\n" + put_with())
    rest = core.look(session, f"list-jobs default all {first['next']} 99")
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == [*range(1, 6), 7, 8, 9, 10, 11]


def test_a_page_is_bounded(core: CheckedCore, session: Session) -> None:
    fill(core, MOST_LISTED + 1)
    page = core.look(session, "list-jobs default all 0 4294967295")
    assert (len(page["jobs"]), page["next"]) == (MOST_LISTED, MOST_LISTED)
    page = core.look(session, f"list-jobs default all {MOST_LISTED} 4294967295")
    assert (len(page["jobs"]), page["next"]) == (1, 0)


def test_a_large_tube_is_listed_in_bounded_steps(
    core: CheckedCore, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins where there is something, and says where to go on; all are found, in order."""
    monkeypatch.setattr("stalkd.broker.inspection.LOOKS", 100)
    fill(core, 210, "other")
    fill(core, 150)
    found: list[int] = []
    empty = after = 0
    while empty + len(found) == 0 or after:
        page = core.look(session, f"list-jobs default ready {after} 70")
        found += [job["id"] for job in page["jobs"]]
        empty += not page["jobs"]
        after = page["next"]
    assert found == list(range(211, 361))
    assert empty == 0


# -- explain-job ----------------------------------------------------------------------------------


def explain(core: CheckedCore, number: int = 1) -> tuple[dict[str, Any], str]:
    """Return what explain-job says to a newcomer, and its reasons in one line each."""
    session = core.connect()
    shown: dict[str, Any] = core.look(session, f"explain-job {number}")
    core.disconnect(session)
    return shown, "\n".join(shown["reasons"])


def test_an_unknown_job(core: CheckedCore, session: Session) -> None:
    assert core.ask(session, b"explain-job 1\r\nexplain-job 18446744073709551615\r\n") == (
        b"NOT_FOUND\r\n" * 2
    )


def test_a_job_that_is_next(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with())
    shown, reasons = explain(core)
    assert (shown["tube"], shown["state"], shown["jobs-ahead"]) == ("default", "ready", 0)
    assert (shown["watching"], shown["waiting"], shown["attempts-used"]) == (2, 0, 0)
    assert "it is the next of its tube" in reasons


@pytest.mark.parametrize("ageing", [0, 5])
def test_a_job_that_is_not_next(core: CheckedCore, session: Session, ageing: int) -> None:
    """Its place is the one in which it will be reserved."""
    core.ask(session, b"set-policy default ageing=%d\r\n" % ageing)
    for pri in (5, 3, 4, 3):
        core.ask(session, put_with(pri=pri))
    for ahead, number in enumerate((2, 4, 3, 1)):
        shown, reasons = explain(core, number)
        assert shown["jobs-ahead"] == ahead
        jobs = "job of its tube comes" if ahead == 1 else "jobs of its tube come"
        assert (f"{ahead} ready {jobs} first" in reasons) == (ahead > 0)


def test_a_job_that_nobody_watches(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("tube=a") + put_with("tube=a", delay="9"))
    for number in (1, 2):
        assert "no client watches its tube" in explain(core, number)[1]
        assert "it is the next" not in explain(core, number)[1]
    core.ask(session, b"watch a\r\n")
    assert "no client watches" not in explain(core)[1]


def test_a_paused_tube(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with() + b"pause-tube default 5\r\n")
    core.wait_ms(1500)
    shown, reasons = explain(core)
    assert shown["paused-for"] == 3.5
    assert "its tube is paused for 3.5 s more" in reasons
    assert "it is the next" not in reasons
    core.wait_ms(3500)
    assert "paused" not in explain(core)[1]


def test_a_tube_at_its_limits(core: CheckedCore, session: Session) -> None:
    """All reasons at once, each as words and as a key."""
    core.ask(session, put_with() * 4 + b"set-policy default concurrency=2 rate=0.5\r\n")
    core.ask(session, b"reserve-job 2\r\nreserve-job 3\r\npause-tube default 9\r\n")
    core.wait_ms(500)
    shown, reasons = explain(core, 4)
    assert shown["concurrency"] == 2
    assert "its tube has 2 leases and may have 2: of the jobs 2, 3" in reasons
    assert shown["rate-allows-in"] == 1.5
    assert "the rate of its tube allows the next reserve in 1.5 s" in reasons
    assert "1 ready job of its tube comes first" in reasons
    assert "its tube is paused for 8.5 s more" in reasons
    assert len(shown["reasons"]) == 4


def test_a_tube_at_a_limit_of_one(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with() * 2 + b"set-policy default concurrency=1\r\nreserve-job 2\r\n")
    assert "its tube has 1 lease and may have 1: of job 2" in explain(core)[1].splitlines()


def test_a_delayed_job(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("ttl=9.25", delay="5.5"))
    core.wait_ms(250)
    shown, reasons = explain(core)
    assert (shown["time-left"], shown["expires-in"]) == (5.25, 9.0)
    assert "it is delayed for 5.25 s more" in reasons
    assert "it expires in 9.0 s unless it is deleted" in reasons


@pytest.mark.parametrize("touches", [0, 1, 3])
def test_a_reserved_job(core: CheckedCore, session: Session, touches: int) -> None:
    """By whom, from where, since when, how much longer, how often touched."""
    core.ask(session, put_with(ttr="10.5"))
    worker = core.service.open("[::1]:4711")
    core.wait_ms(1000)
    core.ask(worker, b"reserve\r\n")
    for _ in range(touches):
        core.wait_ms(500)
        core.ask(worker, b"touch 1\r\n")
    core.wait_ms(250)
    shown, reasons = explain(core)
    held = 0.25 + 0.5 * touches
    assert (shown["held-by"], shown["held-by-address"]) == (worker.client.serial, "[::1]:4711")
    assert (shown["held-for"], shown["touches"], shown["time-left"]) == (held, touches, 10.25)
    assert f"client {worker.client.serial} ([::1]:4711) has held it for {held} s" in reasons
    touched = {0: "never touched it", 1: "touched it once", 3: "touched it 3 times"}[touches]
    assert f" s, {touched}, and keeps it for 10.25 s more" in reasons
    assert len(shown["reasons"]) == 1
    clients = core.look(session, "list-clients")["clients"]
    assert [each["client"] for each in clients if each["holds"]] == [shown["held-by"]]


def test_a_lease_of_another_length_began_when_it_began(core: CheckedCore, session: Session) -> None:
    """And a new lease starts anew, without the touches of the one before."""
    core.ask(session, put_with() + b"reserve\r\n")
    core.wait_ms(500)
    core.ask(session, b"touch-for 1 100\r\n")
    core.wait_ms(500)
    shown, _ = explain(core)
    assert (shown["held-for"], shown["touches"], shown["time-left"]) == (1.0, 1, 99.5)
    core.ask(session, b"release 1 0 0\r\nreserve\r\n")
    core.wait_ms(125)
    shown, _ = explain(core)
    assert (shown["held-for"], shown["touches"]) == (0.125, 0)


def test_a_buried_job(core: CheckedCore, session: Session) -> None:
    """How often and how long ago for the last time."""
    core.ask(session, put_with() + b"reserve\r\nbury 1 0\r\nkick 1\r\n")
    core.wait_ms(1000)
    core.ask(session, b"reserve\r\nbury 1 0\r\n")
    core.wait_ms(2500)
    shown, reasons = explain(core)
    assert (shown["state"], shown["buries"], shown["buried-for"]) == ("buried", 2, 2.5)
    assert reasons == "a client buried it 2.5 s ago; kick-job makes it ready"
    core.ask(session, b"kick 1\r\n")
    assert "buried-for" not in explain(core)[0]


def test_a_job_that_was_buried_before_a_restart(core: CheckedCore) -> None:
    """Who has buried it is known, but not when."""
    job = Job(7, core.broker.directory.default, 0, 0, 60, b"", 0)
    job.state, job.marked().buries = BURIED, 3
    core.broker.restore(job, 1, core.now)
    shown, reasons = explain(core, 7)
    assert shown["buries"] == 3
    assert "buried-for" not in shown
    assert reasons == "a client has buried it; kick-job makes it ready"


def test_a_dead_job(core: CheckedCore, session: Session) -> None:
    """In place, or in its dead tube, where it may be buried as well."""
    for options in ("tube=t attempts=1", "tube=t attempts=1 dead=d"):
        core.ask(session, put_with(options))
    core.ask(session, b"reserve-job 1\r\nrelease 1 0 0\r\nreserve-job 2\r\nrelease 2 0 0\r\n")
    core.wait_ms(2500)
    for number in (1, 2):
        shown, reasons = explain(core, number)
        assert (shown["died"], shown["died-in"], shown["died-because"]) == (2.5, "t", "released")
        assert "it is dead: its attempts in t were used up 2.5 s ago" in reasons
        assert "buried it" not in reasons
        assert "buried-for" not in shown
        assert shown["attempts-used"] == 0
    core.ask(session, b"reserve-job 2\r\nbury 2 0\r\n")
    reasons = explain(core, 2)[1]
    assert "it is dead" in reasons
    assert "a client buried it 0.0 s ago" in reasons


def test_the_attempts_that_were_used(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("attempts=5") + b"reserve\r\nrelease 1 0 0\r\n" * 3)
    assert explain(core)[0]["attempts-used"] == 3
    core.ask(session, b"reserve\r\nbury 1 0\r\nkick 1\r\n")
    shown, _ = explain(core)
    assert (shown["attempts-used"], shown["reserves"]) == (0, 4)


def test_an_overdue_job_is_not_said_to_expire_in_the_past(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with("ttl=1") + b"reserve\r\n")
    core.wait_ms(5000)
    shown, _ = explain(core)
    assert shown["expires-in"] == 0


# -- stats-tubes ----------------------------------------------------------------------------------


def test_all_tubes_in_one_reply(core: CheckedCore, session: Session) -> None:
    """Each says what stats-tube says, and what there is beyond."""
    core.ask(session, b"watch a\r\nuse b\r\n" + put_with("tube=1e5", pri=2000) + put_with())
    tubes = core.look(session, "stats-tubes")["tubes"]
    assert [tube["name"] for tube in tubes] == ["default", "a", "b", "1e5"]
    for tube in tubes:
        assert list(tube)[:14] == STANDARD_TUBE
        standard = core.look(session, f"stats-tube {tube['name']}")
        assert {key: tube[key] for key in STANDARD_TUBE} == standard
        assert list(tube)[14:] == [
            *("jobs-expired", "jobs-dead", "jobs-rejected", "oldest-ready-age"),
        ]


@pytest.mark.parametrize("ageing", [0, 100])
def test_the_age_of_the_oldest_ready_job(core: CheckedCore, session: Session, ageing: int) -> None:
    """Whatever its priority; the delayed, buried and reserved do not count."""
    core.ask(session, b"set-policy default ageing=%d\r\n" % ageing)
    assert core.summary("default")["oldest-ready-age"] == 0
    for pri in (5, 9, 5, 1, 9):
        core.ask(session, put_with(pri=pri))
        core.advance(core.now + NS_PER_S)
    core.ask(session, put_with(delay="99"))
    for line, age in (("reserve-job 1", 4), ("delete 2", 3), ("reserve-job 3", 2), ("peek 1", 2)):
        core.ask(session, line.encode() + b"\r\n")
        assert core.summary("default")["oldest-ready-age"] == age
    core.ask(session, b"bury 3 0\r\nrelease 1 7 0\r\n")
    assert core.summary("default")["oldest-ready-age"] == 5


# -- list-clients ---------------------------------------------------------------------------------


def test_all_clients(core: CheckedCore, session: Session) -> None:
    """What they are, use, watch, hold, and wait for."""
    peers = ["127.0.0.1:9", "", 'a"b\\c', "unix"]
    clients = [core.service.open(peer) for peer in peers]
    core.ask(session, put_with() * 3)
    core.ask(clients[0], b"watch a\r\nuse b\r\nreserve\r\nreserve\r\ntouch-for 1 99\r\n")
    core.send(clients[1], b"watch x\r\nignore default\r\nreserve-with-timeout 9\r\n")
    core.send(clients[2], b"wait-job 3 2.5\r\n")
    core.send(clients[3], b"watch x\r\nignore default\r\nreserve\r\n")
    core.wait_ms(500)
    me, first, second, third, fourth = core.look(session, "list-clients")["clients"]
    assert me == {
        "client": session.client.serial,
        "address": "",
        "uses": "default",
        "producer": 1,
        "worker": 0,
        "holds": 0,
        "waits-for": "",
        "watches": ["default"],
        "held-jobs": [],
    }
    assert [each["address"] for each in (first, second, third, fourth)] == peers
    assert (first["uses"], first["watches"], first["worker"]) == ("b", ["default", "a"], 1)
    assert (first["holds"], first["held-jobs"]) == (2, [2, 1])
    assert (second["waits-for"], second["waits-until-in"]) == ("a job", 8.5)
    assert (third["waits-for"], third["waits-until-in"]) == ("the end of job 3", 2.0)
    assert fourth["waits-for"] == "a job"
    assert "waits-until-in" not in fourth
    core.disconnect(clients[2])
    assert len(core.look(session, "list-clients")["clients"]) == 4


def test_the_jobs_named_for_a_client_are_bounded(core: CheckedCore, session: Session) -> None:
    fill(core, MOST_HELD + 1)
    core.ask(session, b"reserve-batch 999 0\r\n")
    (me,) = core.look(session, "list-clients")["clients"]
    assert me["holds"] == MOST_HELD + 1
    assert me["held-jobs"] == list(range(1, MOST_HELD + 1))


# -- standard commands on jobs that are not -------------------------------------------------------


def test_stats_job_has_the_standard_keys_only(core: CheckedCore, session: Session) -> None:
    """Alive or dead, and in a tube with every policy, whose stats-tube has no more either."""
    core.ask(session, b"set-policy t attempts=1 ttl=9 max-jobs=9 rate=9 concurrency=9 ageing=9\r\n")
    core.ask(session, put_with("tube=t key=k ttl=9 attempts=1 dead=d", delay="0.5", ttr="0.5"))
    for tube in ("t", "d"):
        assert list(core.look(session, "stats-job 1")) == STANDARD_JOB
        assert list(core.look(session, f"stats-tube {tube}")) == STANDARD_TUBE
        core.ask(session, b"reserve-job 1\r\nrelease 1 0 0\r\n")
    assert core.look(session, "stats-job 1")["tube"] == "d"


def test_standard_commands_do_as_ever(core: CheckedCore, session: Session) -> None:
    core.ask(
        session, b"use t\r\nwatch t\r\n" + put_with("key=k ttl=99 attempts=9 dead=d", ttr="2.5")
    )
    sent = (
        b"peek 1\r\npeek-ready\r\nreserve\r\ntouch 1\r\nbury 1 7\r\npeek-buried\r\nkick-job 1\r\n"
        b"reserve-with-timeout 0\r\nrelease 1 3 50\r\npeek-delayed\r\nkick 9\r\nreserve-job 1\r\n"
    )
    found, reserved = b"FOUND 1 1\r\nx\r\n", b"RESERVED 1 1\r\nx\r\n"
    assert core.ask(session, sent) == (
        found * 2
        + reserved
        + b"TOUCHED\r\nBURIED\r\n"
        + found
        + b"KICKED\r\n"
        + reserved
        + b"RELEASED\r\n"
        + found
        + b"KICKED 1\r\n"
        + reserved
    )
    stats = core.look(session, "stats-job 1")
    assert (stats["pri"], stats["ttr"], stats["delay"], stats["kicks"]) == (3, 3, 50, 2)
    assert core.ask(session, b"delete 1\r\ndelete 1\r\n") == b"DELETED\r\nNOT_FOUND\r\n"
    assert core.broker.memory == 0
