"""How many processes there are, and how code gets into them while all goes on."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stalkd_client import Client, Queue
from stalkd_client.worker.crews.scaling import CALM_S, PATIENCE_S, Load, Range, Scale

from support.workers import CODE, Worker, is_alive, wait_until, work_off, worker

LOOK_S = 0.5

HASTY = [
    *(sys.executable, "-P", "-c"),
    """
from stalkd_client.worker import main
from stalkd_client.worker.crews import scaling
scaling.CALM_S = 1.0
main()
""",
]
"""A worker that does not wait long before it has fewer processes."""


def follow(scale: Scale, load: Callable[[float], Load], busy: int, until: float) -> list[int]:
    """Look again and again, and do what is said; return how many processes there were."""
    running, now, seen = 1, 0.0, [1]
    while now < until:
        running = scale.target(now, load(now), min(busy, running), running)
        if seen[-1] != running:
            seen.append(running)
        now += LOOK_S
    return seen


@pytest.mark.parametrize(
    ("text", "expected"), [("0..1", Range(0, 1)), ("2..8", Range(2, 8)), ("3..3", Range(3, 3))]
)
def test_a_range_is_read(text: str, expected: Range) -> None:
    assert Range.parse(text) == expected


@pytest.mark.parametrize("text", ["", "3", "3..", "..3", "3..2", "0..0", "-1..2", "1...3", "a..b"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"MIN\.\.MAX|the most must be"):
        Range.parse(text)


def test_more_processes_while_jobs_wait() -> None:
    scale = Scale(Range(0, 10), 1)
    assert follow(scale, lambda now: Load(1000, now), 10, 5.0) == [1, 2, 4, 8, 10]


def test_no_more_processes_than_there_are_jobs_for() -> None:
    assert follow(Scale(Range(1, 10), 2), lambda now: Load(3, now), 20, 60.0) == [1, 2, 3]


def test_jobs_that_are_done_soon_need_no_other_process() -> None:
    """Many wait, but none of them for long."""
    assert follow(Scale(Range(0, 10), 1), lambda _: Load(500, PATIENCE_S / 2), 1, 60.0) == [1]


def test_a_server_that_tells_no_age_is_believed_after_some_time() -> None:
    assert follow(Scale(Range(0, 4), 1), lambda _: Load(500), 4, 5.0) == [1, 2, 4]


def test_fewer_only_after_a_calm_time() -> None:
    scale = Scale(Range(1, 8), 1)
    assert scale.target(0.0, Load(), 8, 8) == 8
    assert scale.target(CALM_S, Load(), 3, 8) == 8, "eight were busy within this time"
    assert scale.target(CALM_S + 1, Load(), 2, 8) == 3
    assert scale.target(2 * CALM_S + 2, Load(), 0, 3) == 1


def test_none_at_all_where_that_is_allowed() -> None:
    scale = Scale(Range(0, 8), 4)
    assert scale.target(0.0, Load(), 0, 2) == 2
    assert scale.target(CALM_S, Load(), 0, 2) == 0
    assert scale.target(CALM_S + 1, Load(1), 0, 0) == 1


def test_a_range_is_kept() -> None:
    scale = Scale(Range(2, 3), 1)
    assert scale.target(0.0, Load(), 0, 2) == 2
    assert scale.target(CALM_S, Load(), 0, 2) == 2
    assert scale.target(CALM_S + 1, Load(99, 99.0), 2, 2) == 2, "they wait since now"
    assert scale.target(CALM_S + 3, Load(99, 99.0), 2, 2) == 3


# -- real processes -----------------------------------------------------------------------------


def push(url: str, queue: str, *values: object) -> None:
    with Queue(queue, url) as made:
        made.push_many(values)


def test_processes_come_with_the_work_and_go(url: str, tube: str) -> None:
    """From one, which tells what the queues are, to several, to none, and back to one."""
    options = ("-q", tube, "--autoscale", "0..3", "work:naps")
    with worker(url, *options, command=HASTY) as made:
        made.wait_for("working")
        assert len(made.children()) == 1
        push(url, tube, *[0.2] * 40)
        wait_until(lambda: len(made.children()) == 3)
        made.wait_for("done", 40)
        made.wait_for("processes=0")
        wait_until(lambda: not made.children())
        push(url, tube, 0.0)
        made.wait_for("done", 41)
        assert made.stop() == 0
    with Queue(tube, url) as queue:
        assert queue.count() == 0


@pytest.mark.parametrize("scale", ["0..5", "1..5"])
def test_a_burst_does_not_wait_for_processes_that_do_not_run(
    url: str, tube: str, scale: str
) -> None:
    push(url, tube, *[0.0] * 4)
    done = work_off(url, "-q", tube, "--autoscale", scale, "work:naps")
    assert done.count(" done ") == 4


def test_a_burst_waits_for_its_retries_with_one_process(url: str, tube: str) -> None:
    """Though nothing is worked on until then, and none would do."""
    push(url, tube, "bad")
    retries = ("--retry-on", "ValueError", "--retry-delay", "4", "--max-retries", "1")
    options = ("--burst", "-q", tube, "--autoscale", "0..2", *retries, "work:boom")
    with worker(url, *options, command=HASTY) as made:
        assert made.wait() == 0
        assert made.count(" buried ") == 1


def reserved(url: str, tube: str) -> int:
    with Queue(tube, url) as queue:
        return queue.count("reserved")


def code_of(directory: Path, text: str) -> None:
    """Write another module; its size differs, so no cache is taken for it."""
    (directory / "fresh.py").write_text(f"def run(message):\n    return {text!r}\n")


def results(url: str, queue: str, count: int) -> list[object]:
    """Wait for so many results."""
    with Queue(queue, url) as made:
        found: list[object] = []
        while len(found) < count:
            found += made.pop(count - len(found), timeout=10)
        return found


@pytest.mark.parametrize("processes", [1, 2])
def test_new_code_is_loaded_without_a_stop(
    url: str, tube: str, tmp_path: Path, processes: int
) -> None:
    """Each process ends when another is ready in its place; jobs are done all the time."""
    code_of(tmp_path, "old")
    options = ("-q", tube, "-o", f"{tube}.out", "-p", str(processes), "fresh:run")
    with worker(url, *options, cwd=tmp_path) as made:
        made.wait_for("working")
        push(url, tube, 1)
        assert results(url, f"{tube}.out", 1) == ["old"]
        before = wait_until(lambda: made.children() if len(made.children()) == processes else None)
        code_of(tmp_path, "the new code")
        made.signal(signal.SIGHUP)
        made.wait_for("reloaded")
        assert not any(map(is_alive, before))
        push(url, tube, *range(4))
        assert results(url, f"{tube}.out", 4) == ["the new code"] * 4
        assert len(made.children()) == processes
        assert made.stop() == 0


def test_code_that_cannot_be_loaded_replaces_nothing(url: str, tube: str, tmp_path: Path) -> None:
    code_of(tmp_path, "old")
    with worker(url, "-q", tube, "-o", f"{tube}.out", "fresh:run", cwd=tmp_path) as made:
        made.wait_for("working")
        before = made.children()
        (tmp_path / "fresh.py").write_text("this is no Python")
        made.signal(signal.SIGHUP)
        assert "SyntaxError" in made.wait_for("handler-refused")
        made.wait_for("reload-failed")
        assert made.children() == before
        push(url, tube, 1)
        assert results(url, f"{tube}.out", 1) == ["old"]
        assert made.stop() == 0


def test_a_reload_waits_for_the_job_that_runs(url: str, tube: str, tmp_path: Path) -> None:
    """And a stop in the middle of it ends all processes."""
    shutil.copy(CODE / "work.py", tmp_path)
    with worker(url, "-q", tube, "work:naps", cwd=tmp_path) as made:
        made.wait_for("working")
        push(url, tube, 1.0)
        wait_until(lambda: reserved(url, tube))
        made.signal(signal.SIGHUP)
        wait_until(lambda: len(made.children()) == 2)
        children = made.children()
        assert made.stop() == 0
        assert made.count(" done ") == 1
        wait_until(lambda: not any(map(is_alive, children)))


def begun(made: Worker, url: str, tube: str) -> None:
    made.wait_for("working")
    push(url, tube, 0.0)
    made.wait_for(" done ")


def test_a_quiet_worker_takes_no_job(url: str, tube: str) -> None:
    with worker(url, "-q", tube, "-p", "2", "work:naps") as made, Client(url) as client:
        begun(made, url, tube)
        made.signal(signal.SIGUSR1)
        made.wait_for("quiet")
        wait_until(lambda: tube not in client.list_tubes(), "it still watches")
        push(url, tube, 0.0)
        assert client.stats_tube(tube)["current-jobs-ready"] == 1
        made.signal(signal.SIGUSR2)
        made.wait_for("resumed")
        made.wait_for(" done ", 2)
        assert made.stop() == 0


def test_a_quiet_worker_stops_at_once(url: str, tube: str) -> None:
    with worker(url, "-q", tube, "work:naps") as made:
        begun(made, url, tube)
        made.signal(signal.SIGUSR1)
        made.wait_for("quiet")
        assert made.stop() == 0


def test_a_job_that_runs_is_finished_quietly(url: str, tube: str) -> None:
    with worker(url, "-q", tube, "work:naps") as made:
        made.wait_for("working")
        push(url, tube, 0.5, 0.0)
        wait_until(lambda: reserved(url, tube))
        made.signal(signal.SIGUSR1)
        made.wait_for(" done ")
        assert made.stop() == 0
    with Queue(tube, url) as queue:
        assert queue.count("ready") == 1
