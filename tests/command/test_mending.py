"""kick, bury, rm, purge, release, move, pause, resume, policy, drain, wait-empty, ping."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from stalkd_client import Client, NotFoundError

from support.command import failing, logging_to
from support.daemon import start_stalkd
from support.servers import url_of
from support.stalk import Stalk, bury, start

EXIT_LOG_LOST = 74


def counts(client: Client, tube: str = "mail") -> list[int]:
    told = client.stats_tube(tube)
    states = ("ready", "reserved", "delayed", "buried")
    return [int(str(told[f"current-jobs-{state}"])) for state in states]


def test_a_queue_of_buried_jobs_is_repaired_by_what_help_says(stalk: Stalk, client: Client) -> None:
    """The words of `stalk --help`, one after the other."""
    ids = bury(client, *[f'{{"n": {number}}}' for number in range(300)])
    for words in (("ls",), ("jobs", "mail", "--state", "buried"), ("show", str(ids[0]))):
        assert " ".join(words[:1]) in stalk("--help").out
        assert stalk(*words).code == 0
    assert stalk("kick", "mail", 10).out == "kicked 10 jobs of mail\n"
    assert counts(client) == [10, 0, 0, 290]
    assert stalk("kick", "--job", ids[200]).out == "kicked 1 job\n"
    assert stalk("kick", "mail", "--all").out == "kicked 289 jobs of mail\n"
    assert counts(client) == [300, 0, 0, 0]


def test_kick_leaves_delayed_jobs_alone(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        client.put("later", delay=60)
        refused = run("kick", "mail", 5, "--url", either)
        assert (refused.code, refused.out) == (1, "")
        assert "1 delayed: --delayed" in refused.err
        bury(client, "a")
        assert run("kick", "mail", 5, "--url", either, "--json").json == {"kicked": 1, "left": 0}
        assert counts(client) == [1, 0, 1, 0]
        bury(client, "b")
        assert run("kick", "mail", "--delayed", "--url", either).code == 0
        assert counts(client) == [2, 0, 0, 1]


@pytest.mark.parametrize(
    "words", [["kick"], ["kick", "mail", "--job", 1], ["kick", "mail", 5, "--all"]]
)
def test_kick_wants_one_thing(stalk: Stalk, words: list[str]) -> None:
    assert stalk(*words).code == 2


def test_bury_keeps_the_priority(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        job = client.put("x", priority=9)
        held = client.put("y")
        client.reserve_job(held)
        done = run("bury", job, held, "--url", either)
        assert (done.code, done.out) == (1, "buried 1 job\n")
        assert f"job {held} is not there, or somebody holds it" in done.err
        assert client.stats_job(job)["pri"] == 9
        assert counts(client) == [0, 1, 0, 1]


def test_rm_deletes_what_nobody_holds(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        ids = [client.put("x") for _ in range(3)]
        assert run("rm", *ids, 99, "--yes", "--url", either).code == 1
        assert counts(client) == [0, 0, 0, 0]


@pytest.mark.parametrize("words", [["rm", 1], ["purge", "mail"], ["release", "mail"]])
def test_nothing_is_destroyed_without_an_answer(
    stalk: Stalk, client: Client, words: list[str]
) -> None:
    client.put("x")
    client.put("y")
    client.reserve(0)
    refused = stalk(*words)
    assert refused.code == 2
    assert "--yes" in refused.err
    assert counts(client) == [1, 1, 0, 0]


def test_purge_empties_a_tube(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        bury(client, "a", "b")
        client.put("c", delay=60)
        client.put("d")
        assert run("purge", "mail", "--state", "buried", "-y", "--url", either).code == 0
        assert counts(client) == [1, 0, 1, 0]
        out = run("purge", "mail", "-y", "--url", either, "--json")
        assert out.json == {"purged": 2}
        assert run("purge", "mail", "-y", "--url", either).code == 1


@pytest.mark.needs("beanstalkd")
def recorded(client: Client, job: int, queue: str = "mail", **more: object) -> str:
    """Leave beside a job what a worker leaves there; return the name of the tube."""
    tube = f"error.{job}"
    client.use(tube)
    client.put(json.dumps({"exception": "E", "id": job, "queue": queue, **more}))
    return tube


def test_rm_takes_records_along(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        gone, stays = client.put("x"), client.put("x")
        tube, other = recorded(client, gone), recorded(client, stays)
        client.use(f"error.{stays}")
        assert run("rm", gone, 99, "--yes", "--url", either).code == 1
        assert tube not in client.list_tubes()
        assert other in client.list_tubes()
        client.use("mail")
        last = client.put("x")
        foreign = recorded(client, last, id=0)
        client.use("default")
        assert run("rm", last, "--yes", "--url", either).code == 0
        assert foreign in client.list_tubes()


def test_purge_takes_records_along(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        gone, held = client.put("x"), client.put("x")
        client.reserve_job(held)
        tubes = [recorded(client, gone), recorded(client, held), recorded(client, 999, "post")]
        client.use("default")
        assert run("purge", "mail", "--state", "ready", "--yes", "--url", either).code == 0
        left = {each for each in client.list_tubes() if each.startswith("error.")}
        assert left == set(tubes[1:])


def test_purge_of_beanstalkd_leaves_what_workers_hold(run: Stalk, original: str) -> None:
    with Client(original, use="mail", watch="mail") as client:
        client.put("a")
        client.put("b")
        client.reserve(0)
        out = run("purge", "mail", "-y", "--url", original)
        assert (out.code, out.out) == (0, "deleted 1 job of mail\n")
        assert "workers hold" in out.err
        assert counts(client) == [0, 1, 0, 0]


def test_release_takes_jobs_from_their_workers(stalk: Stalk, client: Client) -> None:
    client.put("x")
    client.reserve(0)
    assert stalk("release", "mail", "--yes").out == "released 1 job of mail\n"
    assert counts(client) == [1, 0, 0, 0]
    assert stalk("release", "mail", "--yes").code == 1


def test_move_gives_the_dead_a_new_life(stalk: Stalk, client: Client) -> None:
    client.set_policy("mail", attempts=1, dead="mail.dead")
    for _ in range(5):
        client.put("x")
        client.release(client.reserve(0))
    assert counts(client, "mail.dead") == [5, 0, 0, 0]
    assert stalk("move", "mail.dead", "mail", 2).out == "moved 2 of 2 jobs to mail\n"
    assert stalk("move", "mail.dead", "mail", "--json").json == {"moved": 3, "of": 3}
    assert counts(client) == [5, 0, 0, 0]
    assert stalk("move", "mail.dead", "mail").code == 1


def test_move_within_a_tube_revives_the_buried(stalk: Stalk, client: Client) -> None:
    bury(client, "a", "b")
    client.put("c")
    assert stalk("move", "mail", "mail").out == "moved 2 of 2 jobs to mail\n"
    assert stalk("move", "mail", "mail", "--state", "ready").code == 2


def test_move_at_a_rate_stops_on_ctrl_c(client: Client, url: str) -> None:
    for _ in range(50):
        client.put("x")
    process = start("move", "mail", "other", "--rate", "20/s", "--url", url)
    with Client(url) as looking:
        moved = 0
        while moved < 3 and process.poll() is None:
            if "other" in looking.list_tubes():
                moved = counts(looking, "other")[0]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        after = counts(looking, "other")[0]
    assert process.returncode == 130
    assert out.decode() == f"moved {after} of 50 jobs to other\n"
    assert err.decode() == "stalk: stopped; the other jobs are where they were\n"
    assert 3 <= after < 50
    assert counts(client)[0] == 50 - after


def test_pause_and_resume(run: Stalk, either: str) -> None:
    with Client(either, use="mail") as client:
        client.put("x")
        assert run("pause", "mail", "5m", "--url", either).out == "mail is paused for 5m\n"
        assert client.stats_tube("mail")["pause"] == 300
        assert run("resume", "mail", "--url", either).code == 0
        assert client.stats_tube("mail")["pause"] == 0
        assert run("pause", "nothing", "5m", "--url", either).code == 1


def test_policy_is_shown_and_changed(stalk: Stalk, client: Client) -> None:
    changed = stalk(
        "policy", "mail", "--attempts", 3, "--dead", "mail.dead", "--ttl", "1d", "--json"
    )
    assert changed.json["attempts"] == 3
    assert (client.get_policy("mail")["ttl"], client.get_policy("mail")["dead"]) == (
        86400,
        "mail.dead",
    )
    assert "attempts     3\n" in stalk("policy", "mail").out
    assert stalk("policy", "mail", "--dead", "", "--json").json["dead"] == ""
    assert stalk("policy", "mail", "--clear", "--json").json["attempts"] == 0
    assert stalk("policy", "mail", "--clear", "--rate", 5).code == 2


def test_drain_and_back(stalk: Stalk, client: Client) -> None:
    assert stalk("drain", "--wait").out == "the server takes no more jobs\n"
    refused = stalk("put", "mail", "x")
    assert (refused.code, "draining" in refused.err) == (1, True)
    assert stalk("drain", "--off", "--json").json == {"draining": False}
    client.put("x")
    late = stalk("drain", "--wait", "--timeout", "0")
    assert (late.code, "still 1 job" in late.err) == (1, True)


@pytest.mark.needs("beanstalkd")
@pytest.mark.parametrize(
    "words",
    [
        ["clients"],
        ["release", "mail", "-y"],
        ["move", "mail", "other"],
        ["policy", "mail"],
        ["cp", "mail", "other"],
        ["export", "mail"],
        ["drain"],
        ["put", "mail", "x", "--key", "k"],
    ],
)
def test_what_needs_stalkd_says_so(run: Stalk, original: str, words: list[str]) -> None:
    with Client(original, use="mail") as client:
        client.put("x")
        refused = run("--url", original, *words)
        assert (refused.code, refused.out) == (5, "")
        assert refused.err.startswith("stalk: ")
        assert refused.err.count("\n") == 1
        assert counts(client) == [1, 0, 0, 0]


def test_wait_empty_ends_when_the_jobs_do(run: Stalk, either: str) -> None:
    with Client(either, use="mail", watch="mail") as client:
        assert run("wait-empty", "mail", "--url", either).code == 0
        (buried,) = bury(client, "a")
        assert run("wait-empty", "mail", "--url", either).code == 0
        assert run("wait-empty", "mail", "--buried", "--timeout", "0", "--url", either).code == 1
        client.delete(buried)
        job = client.put("x")
        process = start("wait-empty", "mail", "--url", either)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        client.delete(job)
        assert process.communicate(timeout=20)[0] == b"mail is empty\n"


def test_ping_of_a_healthy_server(run: Stalk, either: str) -> None:
    told = run("ping", "--url", either, "--json").json
    assert told["seconds"] < 5
    assert told["binlog-state"] == "ok"
    assert " answered in " in run("ping", "--url", either).out


def test_ping_of_a_server_that_hangs(run: Stalk) -> None:
    with start_stalkd() as daemon:
        daemon.signal(signal.SIGSTOP)
        try:
            out = run("ping", "--timeout", "0.3", "--url", url_of(daemon))
        finally:
            daemon.signal(signal.SIGCONT)
    assert (out.code, "gave no answer in 0.3 s" in out.err) == (3, True)


def test_ping_of_a_server_that_is_ill(run: Stalk, tmp_path: Path) -> None:
    """Its disk fails: then it cannot write its log any more."""
    switch = tmp_path / "fail"
    command = failing("write", switch)
    with logging_to(tmp_path / "log", "-f0", command=command) as (daemon, wire):
        assert run("ping", "--url", url_of(daemon)).code == 0
        switch.touch()
        wire.send(b"put 0 0 60 4\r\nlost\r\n")
        wire.expect_closed()
        out = run("ping", "--url", url_of(daemon), "--json")
        assert (out.code, "cannot write its log" in out.err) == (4, True)
        assert (out.json["binlog-state"], out.json["draining"]) == ("failed", True)
        off = run("drain", "--off", "--url", url_of(daemon))
        assert (off.code, "until it is started again" in off.err) == (1, True)
        assert daemon.terminate() == EXIT_LOG_LOST


def test_deleted_jobs_are_gone(stalk: Stalk, client: Client) -> None:
    job = client.put("x")
    assert stalk("rm", job, "-y", "--json").json == {"deleted": [job], "refused": []}
    with pytest.raises(NotFoundError):
        client.peek(job)
