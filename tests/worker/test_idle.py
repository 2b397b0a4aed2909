"""Workers that have nothing to do: they cost nothing, and are ready."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from stalkd_client import Client, Queue

from support.workers import wait_until, work_off, worker

LINGERING = [
    *(sys.executable, "-P", "-c"),
    """
import atexit, time
from stalkd_client.worker import main
atexit.register(time.sleep, 1)
main()
""",
]
"""A worker that takes some time to leave, as on a busy machine."""

WATCHED_S = 1.0
"""How long a process is watched: one that never rests takes most of that."""


def push(url: str, queue: str, *values: object) -> None:
    with Queue(queue, url) as made:
        made.push_many(values)


def used(pid: int) -> float:
    """Return how many seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rests(pid: int) -> bool:
    """Whether a process does next to nothing for a while."""
    before = used(pid)
    time.sleep(WATCHED_S)
    return used(pid) - before < WATCHED_S / 4


@pytest.mark.parametrize("slots", ["1", "3"])
def test_an_idle_process_that_is_killed_is_replaced_at_once(
    url: str, tube: str, slots: str
) -> None:
    """Not only when a job comes, which would be too late for it."""
    with worker(url, "-q", tube, "-c", slots, "work:double") as made, Client(url) as client:
        wait_until(lambda: tube in client.list_tubes())
        (pid,) = made.children()
        os.kill(pid, signal.SIGKILL)
        assert f"pid={pid}" in made.wait_for("process-ended")
        wait_until(lambda: made.children() not in ([], [pid]))
        push(url, tube, 1)
        made.wait_for(" done ")
        assert rests(made.process.pid)
        assert made.stop() == 0


def test_an_idle_process_may_be_killed_while_the_server_is_away(tmp_path: Path, tube: str) -> None:
    """Its slots are busy with connecting then, and nobody else may spin meanwhile."""
    nobody = f"unix:{tmp_path}/nobody"
    with worker(nobody, "-q", tube, "work:double") as made:
        made.wait_for("server-away")
        (pid,) = made.children()
        os.kill(pid, signal.SIGKILL)
        made.wait_for("process-ended")
        wait_until(lambda: made.children() not in ([], [pid]))
        assert rests(made.process.pid)
        assert made.stop() == 0


def test_a_worker_of_queues_that_do_not_exist_yet_rests(url: str, tube: str) -> None:
    """Also when it was quiet before, and has a new process."""
    with worker(url, "-q", f"{tube}.*", "work:double") as made:
        made.wait_for("working")
        made.signal(signal.SIGUSR1)
        made.wait_for(" quiet ")
        made.signal(signal.SIGHUP)
        made.wait_for(" reloaded")
        made.signal(signal.SIGUSR2)
        made.wait_for(" resumed")
        assert rests(made.process.pid)
        push(url, f"{tube}.1", 1)
        made.wait_for(" done ")
        assert made.stop() == 0


def test_slots_share_the_jobs_that_a_process_may_still_do(url: str, tube: str) -> None:
    """Then one may hold more than are left, as others were faster."""
    push(url, tube, *range(3000))
    done = work_off(url, "-q", tube, "-c", "4", "--max-jobs", "25", "work:double")
    assert done.count(" done ") == 3000
    assert not done.count("bug")


def test_a_signal_that_comes_too_late_kills_nobody(url: str, tube: str) -> None:
    """Its work is done, and the exit code says so."""
    with worker(url, "-q", tube, "--burst", "work:double", command=LINGERING) as made:
        made.wait_for(" stopped ")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            made.signal(number)
        assert made.wait() == 0
