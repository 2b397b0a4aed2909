"""Waiting for the end of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.client import Client, Outcome
from stalkd.broker.job import BURIED

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker


def wait_job(
    broker: Broker, client: Client, job_id: int, wait_until: int, now: int
) -> Outcome | None:
    """Wait until a job is deleted or buried. None: no such job.

    WAITING means that the answer comes through ``queues.answers``: DELETED, BURIED (also when it
    has died), GONE when it has expired or was purged, or TIMED_OUT.
    """
    job = broker.jobs.get(job_id)
    if job is None:
        return None
    if job.state is BURIED:
        return Outcome.BURIED
    if wait_until <= now:
        return Outcome.TIMED_OUT
    broker.queues.watch(client, job_id, wait_until)
    return Outcome.WAITING
