"""What a worker tells of itself through the server, and what it is told through it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stalkd_client import Client, NotFoundError, Queue
from stalkd_client.command.worker_reports import Worker as Told
from stalkd_client.command.worker_reports import all_workers
from stalkd_client.reports import MOST_NAME, NAMES, REPORTS, control_of
from stalkd_client.worker.reporting.control import meant
from stalkd_client.worker.reporting.identity import Identity, check_name, usual_name
from stalkd_client.worker.reporting.portrait import LISTS, fitted
from stalkd_client.worker.reporting.reporter import LEFT_S

from support.cutter import cutter
from support.daemon import Daemon, start_stalkd
from support.workers import PATIENCE_S, wait_until, work_off, worker

SOON_S = 1.5
"""How long a report may outlive its worker: one second, and some time for a slow machine."""


def told(url: str, name: str) -> Told | None:
    with Client(url) as client:
        return next((each for each in all_workers(client) if each.name == name), None)


def is_so(url: str, name: str, condition: Callable[[Told], Any]) -> Told:
    """Wait until a worker says so."""

    def found() -> Told | None:
        told_now = told(url, name)
        return told_now if told_now is not None and condition(told_now) else None

    result: Told = wait_until(found, f"{name} never said so: {told(url, name)}")
    return result


def works(report: Told) -> bool:
    return report.text("state") == "working"


def jobs_in(url: str, tube: str) -> int:
    with Client(url) as client:
        try:
            found = client.stats_tube(tube)
        except NotFoundError:
            return 0
        states = ("ready", "reserved", "delayed", "buried")
        return sum(int(str(found[f"current-jobs-{state}"])) for state in states)


def command(url: str, name: str, body: str | bytes) -> None:
    with Client(url) as client:
        client.put(body, tube=control_of(name), ttl=60)


# -- the report -----------------------------------------------------------------------------------


def test_a_worker_tells_how_it_is(url: str, tube: str, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    before = time.time()
    with worker(url, "work:quick_or_wait", "-q", tube, "-c", "2", "--name", tube) as made:
        with Queue(tube, url) as queue:
            queue.push(1)
            made.wait_for(" done ")
            number = queue.push([str(begun), str(go)])
        report = is_so(url, tube, lambda report: report.jobs)
        assert report.told["host"] == socket.gethostname()
        assert report.told["pid"] == made.process.pid
        assert before <= report.told["started"] <= time.time()
        assert report.told["version"]
        assert report.queues == [tube]
        assert report.text("state") == "working"
        assert (report.number("busy"), report.number("slots")) == (1, 2)
        assert report.told["counts"] == {"done": 1, "failed": 0, "retried": 0}
        (job,) = report.jobs
        assert (job["id"], job["queue"], job["attempt"]) == (number, tube, 1)
        assert before <= job["since"] <= time.time()
        (process,) = report.told["processes"]
        assert (process["pid"], process["done"]) == (made.children()[0], 1)
        assert report.number("memory") == process["memory"] > 1 << 20
        go.touch()
        report = is_so(url, tube, lambda report: report.number("counts", "done") == 2)
        assert report.jobs == []
        assert jobs_in(url, REPORTS) == 1  # The ones before are gone.
        assert made.stop() == 0


def test_failures_are_counted(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push(1)
    with worker(url, "work:boom", "-q", tube, "--name", tube):
        report = is_so(url, tube, lambda report: report.number("counts", "failed"))
        assert report.told["counts"]["buried"] == 1


def test_a_killed_worker_leaves_nothing(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        made.kill()
        killed = time.monotonic()
        wait_until(lambda: told(url, tube) is None)
        wait_until(lambda: not jobs_in(url, REPORTS) and not jobs_in(url, NAMES))
        assert time.monotonic() - killed < LEFT_S + SOON_S


def test_a_frozen_worker_is_still_there(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        made.signal(signal.SIGSTOP)
        time.sleep(LEFT_S + 0.2)  # It is about what does not happen.
        assert told(url, tube) is not None
        made.signal(signal.SIGCONT)
        assert made.stop() == 0


def test_the_report_has_gone_when_the_worker_has(url: str, tube: str) -> None:
    """At once, and not a second later, however young it is."""
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        began = time.monotonic()
        assert made.stop() == 0
        took = time.monotonic() - began
        assert jobs_in(url, REPORTS) == jobs_in(url, NAMES) == 0
        assert took < 1.0  # Measured: 0.06 s.


@pytest.mark.parametrize("is_kept", [True, False])
def test_reports_come_back_with_the_server(tube: str, tmp_path: Path, *, is_kept: bool) -> None:
    path = tmp_path / "s"
    url = f"unix:{path}"
    log = ["-b", str(tmp_path)] if is_kept else []
    options = ["work:double", "-q", tube, "--name", "a"]
    with worker(url, *options) as one, worker(url, *options) as other:
        with start_stalkd(*log, unix=str(path)) as daemon:
            before = [is_so(url, name, works) for name in ("a", "a-2")]
            daemon.kill()
        path.unlink()
        with start_stalkd(*log, unix=str(path)):
            for old in before:
                assert is_so(url, old.name, works).instance == old.instance
            wait_until(lambda: jobs_in(url, REPORTS) == jobs_in(url, NAMES) == 2)
            for name in ("a", "a-2"):
                command(url, name, '{"do": "stop"}')
            assert one.wait() == other.wait() == 0
    for made in (one, other):  # Reports add nothing to what the slots say.
        assert made.count("server-away") == made.count("server-back")


def test_a_report_that_was_deleted_comes_back_with_news(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        with Client(url) as client:
            client.purge_tube(REPORTS)
        assert told(url, tube) is None
        with Queue(tube, url) as queue:
            queue.push(1)
        is_so(url, tube, works)
        assert made.stop() == 0


def test_a_connection_that_breaks_is_made_again(url: str, tube: str) -> None:
    """Only that of the report: nobody else would notice."""
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        with Client(url) as client:
            client.release_tube(REPORTS)  # Without its lease it expires, as if it had broken.
            wait_until(lambda: told(url, tube) is None)
        made.signal(signal.SIGUSR1)
        is_so(url, tube, lambda report: report.text("state") == "quiet")
        assert made.stop() == 0


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("step", range(1, 7))
def test_whenever_the_connection_breaks_there_is_one_report(
    server: Daemon, url: str, tube: str, step: int, *, behind: bool
) -> None:
    """At the question about the server, the name, its reserve, the report, its reserve, later."""
    options = ["work:double", "-q", tube, "--name", tube]
    with (
        cutter(server.port, step, lambda: None, behind=behind) as cut,
        worker(cut.url, *options) as made,
    ):
        assert cut.reached.wait(PATIENCE_S), made.told()
        is_so(url, tube, works)
        wait_until(lambda: jobs_in(url, REPORTS) == jobs_in(url, NAMES) == 1)
        assert made.stop() == 0


def test_an_idle_worker_makes_no_traffic(url: str, tube: str) -> None:
    def commands(client: Client) -> int:
        found = client.stats()
        names = [name for name in found if name.startswith("cmd-") and name != "cmd-stats"]
        return sum(int(str(found[name])) for name in names)

    with worker(url, "work:double", "-q", tube, "--name", tube):
        is_so(url, tube, works)
        with Client(url) as client:
            wait_until(lambda: client.stats_tube(control_of(tube))["current-waiting"])
            before = commands(client)
            time.sleep(3.5)  # More than between two reports; it is about what does not happen.
            assert commands(client) == before


def test_no_report_if_none_is_wanted(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube, "--no-report") as made:
        made.wait_for(" working ")
        with Queue(tube, url) as queue:
            queue.push(1)
        made.wait_for(" done ")
        assert told(url, tube) is None
        assert made.stop() == 0


@pytest.mark.needs("beanstalkd")
def test_a_beanstalkd_gets_no_report(original: str, tube: str) -> None:
    options = ["-q", tube, "--log-level", "debug"]
    with worker(original, "work:double", *options) as made:
        made.wait_for("not-reported")
        with Client(original) as client:
            assert not [name for name in client.list_tubes() if name.startswith("stalkd.")]
            client.put("1", tube=None)
        assert made.stop() == 0
        assert made.count("not-reported") == 1


@pytest.mark.parametrize("size", [50, 700])
def test_a_server_that_takes_small_jobs_only(tube: str, size: int) -> None:
    """There the lists are shorter, or there is no report; the work goes on."""
    with start_stalkd("-z", str(size)) as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        names = [f"{tube}.{number}" for number in range(20)]
        options = [word for name in names for word in ("-q", name)]
        with worker(url, "work:double", *options, "--name", "a", "--log-level", "debug") as made:
            if size < 400:
                made.wait_for("not-reported")
            else:
                assert 0 < len(is_so(url, "a", works).queues) < len(names)
            with Queue(names[0], url) as queue:
                queue.push(1)
            made.wait_for(" done ")
            assert made.stop() == 0


def test_a_server_that_drains_gets_no_report(tube: str) -> None:
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with Queue(tube, url) as queue:
            queue.push(1)
        with Client(url) as client:
            client.drain()
        done = work_off(url, "work:nothing", "-q", tube, "--log-level", "debug")
        assert done.count(" done ") == 1


def test_patterns_of_queues_do_not_mean_reports(tube: str) -> None:
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with worker(url, "work:double", "-q", "*", "--name", tube) as made:
            is_so(url, tube, works)
            with Queue(tube, url) as queue:
                queue.push(1)
            made.wait_for(" done ")
            command(url, tube, '{"do": "stop"}')
            assert made.wait() == 0
            assert (made.count(" done "), made.count(" buried ")) == (1, 0)
            assert "stalkd.worker" not in made.told()


def test_a_report_keeps_no_worker_from_its_end(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push_many(range(20))
    began = time.monotonic()
    done = work_off(url, "work:nothing", "-q", tube, "--name", tube)
    assert done.count(" done ") == 20
    with worker(url, "work:double", "-q", tube, "--idle-exit", "0.5") as made:
        assert made.wait() == 0
    assert time.monotonic() - began < 20
    assert told(url, tube) is None


# -- names ----------------------------------------------------------------------------------------


def test_no_two_workers_have_the_same_name(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", "same") as first:
        is_so(url, "same", works)
        with worker(url, "work:boom", "-q", f"{tube}.bad", "--name", "same") as second:
            second.wait_for("name-taken name=same now=same-2")
            is_so(url, "same-2", works)
            with Queue(f"{tube}.bad", url) as queue:
                job_id = queue.push(1)
            second.wait_for(" buried ")
            with Queue(f"error.{job_id}", url) as records:
                assert records.pop(1, timeout=10)[0]["worker"] == "same-2"
            command(url, "same-2", '{"do": "stop"}')
            assert second.wait() == 0
        assert first.stop() == 0
    with worker(url, "work:double", "-q", tube, "--name", "same") as again:
        is_so(url, "same", works)
        assert again.count("name-taken") == 0


def test_a_name_that_is_just_being_left_is_waited_for(url: str, tube: str) -> None:
    with Client(url) as client:
        client.put("somebody else", tube=NAMES, key="left", ttl=LEFT_S / 2)
        with worker(url, "work:double", "-q", tube, "--name", "left"):
            is_so(url, "left", works)


def test_a_worker_has_a_name_of_its_own() -> None:
    assert usual_name("web.example", 17) == "web.example-17"
    assert usual_name("-büro 1", 1) == "b-ro-1-1"
    assert usual_name("", 1) == "worker-1"
    long = usual_name("h" * 300, 4_194_304)
    assert len(long) == MOST_NAME
    check_name(long)
    names = Identity("n" * MOST_NAME, "h", 1, 0.0, "").names()
    found = [next(names) for _ in range(12)]
    assert len(set(found)) == 12
    for name in found:
        check_name(name)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a*", "ä", "n" * (MOST_NAME + 1)])
def test_what_is_no_name_is_refused(url: str, name: str) -> None:
    with worker(url, "work:double", "-q", "t", "--name", name) as made:
        assert made.wait() == 2
        assert "is no name for a worker" in made.told()


# -- commands -------------------------------------------------------------------------------------


def test_a_worker_does_what_it_is_told(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made, Queue(tube, url) as queue:
        is_so(url, tube, works)
        command(url, tube, '{"do": "quiet"}')
        is_so(url, tube, lambda report: report.text("state") == "quiet")
        queue.push(1)
        time.sleep(0.5)  # It is about what does not happen.
        assert queue.count("ready") == 1
        command(url, tube, '{"do": "resume"}')
        made.wait_for(" done ")
        is_so(url, tube, works)
        command(url, tube, '{"do": "reload"}')
        is_so(url, tube, lambda report: report.number("reloads", "done") == 1)
        command(url, tube, '{"do": "stop"}')
        assert made.wait() == 0
        assert made.count(" done ") == 1


HOSTILE = [
    b"",
    b"\xff\x00",
    b"stop",
    b'"stop"',
    b"[]",
    b"{}",
    b'{"do": null}',
    b'{"do": ["stop"]}',
    b'{"do": "kill"}',
    b'{"do": "told_to_stop", "for": {}}',
    b'{"do": "reload", "order": 1}',
    b'{"do": "reload", "order": "%b"}' % (b"x" * 1_000),
    b"[" * 20_000,
    b"9" * 10_000,
]


def test_commands_that_are_none_do_no_harm(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made, Queue(tube, url) as queue:
        is_so(url, tube, works)
        for body in HOSTILE:
            command(url, tube, body)
        made.wait_for("bad-command", len(HOSTILE))
        wait_until(lambda: not jobs_in(url, control_of(tube)))
        queue.push(1)
        made.wait_for(" done ")
        command(url, tube, '{"do": "stop"}')
        assert made.wait() == 0
        assert max(map(len, made.log)) < 1_000


def test_a_command_for_an_earlier_worker_of_that_name_is_left_alone() -> None:
    assert meant(b'{"do": "stop"}', "me") == ("stop", "")
    assert meant(b'{"do": "stop", "for": "me"}', "me") == ("stop", "")
    assert meant(b'{"do": "stop", "for": "you"}', "me") == ("", "")


def test_it_obeys_none_but_its_own(url: str, tube: str) -> None:
    with worker(url, "work:double", "-q", tube, "--name", tube) as made:
        is_so(url, tube, works)
        command(url, tube, '{"do": "stop", "for": "the one before"}')
        command(url, tube, '{"do": "quiet"}')
        is_so(url, tube, lambda report: report.text("state") == "quiet")
        assert made.count("told command=stop") == 0
        assert made.stop() == 0


def test_told_to_stop_twice_a_worker_still_finishes(url: str, tube: str, tmp_path: Path) -> None:
    """Only signals can make it give up its jobs."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Queue(tube, url) as queue:
        queue.push([str(begun), str(go)])
    with worker(url, "work:wait_for_file", "-q", tube, "--name", tube) as made:
        wait_until(begun.exists)
        is_so(url, tube, lambda report: report.jobs)
        for _ in range(3):
            command(url, tube, '{"do": "stop"}')
        made.wait_for("told command=stop", 3)
        is_so(url, tube, lambda report: report.text("state") == "stopping")
        go.touch()
        assert made.wait() == 0
        assert made.count(" done ") == 1


