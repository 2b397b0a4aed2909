"""workers: the list, and what workers are told; also of workers that do not exist, or lie."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stalkd_client import Client, Queue, tubes
from stalkd_client.command import worker_reports
from stalkd_client.command.worker_reports import read
from stalkd_client.command.workers import size
from stalkd_client.jobs import Job
from stalkd_client.reports import REPORTS, control_of

from support.daemon import free_port
from support.stalk import Stalk
from support.workers import CODE, Worker, wait_until, worker


def report(name: str, **members: Any) -> dict[str, Any]:
    usual = {
        "name": name,
        "host": "h1",
        "pid": 17,
        "started": time.time() - 3700,
        "instance": f"the one called {name}",
        "state": "working",
        "queues": ["mail", "post"],
        "slots": 4,
        "busy": 1,
        "memory": 57 << 20,
        "counts": {"done": 12, "failed": 3, "retried": 0},
        "reloads": {"done": 0, "failed": 0},
        "processes": [],
        "jobs": [{"id": 7, "queue": "mail", "attempt": 2, "since": time.time() - 65}],
    }
    return {**usual, **members}


@contextmanager
def reported(url: str, *reports: object) -> Iterator[Client]:
    """Workers that are nothing but their reports."""
    with Client(url) as client:
        for each in reports:
            body = each if isinstance(each, bytes) else json.dumps(each).encode()
            client.reserve_job(client.put(body, tube=REPORTS, ttl=1, ttr=1_000_000))
        yield client


@contextmanager
def real(url: str, stalk: Stalk, *options: str, cwd: Path = CODE) -> Iterator[Worker]:
    """Real workers, when they have reported that they work."""
    with worker(url, *options, cwd=cwd) as made:
        name = options[options.index("--name") + 1]

        def works() -> bool:
            outcome = stalk("workers", name, "--json")
            return outcome.code == 0 and outcome.json["state"] == "working"

        wait_until(works)
        yield made


def test_workers_are_listed(stalk: Stalk, url: str) -> None:
    with reported(url, report("web-2", state="quiet"), report("web-1")):
        found = stalk("workers")
    assert (found.code, found.err) == (0, "")
    head, *rows = [line.split() for line in found.out.splitlines()]
    assert head == "NAME HOST PID STATE BUSY DONE FAILED MEMORY SINCE QUEUES".split()
    assert rows == [
        "web-1 h1 17 working 1/4 12 3 57M 1h1m mail,post".split(),
        "web-2 h1 17 quiet 1/4 12 3 57M 1h1m mail,post".split(),
    ]


def test_their_jobs_are_listed_too(stalk: Stalk, url: str) -> None:
    with reported(url, report("web-1"), report("idle", jobs=[])):
        found = stalk("workers", "--jobs").out.split("\n\n")[1].splitlines()
        assert [line.split() for line in found] == [
            ["WORKER", "ID", "ATTEMPT", "SINCE", "QUEUE"],
            ["web-1", "7", "2", "1m5s", "mail"],
        ]
        assert "no job is being worked on" in stalk("workers", "idle", "--jobs").err


def test_programs_get_the_whole_report(stalk: Stalk, url: str) -> None:
    first, second = report("a"), report("b")
    with reported(url, second, first):
        assert stalk("workers", "--json").lines == [first, second]
        assert stalk("workers", "b*", "--json").lines == [second]


def test_none_is_told(stalk: Stalk, url: str) -> None:
    none = stalk("workers")
    assert (none.code, none.err) == (1, "stalk: no worker reports itself here\n")
    with reported(url, report("web-1")):
        for words in (["db-*"], ["stop", "web-1", "db-*"]):
            none = stalk("workers", *words)
            assert (none.code, none.err) == (1, "stalk: no worker is called 'db-*'\n")


def test_what_makes_no_sense_is_refused(stalk: Stalk, url: str) -> None:
    with reported(url, report("a")):
        for words in (["stop"], ["stop", "a", "--all"], ["--all"], ["a b"], ["stop", "ä"]):
            assert stalk("workers", *words).code == 2


def test_no_server_and_no_stalkd(stalk: Stalk, original: str, run: Stalk) -> None:
    assert run("--url", f"stalkd://127.0.0.1:{free_port()}", "workers").code == 3
    for words in ([], ["stop", "--all"]):
        refused = run("--url", original, "workers", *words)
        assert (refused.code, "stalkd only" in refused.err) == (5, True)


NONSENSE = [
    b"",
    b"\xff",
    b"[1]",
    b"{}",
    b'{"name": 1}',
    b"[" * 20_000,
    b'{"name": ""}',
    {"name": "\x1b[2J"},
    {"name": "x", "queues": 1, "jobs": 1, "counts": 1, "processes": "?", "started": []},
    report("y", jobs=[1, {}, {"id": "x", "since": None, "queue": ["\x1b"]}], queues=[{}]),
    report("z", pid=float("nan"), started=float("-inf"), memory=1e300, busy=True, slots=10**400),
]


def test_reports_that_lie_do_no_harm(stalk: Stalk, url: str) -> None:
    with reported(url, *NONSENSE, report("good")):
        found = stalk("workers", "--jobs")
        assert (found.code, "\x1b" in found.out) == (0, False)
        assert next(line for line in found.out.splitlines() if "h1" in line).startswith("good")
        assert len(stalk("workers", "--json").lines) == 5
        assert stalk("workers", "stop", "--all").code == 1


def test_of_two_reports_of_a_worker_the_later_one_counts() -> None:
    reports = [report("a", busy=1), report("b"), report("a", busy=2)]
    found = read(json.dumps(each).encode() for each in reports)
    assert [(each.name, each.number("busy")) for each in found] == [("a", 2), ("b", 1)]


def test_a_report_that_is_replaced_meanwhile_is_not_missed(
    stalk: Stalk, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker would seem to have stopped."""
    body = json.dumps(report("a"))
    held: list[Job] = []

    def replace(client: Client) -> None:
        new = client.reserve_job(client.put(body, tube=REPORTS, ttl=1, ttr=1_000_000))
        for old in held:
            client.delete(old)
        held[:] = [new]

    with Client(url) as client:
        replace(client)
        looks = iter([True, True, False])

        def listed(*asked: Any) -> list[dict[str, Any]]:
            found = list(tubes.listed(*asked))
            if next(looks):
                replace(client)
            return found

        monkeypatch.setattr(worker_reports, "listed", listed)
        assert stalk("workers", "--json").json["name"] == "a"
        assert next(looks, None) is None


