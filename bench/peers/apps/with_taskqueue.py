"""python-task-queue, in files."""

import os
from functools import partial

from handlers import nothing
from taskqueue import TaskQueue, queueable

# No threads: the usual forty are for SQS, and files take four times as long with them.
tasks = TaskQueue(os.environ["BENCH_BROKER"], n_threads=0, green=False, progress=False)
_task = queueable(nothing)


def push(number: int) -> None:
    """One task."""
    tasks.insert(partial(_task, number))


def push_many(numbers: list[int]) -> None:
    """All in one call."""
    tasks.insert([partial(_task, number) for number in numbers])
