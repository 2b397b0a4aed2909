"""What a worker tells of itself: from its state to a mapping, and that to a body of some size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stalkd_client.worker.crews.reloading import Reload
from stalkd_client.worker.crews.team import Team
from stalkd_client.worker.process import Child
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.report import FAILURES
from stalkd_client.worker.slots.stopping import Stop
from stalkd_client.worker.slots.tally import Tally

STEP_BYTES: Final = 1 << 20
"""Memory is told in steps of this size: what is smaller is no news."""

LISTS: Final = ("jobs", "processes", "queues")
"""What is shortened where all of it is too large for the server."""


def portrait(
    teams: Sequence[Team], tally: Tally, stop: Stop, reload: Reload, since: float
) -> dict[str, Any]:
    """Return how a worker is, for the main thread; ``since`` makes of its clock seconds since 1970.

    Two are equal if nothing but the time has changed.
    """
    crews = [crew for team in teams for crew in team.crews]
    processes = [_process(child) for crew in crews for child in crew.children]
    running = [held for team in teams for slot in team.slots if (held := slot.hand.current)]
    return {
        "state": state_of(teams, stop, reload),
        "queues": sorted({name for team in teams for name in team.names}),
        "slots": sum(len(crew.slots) for crew in crews if crew.is_wanted),
        "busy": tally.busy,
        "memory": sum(each["memory"] for each in processes),
        "counts": _counts(tally.counts_now()),
        "reloads": {"done": reload.done, "failed": reload.failed, "orders": reload.orders},
        "processes": processes,
        "jobs": [_job(held, since) for held in running],
    }


def in_words(teams: Sequence[Team], tally: Tally) -> str:
    """Return how jobs have ended, and how busy it is."""
    crews = [crew for team in teams for crew in team.crews]
    slots = sum(len(crew.slots) for crew in crews if crew.is_wanted)
    counts = _counts(tally.counts_now())
    return f"{counts['done']} done, {counts['failed']} failed, {tally.busy} of {slots} slots busy"


def state_of(teams: Sequence[Team], stop: Stop, reload: Reload) -> str:
    """Name the first of these that is so."""
    states = {
        "stopping": stop.requested,
        "quiet": stop.is_quiet,
        "reloading": reload.is_active,
        "starting": not all(team.has_begun for team in teams),
    }
    return next((name for name, is_so in states.items() if is_so), "working")


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    failed = sum(counts.get(each, 0) for each in FAILURES)
    return {"done": 0, "failed": failed, "retried": 0, **counts}


def _process(child: Child) -> dict[str, int]:
    memory = child.memory() // STEP_BYTES * STEP_BYTES
    return {"pid": child.pid, "memory": memory, "done": child.jobs_done}


def _job(held: Held, since: float) -> dict[str, Any]:
    job, begun = held.job, held.begun or 0.0
    about = {"id": job.id, "queue": job.tube, "attempt": held.attempt}
    return {**about, "since": round(begun + since, 3)}


def fitted(report: dict[str, Any], most: int) -> bytes:
    """Return a report as a body of so many bytes, if need be with less in its lists."""
    length = max(len(report[key]) for key in LISTS)
    while len(body := json.dumps(report).encode()) > most and length:
        length //= 2
        report = {**report, **{key: report[key][:length] for key in LISTS}}
    return body
