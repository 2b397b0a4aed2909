"""Measures client libraries against the same stalkd: `python bench/clients.py`.

One command at a time with greenstalk and with `stalkd_client`, taking turns; then what only the
latter has: pushing many values, and leasing and acknowledging them a hundred at a time. Processor
time is that of this process, the client's. The server has one core, the client another.

At the end a million values from a generator, with the memory that this takes here; and, where it is
installed (`pip install task-queue`), what python-task-queue's file queue takes for some of them.
"""

import argparse
import contextlib
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if __package__ in (None, ""):  # run as a script: then this directory, not its parent, is listed
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import greenstalk
from stalkd_client import Client, Queue

from bench.meters import pin
from bench.servers import running

_PAIRS = 5
_JOBS = 5_000
_PUSHED = 200_000
_BATCH = 100
_MILLION = 1_000_000
_FEW = 5_000
_BODY = "x" * 100


@dataclass
class Cost:
    """Of one job, in microseconds: by the clock, and of this process's processor time."""

    clock: float
    cpu: float


def measured(work: Callable[[], object], jobs: int) -> Cost:
    """Do some work once."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return Cost(clock / jobs * 1e6, cpu / jobs * 1e6)


def main() -> None:
    """Prints a table of medians."""
    parser = argparse.ArgumentParser(description="Measures client libraries.")
    parser.add_argument("--pairs", type=int, default=_PAIRS, metavar="N", help="runs of each")
    pairs = parser.parse_args().pairs
    server_core, own_core = sorted(os.sched_getaffinity(0))[:2]
    pin(own_core)
    with running("stalkd", sys.executable, server_core) as target:
        url = f"stalkd://127.0.0.1:{target.port}"
        address = ("127.0.0.1", target.port)
        with (
            greenstalk.Client(address, use="a", watch="a") as theirs,
            Client(url, use="b", watch="b") as ours,
            Queue("c", url) as queue,
        ):
            _compare(theirs, ours, pairs)
            _pour(queue, pairs)
            _million(queue)
    _task_queue()


def _compare(theirs: greenstalk.Client[str], ours: Client, pairs: int) -> None:
    print(f"{'one at a time':16} | {'greenstalk':>20} | {'stalkd_client':>20} | jobs/s  CPU")
    for name, first, second in (
        ("put", lambda: theirs.put(_BODY), lambda: ours.put(_BODY)),
        (
            "reserve+delete",
            lambda: theirs.delete(theirs.reserve()),
            lambda: ours.delete(ours.reserve()),
        ),
    ):
        costs = [(_repeat(first), _repeat(second)) for _ in range(pairs)]
        a, b = (_median([pair[side] for pair in costs]) for side in (0, 1))
        print(
            f"{name:16} | {1e6 / a.clock:10,.0f}/s {a.cpu:5.1f} us |"
            f" {1e6 / b.clock:10,.0f}/s {b.cpu:5.1f} us |"
            f" {a.clock / b.clock:6.2f} {b.cpu / a.cpu:4.2f}"
        )


def _repeat(work: Callable[[], object]) -> Cost:
    def run() -> None:
        for _ in range(_JOBS):
            work()

    return measured(run, _JOBS)


def _pour(queue: Queue, pairs: int) -> None:
    pushed, taken = [], []
    for _ in range(pairs):
        values = ({"number": number, "text": "abc"} for number in range(_PUSHED))
        pushed.append(measured(lambda values=values: queue.push_many(values), _PUSHED))  # type: ignore[misc]
        taken.append(measured(lambda: _take_all(queue), _PUSHED))
    for name, costs in (("push_many", pushed), (f"lease({_BATCH}) + ack", taken)):
        cost = _median(costs)
        print(f"{name:16} | {1e6 / cost.clock:10,.0f}/s {cost.cpu:5.1f} us")


def _million(queue: Queue) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    values = ({"number": number, "text": "abc"} for number in range(_MILLION))
    cost = measured(lambda: queue.push_many(values), _MILLION)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{'push_many(1M)':16} | {1e6 / cost.clock:10,.0f}/s {cost.cpu:5.1f} us,"
        f" {grown:,} KiB more memory"
    )
    queue.purge()


def _task_queue() -> None:
    try:
        from taskqueue import TaskQueue, queueable  # noqa: PLC0415 - it need not be there
    except ImportError:
        print("task-queue       | not installed: pip install task-queue")
        return

    @queueable  # type: ignore[untyped-decorator]
    def nothing(number: int, text: str) -> None:
        """Has no work."""

    with (
        tempfile.TemporaryDirectory() as directory,
        Path(os.devnull).open("w") as null,
        contextlib.redirect_stderr(null),  # It draws a bar.
    ):
        tasks = TaskQueue(f"fq://{directory}", green=False)
        made = (partial(nothing, number, "abc") for number in range(_FEW))
        cost = measured(lambda: tasks.insert(made, total=_FEW), _FEW)
    print(f"{'task-queue':16} | {1e6 / cost.clock:10,.0f}/s {cost.cpu:5.1f} us")


def _take_all(queue: Queue) -> None:
    while leases := queue.lease(_BATCH):
        for lease in leases:
            lease.value  # noqa: B018 - reading it is part of the work
        queue.ack(leases)


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.clock for cost in costs),
        statistics.median(cost.cpu for cost in costs),
    )


if __name__ == "__main__":
    main()
