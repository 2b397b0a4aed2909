"""mv and cp: from tube to tube, from server to server, and what becomes of jobs when it dies."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from stalkd_client import Client, StalkdError

from support.daemon import start_stalkd
from support.gate import gate_to
from support.servers import url_of
from support.stalk import Stalk, bury, start

READY, BURIED, DELAYED = 130, 7, 5


@pytest.fixture
def target() -> Iterator[str]:
    with start_stalkd() as daemon:
        yield url_of(daemon)


def fill(url: str) -> Counter[tuple[str, str]]:
    """Put jobs of all kinds into ``mail``; return their states and bodies."""
    with Client(url, use="mail", watch="mail") as client:
        bury(client, *[f"buried {number}" for number in range(BURIED)])
        for number in range(READY):
            client.put(f"ready {number}", priority=number)
        for number in range(DELAYED):
            client.put(f"delayed {number}", delay=1000 + number)
        return contents(client, "mail")


def contents(client: Client, tube: str) -> Counter[tuple[str, str]]:
    """Return the states and bodies of a tube's jobs: by list-jobs, or of ids from 1 on."""
    found: Counter[tuple[str, str]] = Counter()
    for number in range(1, int(str(client.stats()["total-jobs"])) * 3 + 1):
        try:
            told = client.stats_job(number)
            if told["tube"] == tube:
                found[str(told["state"]), client.peek(number).body.decode()] += 1
        except StalkdError:
            continue
    return found


def both(source: str, target: str) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    with Client(source) as giver, Client(target) as taker:
        return contents(giver, "mail"), contents(taker, "new")


def test_mv_between_servers_keeps_the_state_of_each_job(
    run: Stalk, either: str, target: str
) -> None:
    jobs = fill(either)
    out = run("mv", "mail", "new", "--from", either, "--to", target, "--json")
    assert (out.code, out.json["carried"]) == (0, READY + BURIED + DELAYED)
    assert both(either, target) == (Counter(), jobs)
    with Client(target, use="new", watch="new") as client:
        assert client.reserve(0).body == b"ready 0"
        assert client.peek_buried().body == b"buried 0"
        left = client.stats_job(client.peek_delayed())["time-left"]
        assert 900 < int(str(left)) <= 1000


@pytest.mark.needs("beanstalkd")
def test_mv_to_beanstalkd_leaves_out_what_it_does_not_know(
    run: Stalk, url: str, original: str
) -> None:
    with Client(url, use="mail") as client:
        client.put("x", key="k", ttr=1.5, attempts=3, priority=5)
    assert run("mv", "mail", "new", "--from", url, "--to", original).code == 0
    with Client(original, use="new") as client:
        told = client.stats_job(client.peek_ready())
        assert (told["ttr"], told["pri"]) == (2, 5)


def test_mv_between_stalkds_keeps_key_and_terms(run: Stalk, url: str, target: str) -> None:
    with Client(url, use="mail") as client:
        client.put("x", key="order-17", ttl=500, attempts=3, dead="graves", ttr=1.5)
    assert run("mv", "mail", "new", "--from", url, "--to", target).code == 0
    with Client(target) as client:
        (told,) = client.list_jobs("new").jobs
    assert (told["key"], told["attempts"], told["dead"], told["ttr"]) == (
        *("order-17", 3, "graves"),
        1.5,
    )
    assert 400 < float(str(told["expires-in"])) <= 500


def test_a_key_of_an_earlier_mv_is_not_carried_further(run: Stalk, url: str, target: str) -> None:
    with Client(url, use="mail") as client:
        client.put("x")
    run("mv", "mail", "there", "--from", url, "--to", target)
    run("mv", "there", "back", "--from", target, "--to", url)
    with Client(url) as back, Client(target) as there:
        (told,) = back.list_jobs("back").jobs
        assert str(told["key"]).startswith(f"stalk-mv:{there.stats()['id']}:")


def test_mv_within_a_stalkd_keeps_ids(stalk: Stalk, url: str) -> None:
    jobs = fill(url)
    with Client(url, use="mail") as client:
        first = client.peek_ready().id
        assert stalk("mv", "mail", "new").out == f"carried {jobs.total()} jobs to new\n"
        client.use("new")
        assert client.peek_ready().id == first
        assert contents(client, "new") == jobs


@pytest.mark.needs("beanstalkd")
def test_mv_within_a_beanstalkd(run: Stalk, original: str) -> None:
    jobs = fill(original)
    assert run("mv", "mail", "new", "--url", original).code == 0
    assert both(original, original) == (Counter(), jobs)