def test_fifty_workers_are_listed_at_once(stalk: Stalk, url: str) -> None:
    many = [report(f"web-{number}", queues=[f"q{n}" for n in range(20)]) for number in range(50)]
    with reported(url, *many):
        began = time.monotonic()
        assert len(stalk("workers").out.splitlines()) == 51
        assert time.monotonic() - began < 1.0  # Measured: 0.02 s.


def test_workers_do_what_they_are_told(stalk: Stalk, url: str) -> None:
    options = ["work:double", "-q", "t", "--name"]
    with (
        real(url, stalk, *options, "web-1") as first,
        real(url, stalk, *options, "web-2") as second,
        Queue("t", url) as queue,
    ):
        quiet = stalk("workers", "quiet", "web-*")
        assert (quiet.code, quiet.out) == (0, "quiet: web-1, web-2\n")
        assert {told["state"] for told in stalk("workers", "--json").lines} == {"quiet"}
        queue.push(1)
        resumed = stalk("workers", "resume", "web-2", "--json").json
        assert resumed == {"done": ["web-2"], "failed": [], "late": []}
        second.wait_for(" done ")
        assert stalk("workers", "resume", "--all").code == 0
        reloaded = stalk("workers", "reload", "web-1")
        assert (reloaded.code, reloaded.out) == (0, "reloaded: web-1\n")
        assert first.count("process-recycled") == 1
        stopped = stalk("workers", "stop", "web-1")
        assert (stopped.code, stopped.out) == (0, "stopped: web-1\n")
        assert first.wait() == 0
        assert [told["name"] for told in stalk("workers", "--json").lines] == ["web-2"]
        assert stalk("workers", "stop", "--all").code == 0
        assert second.wait() == 0