# -- the size -------------------------------------------------------------------------------------


def test_the_first_signal_after_a_command_to_stop_gives_up_nothing(url: str, tube: str) -> None:
    """As when somebody stops a worker from afar, and its machine then."""
    with worker(url, "-q", tube, "--name", "patient", "work:naps") as made, Client(url) as client:
        made.wait_for("working")
        client.put(b"0.5", tube=tube)
        wait_until(lambda: client.stats_tube(tube)["current-jobs-reserved"])
        client.put('{"do": "stop"}', tube="stalkd.worker.patient")
        made.wait_for("stopping")
        made.signal(signal.SIGTERM)
        assert made.wait() == 0
        assert made.count(" done ") == 1


def test_a_report_fits() -> None:
    report = {"name": "a", **{key: [key] * 1000 for key in LISTS}}
    assert json.loads(fitted(report, 1_000_000)) == report
    body = fitted(report, 2_000)
    assert 0 < len(json.loads(body)["jobs"]) < 1000
    assert len(body) <= 2_000
    assert json.loads(fitted(report, 1)) == {"name": "a", **{key: [] for key in LISTS}}


def test_this_process_is_somebody() -> None:
    one, other = Identity.make(None), Identity.make("x")
    assert one.pid == os.getpid()
    assert one.instance != other.instance
    assert (one.wanted, other.wanted) == (usual_name(one.host, one.pid), "x")
