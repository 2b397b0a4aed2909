"""attempts: exactly the last lease that ends without a delete makes a job dead."""

from __future__ import annotations

from itertools import product

import pytest

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.extended import CheckedCore, put_with

WHY = {
    "release": "released",
    "release with delay": "released",
    "timeout": "timed out",
    "disconnect": "disconnected",
    "release-tube": "taken back",
}


def end_a_lease(core: CheckedCore, how: str, tube: str = "default") -> None:
    """Reserve job 1, which has a time-to-run of a second, and let the lease end."""
    worker = core.connect()
    assert core.ask(worker, b"reserve-job 1\r\n") == b"RESERVED 1 1\r\nx\r\n"
    if how == "release":
        assert core.ask(worker, b"release 1 0 0\r\n") == b"RELEASED\r\n"
    elif how == "release with delay":
        assert core.ask(worker, b"release 1 0 5\r\n") == b"RELEASED\r\n"
    elif how == "timeout":
        core.wait_ms(999)
        assert core.list_jobs(tube)[0]["state"] == "reserved"
        core.wait_ms(1)
    elif how == "release-tube":
        other = core.connect()
        assert core.ask(other, f"release-tube {tube}\r\n".encode()) == b"RELEASED 1\r\n"
        core.disconnect(other)
    core.disconnect(worker)


@pytest.mark.parametrize("endings", list(product(WHY, repeat=3)), ids=", ".join)
def test_the_third_lease_is_the_last(
    core: CheckedCore, session: Session, endings: tuple[str, ...]
) -> None:
    """Whichever way the three have ended; in the dead tube it says where it came from and why."""
    core.ask(session, put_with("tube=a attempts=3 dead=d", ttr="1"))
    for how in endings[:2]:
        end_a_lease(core, how, "a")
        (job,) = core.list_jobs("a")
        assert job["state"] == ("delayed" if how == "release with delay" else "ready")
        assert "died" not in job
    end_a_lease(core, endings[2], "a")
    assert core.ask(session, b"stats-tube a\r\n") == b"NOT_FOUND\r\n"
    (job,) = core.list_jobs("d")
    assert (job["state"], job["reserves"]) == ("ready", 3)
    assert (job["died-in"], job["died-because"], job["died"]) == ("a", WHY[endings[2]], 0)


@pytest.mark.parametrize("how", WHY)
@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_without_a_dead_tube_it_is_buried_in_place(
    core: CheckedCore, session: Session, how: str, attempts: int
) -> None:
    core.ask(session, put_with(f"attempts={attempts}", ttr="1"))
    for _ in range(attempts - 1):
        end_a_lease(core, how)
    assert core.states()[1] != "buried"
    end_a_lease(core, how)
    (job,) = core.list_jobs()
    assert (job["state"], job["died-in"], job["died-because"]) == ("buried", "default", WHY[how])
    assert core.summary("default")["jobs-dead"] == 1
    assert core.look(session, "stats")["jobs-dead"] == 1
    assert core.look(session, "stats-job 1")["buries"] == 0


@pytest.mark.parametrize("how", WHY)
def test_the_policy_of_the_tube_holds_for_plain_jobs(
    core: CheckedCore, session: Session, how: str
) -> None:
    """Also for those that were there, and reserved, before it."""
    core.ask(session, b"put 0 0 1 1\r\nx\r\n")
    end_a_lease(core, "release")
    core.ask(session, b"set-policy default attempts=3 dead=d\r\n")
    end_a_lease(core, "disconnect")
    assert core.states() == {1: "ready"}
    end_a_lease(core, how)
    assert core.states("d") == {1: "ready"}
    assert core.summary("default")["jobs-dead"] == 1
    assert core.summary("d")["jobs-dead"] == 0


@pytest.mark.parametrize(
    ("own", "policy", "leases", "tube"),
    [
        ("attempts=2", "attempts=1", 2, "default"),
        ("attempts=1", "attempts=3", 1, "default"),
        ("attempts=0", "attempts=2", 2, "default"),
        ("key=k", "attempts=2 dead=p", 2, "p"),
        ("dead=o", "attempts=2 dead=p", 2, "o"),
        ("attempts=1 dead=o", "dead=p", 1, "o"),
        ("attempts=1", "dead=p", 1, "p"),
        ("attempts=1 dead=default", "dead=p", 1, "default"),
    ],
)
def test_a_jobs_own_terms_come_before_the_policy(
    core: CheckedCore, session: Session, own: str, policy: str, leases: int, tube: str
) -> None:
    core.ask(session, f"set-policy default {policy}\r\n".encode() + put_with(own))
    for _ in range(leases - 1):
        end_a_lease(core, "release")
        assert core.states() == {1: "ready"}
    end_a_lease(core, "release")
    assert core.states(tube) == {1: "buried" if tube == "default" else "ready"}


