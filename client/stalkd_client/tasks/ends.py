"""Waiting for the end of a job, whatever the server: stalkd tells it, beanstalkd is asked again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stalkd_client.errors import NotFoundError, TimedOutError, UnsupportedByServerError

if TYPE_CHECKING:
    from stalkd_client.client import Client
    from stalkd_client.tasks.connections import Connection

SLICE_S: Final = 30.0
"""How long one ``wait-job`` takes at most. A job that dies into another tube in the instant before
it is not seen by it: so between two of them the job is looked at."""

LOOK_AGAIN_S: Final = 0.25
"""How often a server without ``wait-job`` is asked, as in ``Queue.block_until_empty``."""


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended. ``gone`` is one that was not there any more when somebody asked."""

    how: Literal["deleted", "buried", "died", "gone"]
    text: str = ""


def look(client: Client, job_id: int) -> End | None:
    """Tell how a job ended; None: it has not. Raises OSError."""
    try:
        told = client.explain_job(job_id)[0]
    except UnsupportedByServerError:
        return _look_plainly(client, job_id)
    except NotFoundError:
        return End("gone")
    if "died" in told:
        where = f"in {told.get('died-in')} ({told.get('died-because')})"
        return End("died", f"it died {where}, and is in {told.get('tube')}, {told['state']}")
    return (
        End("buried", f"it is buried in {told.get('tube')}") if told["state"] == "buried" else None
    )


def _look_plainly(client: Client, job_id: int) -> End | None:
    try:
        told = client.stats_job(job_id)
    except NotFoundError:
        return End("gone")
    return End("buried", f"it is buried in {told['tube']}") if told["state"] == "buried" else None


def wait(connection: Connection, job_id: int, ends: float | None) -> End:
    """Wait until a job has ended, or until the moment ``ends``. Raises TimedOutError, OSError."""
    while True:
        end = connection.insist(lambda client: look(client, job_id), ends)
        if end is not None:
            return end
        if ends is not None and time.monotonic() >= ends:
            raise TimedOutError(f"job {job_id} has not ended in that time")
        end = connection.insist(lambda client: _wait_once(client, job_id, ends), ends)
        if end is not None:
            return end


def _wait_once(client: Client, job_id: int, ends: float | None) -> End | None:
    seconds = SLICE_S if ends is None else max(0.0, min(SLICE_S, ends - time.monotonic()))
    try:
        how = client.wait_job(job_id, seconds)
    except TimedOutError:
        return None
    except NotFoundError:
        return End("gone")
    except UnsupportedByServerError:
        time.sleep(min(seconds, LOOK_AGAIN_S))
        return None
    return End("deleted") if how == "deleted" else look(client, job_id) or End("buried")
