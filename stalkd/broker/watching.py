"""Waiting for the end of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker import fates
from stalkd.broker.client import Client, Outcome
from stalkd.broker.job import BURIED

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker


def wait_job(
    broker: Broker, client: Client, job_id: int, wait_until: int, now: int
) -> Outcome | None:
    """Wait until a job is deleted, buried or dead. None: no such job.

    A job that is buried or dead already is BURIED at once. WAITING means that the answer comes
    through ``queues.answers``: DELETED, BURIED (also when it has died), GONE when it has expired or
    was purged, or TIMED_OUT.
    """
    job = broker.jobs.get(job_id)
    if job is None:
        return None
    # Else who asks a moment after the death would wait for what somebody does with the dead job.
    if job.state is BURIED or fates.is_dead(job):
        return Outcome.BURIED
    if wait_until <= now:
        return Outcome.TIMED_OUT
    broker.queues.watch(client, job_id, wait_until)
    return Outcome.WAITING