def test_every_way_to_reserve_counts(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("attempts=4"))
    for reserve in ("reserve", "reserve-with-timeout 0", "reserve-batch 1 0"):
        core.ask(session, f"{reserve}\r\nrelease 1 0 0\r\n".encode())
        assert core.states() == {1: "ready"}
    core.ask(session, b"reserve-job 1\r\ntouch 1\r\ntouch-for 1 5\r\n")
    assert core.states() == {1: "reserved"}
    core.ask(session, b"release 1 0 0\r\n")
    assert core.states() == {1: "buried"}


def test_the_last_attempt_may_succeed(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("attempts=1 dead=d") + b"reserve\r\n")
    assert core.ask(session, b"delete 1\r\nstats-tube d\r\n") == b"DELETED\r\nNOT_FOUND\r\n"


def test_a_burial_is_no_death(core: CheckedCore, session: Session) -> None:
    """Also on the last attempt: the job stays where it is, and a kick gives it all attempts."""
    core.ask(session, put_with("attempts=2 dead=d"))
    end_a_lease(core, "release")
    core.ask(session, b"reserve\r\nbury 1 0\r\n")
    (job,) = core.list_jobs()
    assert job["state"] == "buried"
    assert "died" not in job
    assert core.broker.dead == 0
    core.ask(session, b"kick-job 1\r\n")
    end_a_lease(core, "release")
    assert core.states() == {1: "ready"}
    end_a_lease(core, "release")
    assert core.states("d") == {1: "ready"}


def test_a_buried_job_that_is_reserved_again_has_no_attempt_left(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with("attempts=1") + b"reserve\r\nbury 1 0\r\n")
    end_a_lease(core, "release")
    assert core.list_jobs()[0]["died-because"] == "released"


@pytest.mark.parametrize("revival", ["kick 1", "kick-job 1", "move-jobs default buried default 1"])
def test_a_revived_job_has_all_its_attempts(
    core: CheckedCore, session: Session, revival: str
) -> None:
    """And nothing says any more that it was dead; the second death is counted too."""
    core.ask(session, put_with("attempts=2"))
    for deaths in (1, 2):
        end_a_lease(core, "release")
        assert core.states() == {1: "ready"}
        end_a_lease(core, "release")
        assert core.list_jobs()[0]["died-in"] == "default"
        assert core.broker.dead == deaths
        core.ask(session, revival.encode() + b"\r\n")
        (job,) = core.list_jobs()
        assert job["state"] == "ready"
        assert "died" not in job


@pytest.mark.parametrize("policy", ["", "max-jobs=9", "attempts=9", "ttl=99"])
@pytest.mark.parametrize("revival", ["kick 1", "kick-job 1"])
@pytest.mark.parametrize("ending", ["bury 1 0", "release 1 0 9"])
def test_a_kick_gives_a_job_its_own_attempts_again_in_any_tube(
    core: CheckedCore, session: Session, policy: str, revival: str, ending: str
) -> None:
    """With or without a policy; what plain clients see goes on counting."""
    if policy:
        core.ask(session, f"set-policy default {policy}\r\n".encode())
    core.ask(session, put_with("attempts=3"))
    for kicks in (1, 2, 3):
        end_a_lease(core, "release")
        core.ask(session, f"reserve-job 1\r\n{ending}\r\n{revival}\r\n".encode())
        assert core.look(session, "explain-job 1")["attempts-used"] == 0
        stats = core.look(session, "stats-job 1")
        assert (stats["kicks"], stats["reserves"]) == (kicks, 2 * kicks)
    for _ in range(2):
        end_a_lease(core, "release")
        assert core.states() == {1: "ready"}
    end_a_lease(core, "release")
    assert core.states() == {1: "buried"}


def test_the_kick_of_a_plain_job_is_a_kick_and_nothing_more(
    core: CheckedCore, session: Session
) -> None:
    """Where nothing limits attempts: it takes no memory, and a limit set later counts them all."""
    core.ask(session, b"put 0 0 9 1\r\nx\r\nreserve\r\nrelease 1 0 0\r\nreserve\r\nbury 1 0\r\n")
    memory = core.broker.memory
    core.ask(session, b"kick 1\r\n")
    assert core.broker.memory == memory
    assert core.look(session, "explain-job 1")["attempts-used"] == 2
    core.ask(session, b"set-policy default attempts=3\r\n")
    end_a_lease(core, "release")
    assert core.states() == {1: "buried"}
    core.ask(session, b"kick 1\r\n")
    for _ in range(2):
        end_a_lease(core, "release")
    assert core.states() == {1: "ready"}


