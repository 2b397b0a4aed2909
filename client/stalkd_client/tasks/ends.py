"""Waiting for the end of a job, whatever the server: stalkd tells it, beanstalkd is asked again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stalkd_client.errors import NotFoundError, TimedOutError, UnsupportedByServerError

if TYPE_CHECKING:
    from stalkd_client.client import Client
    from stalkd_client.tasks.connections import Connection

SLICE_S: Final = 60.0
"""How long one ``wait-job`` takes at most: a machine that vanished from the net sends no notice,
so an answer must be due some time."""

LOOK_AGAIN_S: Final = 0.25
"""How often a server without ``wait-job`` is asked, as in ``Queue.block_until_empty``."""


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended.

    ``dead`` is one that is buried, or has died and may be somewhere else; ``gone`` one that was not
    there any more when somebody asked, or went otherwise than by a delete.
    """

    how: Literal["deleted", "dead", "gone"]
    text: str = ""


def wait(connection: Connection, job_id: int, ends: float | None) -> End:
    """Wait until a job has ended, or until the moment ``ends``. Raises TimedOutError, OSError."""
    while True:
        end = connection.insist(lambda client: _wait_once(client, job_id, ends), ends)
        if end is not None:
            return end
        if ends is not None and time.monotonic() >= ends:
            raise TimedOutError(f"job {job_id} has not ended in that time")


def _wait_once(client: Client, job_id: int, ends: float | None) -> End | None:
    seconds = SLICE_S if ends is None else max(0.0, min(SLICE_S, ends - time.monotonic()))
    try:
        how = client.wait_job(job_id, seconds)
    except TimedOutError:
        return None
    except NotFoundError:
        return End("gone")
    except UnsupportedByServerError:
        return _look_plainly(client, job_id, seconds)
    return End("deleted") if how == "deleted" else End("dead", _why(client, job_id))


def _why(client: Client, job_id: int) -> str:
    try:
        told = client.explain_job(job_id)[0]
    except NotFoundError:
        return "it was buried or died, and is gone by now"
    if "died-in" in told:
        because = f"in {told['died-in']} ({told.get('died-because')})"
        return f"it died {because}, and is in {told.get('tube')}, {told.get('state')}"
    return f"it is buried in {told.get('tube')}"


def _look_plainly(client: Client, job_id: int, seconds: float) -> End | None:
    """Ask a server that cannot tell of the end; make a pause if it has not come."""
    try:
        told = client.stats_job(job_id)
    except NotFoundError:
        return End("gone")
    if told["state"] == "buried":
        return End("dead", f"it is buried in {told['tube']}")
    time.sleep(min(seconds, LOOK_AGAIN_S))
    return None