def test_mv_takes_jobs_of_a_paused_tube(run: Stalk, either: str, target: str) -> None:
    """To pause it is how one keeps workers away."""
    jobs = fill(either)
    run("pause", "mail", "1h", "--url", either)
    assert run("mv", "mail", "new", "--from", either, "--to", target).code == 0
    assert both(either, target) == (Counter(), jobs)


def test_mv_of_one_state_and_as_ready(run: Stalk, either: str, target: str) -> None:
    fill(either)
    words = ("mv", "mail", "new", "--from", either, "--to", target)
    assert run(*words, "--state", "buried", "--as-ready", "--json").json["carried"] == BURIED
    with Client(target) as client:
        assert {state for state, _ in contents(client, "new")} == {"ready"}


def test_mv_tells_what_workers_hold(run: Stalk, either: str, target: str) -> None:
    with Client(either, use="mail", watch="mail") as worker:
        worker.put("x")
        job = worker.reserve(0)
        out = run("mv", "mail", "new", "--from", either, "--to", target)
        assert (out.code, out.out) == (0, "carried 0 jobs to new\n")
        assert "workers hold 1 job of mail" in out.err
        follower = start("mv", "mail", "new", "--from", either, "--to", target, "--follow")
        worker.release(job)
        assert follower.communicate(timeout=30)[0] == b"carried 1 job to new\n"


def test_mv_within_a_stalkd_follows_too(run: Stalk, url: str) -> None:
    with Client(url, use="mail", watch="mail") as worker:
        worker.put("x")
        job = worker.reserve(0)
        follower = start("mv", "mail", "new", "--url", url, "--follow")
        with pytest.raises(subprocess.TimeoutExpired):
            follower.wait(1)
        worker.release(job)
        assert follower.communicate(timeout=30)[0] == b"carried 1 job to new\n"


def test_a_short_delay_becomes_a_minute(run: Stalk, either: str, target: str) -> None:
    with Client(either, use="mail") as client:
        client.put("x", delay=30)
    run("mv", "mail", "new", "--from", either, "--to", target)
    with Client(target, use="new") as client:
        assert 55 < int(str(client.stats_job(client.peek_delayed())["time-left"])) <= 60


def test_a_refused_job_stays_where_it_was(run: Stalk, either: str) -> None:
    with start_stalkd("-z", "10") as daemon:
        with Client(either, use="mail") as client:
            client.put("short", priority=1)
            client.put("longer than ten bytes", priority=2)
        out = run("mv", "mail", "new", "--from", either, "--to", url_of(daemon))
        assert (out.code, "larger than the server takes" in out.err) == (1, True)
        assert both(either, url_of(daemon)) == (
            Counter({("ready", "longer than ten bytes"): 1}),
            Counter({("ready", "short"): 1}),
        )


def test_another_job_with_the_same_key_is_not_taken_for_it(
    run: Stalk, url: str, target: str
) -> None:
    with Client(url, use="mail") as giver, Client(target, use="new") as taker:
        giver.put("mine", key="k")
        taker.put("other", key="k")
        out = run("mv", "mail", "new", "--from", url, "--to", target)
    assert (out.code, "another job with the same key" in out.err) == (1, True)
    assert both(url, target) == (Counter({("ready", "mine"): 1}), Counter({("ready", "other"): 1}))


def test_mv_onto_itself_is_refused(stalk: Stalk, client: Client) -> None:
    client.put("x")
    assert stalk("mv", "mail", "mail").code == 2
    assert stalk("cp", "mail", "mail").code == 2


def test_mv_of_nothing_carries_nothing(stalk: Stalk, target: str) -> None:
    """So it can be run again and again."""
    assert stalk("mv", "nothing", "new", "--to", target).out == "carried 0 jobs to new\n"


KILLS = [
    ("source", b"delete ", False),  # the copies are there, and the originals
    ("source", b"delete ", True),  # the copies are held back, the originals gone
    ("target", b"put-with ", False),
    ("target", b"put-with ", True),
    ("target", b"kick-job ", False),
    ("target", b"kick-job ", True),
    ("target", b"bury ", False),
    ("target", b"bury ", True),
]


