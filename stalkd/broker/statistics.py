"""What the stats commands show about jobs, tubes and the broker, in beanstalkd's order and names.

Times are whole seconds, rounded down, never negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.job import DELAYED, RESERVED, Past
from stalkd.broker.limits import ID_BITS, NS_PER_S

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube


def job_statistics(job: Job, now: int) -> dict[str, str | int]:
    """Return what ``stats-job`` shows."""
    past = job.past or Past()
    timed = job.state is RESERVED or job.state is DELAYED
    return {
        "id": job.id,
        "tube": job.tube.name,
        "state": job.state.value,
        "pri": job.pri,
        "age": _seconds(now - job.created),
        "delay": job.delay,
        "ttr": job.ttr,
        "time-left": _seconds((job.key >> ID_BITS) - now) if timed else 0,
        "file": job.file,
        "reserves": job.reserves,
        "timeouts": past.timeouts,
        "releases": past.releases,
        "buries": past.buries,
        "kicks": past.kicks,
    }


def tube_statistics(tube: Tube, now: int) -> dict[str, str | int]:
    """Return what ``stats-tube`` shows."""
    return {
        "name": tube.name,
        "current-jobs-urgent": tube.urgent,
        "current-jobs-ready": tube.ready.size,
        "current-jobs-reserved": tube.reserved,
        "current-jobs-delayed": tube.delayed.size,
        "current-jobs-buried": tube.buried.size,
        "total-jobs": tube.total_jobs,
        "current-using": tube.using,
        "current-watching": tube.watching,
        "current-waiting": len(tube.waiting),
        "cmd-delete": tube.deletes,
        "cmd-pause-tube": tube.pauses,
        "pause": tube.pause_s,
        "pause-time-left": _seconds(tube.paused_until - now) if tube.paused_until else 0,
    }


def current_jobs(broker: Broker) -> dict[str, int]:
    """Return how many jobs are in each state: the first part of ``stats``."""
    queues = broker.queues
    return {
        "current-jobs-urgent": queues.urgent,
        "current-jobs-ready": len(broker.jobs) - queues.reserved - queues.delayed - queues.buried,
        "current-jobs-reserved": queues.reserved,
        "current-jobs-delayed": queues.delayed,
        "current-jobs-buried": queues.buried,
    }


def current_connections(broker: Broker) -> dict[str, int]:
    """Return what ``stats`` shows about tubes and connections."""
    directory = broker.directory
    return {
        "current-tubes": len(directory.tubes),
        "current-connections": len(directory.clients),
        "current-producers": directory.producers,
        "current-workers": directory.workers,
        "current-waiting": broker.queues.waiting,
        "total-connections": directory.total_clients,
    }


def _seconds(nanoseconds: int) -> int:
    return max(nanoseconds, 0) // NS_PER_S