def test_code_that_cannot_be_loaded_is_told(stalk: Stalk, url: str, tmp_path: Path) -> None:
    code = tmp_path / "shaky.py"
    code.write_text("def act(message): return message\n")
    options = ["shaky:act", "-q", "t", "--name", "web-1"]
    with real(url, stalk, *options, cwd=tmp_path) as made:
        code.write_text("raise RuntimeError('no')\n")
        failed = stalk("workers", "reload", "web-1")
        assert (failed.code, failed.out) == (1, "")
        assert "web-1 could not begin with the new code" in failed.err
        assert made.stop() == 0


def test_each_order_to_reload_has_its_own_outcome(stalk: Stalk, url: str, tmp_path: Path) -> None:
    """Also while the report does not tell yet of a reload that failed before."""
    code, go = tmp_path / "shaky.py", tmp_path / "go"
    good = "def act(message): return message\n"
    waits = f"""import os, time
while not os.path.exists({str(go)!r}): time.sleep(0.01)
"""
    code.write_text(good)
    with real(url, stalk, "shaky:act", "-q", "t", "--name", "web-1", cwd=tmp_path) as made:
        for number in (1, 2):
            code.write_text("raise RuntimeError('no')\n")
            made.signal(signal.SIGHUP)
            made.wait_for("reload-failed", number)
            code.write_text(waits + good)
            go.unlink(missing_ok=True)
            threading.Timer(0.5, go.touch).start()
            reloaded = stalk("workers", "reload", "web-1")
            assert (reloaded.code, reloaded.out) == (0, "reloaded: web-1\n")
        assert made.stop() == 0


def test_a_worker_that_has_jobs_to_finish_is_waited_for(
    stalk: Stalk, url: str, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Queue("t", url) as queue:
        queue.push([str(begun), str(go)])
    with worker(url, "work:wait_for_file", "-q", "t", "--name", "web-1") as made:
        wait_until(lambda: stalk("workers", "web-1", "--json").out.count('"id"'))
        late = stalk("workers", "stop", "web-1", "--timeout", "3s")
        assert (late.code, late.out) == (1, "")
        assert late.err == "stalk: not within 3s: web-1 (stopping, 1 busy)\n"
        go.touch()
        assert made.wait() == 0


def test_a_worker_that_does_not_react_is_named_and_its_command_taken_back(
    stalk: Stalk, url: str
) -> None:
    with reported(url, report("web-1", busy=0), report("web-2", state="quiet")) as client:
        late = stalk("workers", "quiet", "--all", "--timeout", "0.2")
        assert (late.code, late.out) == (1, "quiet: web-2\n")
        assert late.err == "stalk: not within 0.2s: web-1 (working)\n"
        assert control_of("web-1") not in client.list_tubes()
        late = stalk("workers", "stop", "web-1", "--timeout", "0", "--json")
        assert (late.code, late.json) == (1, {"done": [], "failed": [], "late": ["web-1"]})


def test_the_list_of_tubes_is_for_jobs(stalk: Stalk, url: str) -> None:
    with reported(url, report("web-1")), Client(url, watch=control_of("web-1")) as client:
        client.list_tubes_watched()
        found = stalk("ls")
        assert "stalkd" not in found.out
        assert found.err == "not shown, of workers: 2 of 'stalkd.worker*' (stalk workers)\n"
        assert len(stalk("ls", "stalkd.*").out.splitlines()) == 3
        assert {told["name"] for told in stalk("ls", "--json").lines} >= {REPORTS}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (1023, "1023"), (1024, "1.0K"), (29 << 20, "29M"), (5 << 29, "2.5G")],
)
def test_sizes_are_short(count: int, expected: str) -> None:
    assert size(count) == expected