@pytest.mark.parametrize(("side", "verb", "comes_through"), KILLS)
def test_killed_and_run_again_it_loses_and_doubles_nothing(
    run: Stalk, either: str, target: str, side: str, verb: bytes, comes_through: bool
) -> None:
    """SIGKILL the moment it sends a command, which comes through or not."""
    jobs = fill(either)
    with gate_to(either) as source_gate, gate_to(target) as target_gate:
        began = threading.Event()

        def watch(data: bytes) -> bool:
            if not data.startswith(verb) and b"\n" + verb not in data:
                return True
            began.wait(10)
            process.kill()
            return comes_through

        (source_gate if side == "source" else target_gate).watch = watch
        process = start("mv", "mail", "new", "--from", source_gate.url, "--to", target_gate.url)
        began.set()
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
    wait_until_nothing_is_held(either)
    before, after = both(either, target)
    assert {body for _, body in before | after} == {body for _, body in jobs}
    assert run("mv", "mail", "new", "--from", either, "--to", target).code == 0
    assert both(either, target) == (Counter(), jobs)


@pytest.mark.needs("beanstalkd")
@pytest.mark.parametrize("comes_through", [False, True])
def test_after_a_kill_no_worker_of_beanstalkd_does_what_is_half_done(
    run: Stalk, original: str, target: str, comes_through: bool
) -> None:
    """A worker takes all it can get before it is run again; each job is on one side alone."""
    jobs = fill(original)
    with gate_to(original) as gate:

        def watch(data: bytes) -> bool:
            if not data.startswith(b"delete "):
                return True
            process.kill()
            return comes_through

        with Client(original, use="mail", watch="mail") as worker:
            process = start("mv", "mail", "new", "--from", gate.url, "--to", target)
            gate.watch = watch
            process.communicate(timeout=30)
            assert process.returncode == -signal.SIGKILL
            wait_until_nothing_is_held(original)
            done: Counter[tuple[str, str]] = Counter()
            while worker.stats_tube("mail")["current-jobs-ready"]:
                job = worker.reserve(0)
                worker.delete(job)
                done["ready", job.body.decode()] += 1
    assert 0 < done.total() < READY
    assert run("mv", "mail", "new", "--from", original, "--to", target).code == 0
    before, after = both(original, target)
    assert before == Counter()
    assert after + done == jobs


def wait_until_nothing_is_held(url: str) -> None:
    with Client(url) as client:
        while client.stats()["current-jobs-reserved"]:
            time.sleep(0.01)  # The test's own time limit ends this.


def test_a_lost_connection_says_that_nothing_is_lost(run: Stalk, either: str, target: str) -> None:
    jobs = fill(either)
    with gate_to(target) as gate:
        gate.watch = lambda data: b"kick-job" not in data
        out = run("mv", "mail", "new", "--from", either, "--to", gate.url)
    assert (out.code, out.out) == (3, "")
    assert "nothing is lost: run it again" in out.err
    wait_until_nothing_is_held(either)
    assert run("mv", "mail", "new", "--from", either, "--to", target).code == 0
    assert both(either, target) == (Counter(), jobs)


def test_what_a_worker_took_meanwhile_is_not_done_twice(run: Stalk, url: str, target: str) -> None:
    """A worker of the source reserves a job between the put and the delete."""
    with Client(url, use="mail", watch="mail") as worker, gate_to(url) as gate:
        worker.put("x")
        held = []

        def watch(data: bytes) -> bool:
            if data.startswith(b"delete "):
                held.append(worker.reserve(0))
            return True

        gate.watch = watch
        out = run("mv", "mail", "new", "--from", gate.url, "--to", target, "--json")
        assert (out.code, out.json["carried"], out.json["doubled"]) == (0, 0, 0)
        assert [job.body for job in held] == [b"x"]
        worker.delete(held[0])
    assert both(url, target) == (Counter(), Counter())


def test_ctrl_c_ends_with_all_jobs_on_one_side(run: Stalk, either: str, target: str) -> None:
    jobs = fill(either)
    with gate_to(target) as gate:
        began = threading.Event()

        def watch(data: bytes) -> bool:
            if b"kick-job" in data and not began.is_set():
                began.set()
                process.send_signal(signal.SIGINT)
            return True

        gate.watch = watch
        process = start("mv", "mail", "new", "--from", either, "--to", gate.url)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"stalk: stopped; started again, it goes on\n")
    before, after = both(either, target)
    assert 0 < after.total() < jobs.total()
    assert before + after == jobs


def test_cp_leaves_the_originals_and_copies_none_twice(run: Stalk, url: str, target: str) -> None:
    jobs = fill(url)
    words = ("cp", "mail", "new", "--from", url, "--to", target, "--json")
    assert run(*words).json == {"copied": jobs.total(), "there": 0}
    assert run(*words).json == {"copied": 0, "there": jobs.total()}
    assert both(url, target) == (jobs, jobs)
