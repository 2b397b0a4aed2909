"""Tasks of stalkd_client, as the peers have them: a function is called by its name."""

import os

import handlers
from stalkd_client import Tasks

_tasks = Tasks(url=os.environ["BENCH_BROKER"])


@_tasks.task(queue="tasks")
def nothing(number: int) -> None:
    """Has no work."""
    handlers.nothing(number)


push = nothing.delay
push_many = nothing.push_many
