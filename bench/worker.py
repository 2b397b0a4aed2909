"""Measures `stalk-worker`: `python bench/worker.py [JOBS]`.

One stalkd in memory behind a unix socket, one worker process, a handler that does nothing. Prints
jobs per second with and without a line of log for each, and how long an idle worker takes from the
push of a job to the start of its handler.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stalkd_client import Client, Queue
from stalkd_client.testing import Server, private_server

_JOBS = 50_000
_PICKUPS = 300
_PAUSE_S = 0.01  # between two pushes: the worker is idle again by then
_HANDLERS = """
import time
def nothing(message): pass
def late(pushed): return time.monotonic() - pushed
"""
_WORKER = [sys.executable, "-P", "-c", "from stalkd_client.worker import main; main()"]


def main() -> None:
    """Measures and prints."""
    jobs = int(sys.argv[1]) if sys.argv[1:] else _JOBS
    with tempfile.TemporaryDirectory() as directory, private_server() as server:
        (Path(directory) / "handlers.py").write_text(_HANDLERS)
        print(f"{'':24}{'jobs/s':>10}{'us of cpu':>12}")
        for name, level in (("a line for each job", "info"), ("errors only", "error")):
            rate, cpu = _throughput(server, directory, jobs, level)
            print(f"{name:24}{rate:>10,.0f}{cpu * 1e6:>12.0f}")
        times = _pickups(server, directory)
    print(f"\n{'idle pick-up, ms':24}{'p50':>10}{'p99':>12}")
    print(f"{'':24}{times[len(times) // 2]:>10.2f}{times[len(times) * 99 // 100]:>12.2f}")


@contextmanager
def _worker(server: Server, directory: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with its log in a file."""
    with (Path(directory) / "log").open("wb") as log:
        environment = {**os.environ, "STALKD_URL": server.url}
        worker = subprocess.Popen([*_WORKER, *options], cwd=directory, env=environment, stderr=log)
        try:
            yield worker
        finally:
            worker.terminate()
            worker.wait()


def _throughput(server: Server, directory: str, jobs: int, level: str) -> tuple[float, float]:
    """Jobs per second between the first tenth and the last, and seconds of processor for each."""
    tube = f"throughput.{level}"
    with Queue(tube, server.url) as queue, server.client() as client:
        queue.push_many(range(jobs))
        before = os.times()
        with _worker(server, directory, "handlers:nothing", "-q", tube, "--log-level", level):
            begun, left = _wait_for(client, tube, jobs * 9 // 10)
            ended, rest = _wait_for(client, tube, jobs // 10)
            _wait_for(client, tube, 0)
        after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return (left - rest) / (ended - begun), spent / jobs


def _wait_for(client: Client, tube: str, most: int) -> tuple[float, int]:
    """When no more than so many jobs are left, and how many these are."""
    while True:
        told = client.stats_tube(tube)
        left = sum(int(str(told[f"current-jobs-{state}"])) for state in ("ready", "reserved"))
        if left <= most:
            return time.monotonic(), left
        time.sleep(0.005)


def _pickups(server: Server, directory: str) -> list[float]:
    """Milliseconds from before a push to the start of the handler, sorted."""
    with (
        _worker(server, directory, "handlers:late", "-q", "idle", "-o", "times"),
        Queue("idle", server.url) as queue,
        Queue("times", server.url) as outputs,
    ):
        times = []
        for _ in range(_PICKUPS):
            queue.push(time.monotonic())
            times += [lateness * 1000 for lateness in outputs.pop(1, timeout=10)]
            time.sleep(_PAUSE_S)
    assert len(times) == _PICKUPS
    assert statistics.fmean(times) > 0
    return sorted(times[10:])


if __name__ == "__main__":
    main()