@pytest.mark.parametrize("options", ["attempts=3 dead=d", ""])
def test_a_poison_job_comes_back_with_move_jobs(
    core: CheckedCore, session: Session, options: str
) -> None:
    """It kills its holder, is found in the dead tube, and is as good as new in its own."""
    core.ask(session, b"set-policy a attempts=3 dead=d\r\n" + put_with(f"tube=a {options}"))
    for _ in range(2):
        for _ in range(3):
            assert core.states("a") == {1: "ready"}
            end_a_lease(core, "disconnect", "a")
        assert core.states("d") == {1: "ready"}
        assert core.ask(session, b"move-jobs d ready a 9\r\n") == b"MOVED 1\r\n"


def test_a_plain_job_that_is_moved_has_all_the_attempts_of_its_new_tube(
    core: CheckedCore, session: Session
) -> None:
    """However often it was reserved where nobody counted."""
    core.ask(session, b"set-policy b attempts=2\r\nput 0 0 9 1\r\nx\r\n")
    for _ in range(5):
        end_a_lease(core, "release")
    core.ask(session, b"move-jobs default ready b 1\r\n")
    end_a_lease(core, "release")
    assert core.states("b") == {1: "ready"}
    end_a_lease(core, "release")
    assert core.states("b") == {1: "buried"}


def test_a_dead_job_lives_on_in_its_dead_tube(core: CheckedCore, session: Session) -> None:
    """There only that tube's policy counts, and attempts made elsewhere do not."""
    core.ask(session, put_with("attempts=1 dead=d"))
    end_a_lease(core, "release")
    for _ in range(3):
        end_a_lease(core, "release", "d")
        assert core.states("d") == {1: "ready"}
    core.ask(session, b"set-policy d attempts=6\r\n")
    end_a_lease(core, "release", "d")
    assert core.states("d") == {1: "ready"}
    for _ in range(2):
        end_a_lease(core, "release", "d")
    assert core.states("d") == {1: "buried"}
    (job,) = core.list_jobs("d")
    assert (job["died-in"], job["reserves"]) == ("d", 7)


def test_dead_tubes_may_form_a_chain(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy a attempts=1 dead=b\r\nset-policy b attempts=2 dead=a\r\n")
    core.ask(session, b"use a\r\nput 0 0 9 1\r\nx\r\n")
    for tube, leases in (("a", 1), ("b", 2), ("a", 1), ("b", 2)):
        for _ in range(leases):
            assert core.states(tube) == {1: "ready"}
            end_a_lease(core, "release", tube)
    assert (core.summary("a")["jobs-dead"], core.summary("b")["jobs-dead"]) == (2, 2)


def test_who_waits_for_the_dead_gets_them(
    core: CheckedCore, session: Session, worker: Session
) -> None:
    core.ask(session, put_with("attempts=1 dead=d"))
    core.send(worker, b"watch d\r\nignore default\r\nreserve\r\n")
    end_a_lease(core, "disconnect")
    assert core.received(worker).endswith(b"RESERVED 1 1\r\nx\r\n")
    assert core.list_jobs("d")[0]["state"] == "reserved"


def test_a_release_of_the_last_attempt_keeps_the_new_priority(
    core: CheckedCore, session: Session
) -> None:
    core.ask(session, put_with("attempts=1 dead=d") + b"reserve\r\nrelease 1 77 9\r\n")
    (job,) = core.list_jobs("d")
    assert (job["pri"], job["state"]) == (77, "ready")


def test_the_death_of_many_at_once(core: CheckedCore, session: Session, worker: Session) -> None:
    """The jobs of one lost connection die or go back, each by its own attempts, in their order."""
    for number in range(20):
        core.ask(session, put_with(f"attempts={1 + number % 2} dead=d", pri=20 - number))
    core.ask(worker, b"reserve-batch 20 0\r\n")
    core.wait_ms(5)
    core.disconnect(worker)
    assert core.states() == dict.fromkeys(range(2, 21, 2), "ready")
    assert core.states("d") == dict.fromkeys(range(1, 21, 2), "ready")
    core.ask(session, b"watch d\r\nignore default\r\n")
    assert core.ask(session, b"reserve\r\n") == b"RESERVED 19 1\r\nx\r\n"


def test_a_full_dead_tube_takes_the_dead(core: CheckedCore, session: Session) -> None:
    core.ask(session, b"set-policy d max-jobs=1\r\n" + put_with("tube=d"))
    core.ask(session, put_with("attempts=1 dead=d") + b"reserve-job 2\r\nrelease 2 0 0\r\n")
    assert core.states("d") == {1: "ready", 2: "ready"}


def test_how_long_ago_it_died(core: CheckedCore, session: Session) -> None:
    core.ask(session, put_with("attempts=1"))
    end_a_lease(core, "release")
    core.advance(core.now + 5 * NS_PER_S // 2)
    assert core.list_jobs()[0]["died"] == 2.5
