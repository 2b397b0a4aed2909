"""Finding the jobs of a tube that are to be carried away, on any server.

stalkd lists its jobs, and whoever has not reserved a job can delete it as long as nobody else has:
so there, nothing is reserved, no attempt is counted, and a job stays what it is until it is gone.
beanstalkd shows one delayed and one buried job at a time; these are carried one by one in the same
way. Its ready jobs are reserved, as all others would have to wait for the first one, and released
at once with the delay of jobs that are held back: so no worker gets them, even if we die, and no
lease of ours can end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stalkd_client import beyond, requests
from stalkd_client.client import Client
from stalkd_client.command.landing import HOLD_S
from stalkd_client.command.records import Freight, freight_of
from stalkd_client.command.session import knows_extended
from stalkd_client.command.tube_stats import ask_all, present
from stalkd_client.errors import DeadlineSoonError, NotFoundError, TimedOutError
from stalkd_client.exchange import Request
from stalkd_client.jobs import Job

BATCH: Final = 100
"""Jobs on their way at a time: what a crash leaves half done."""

FIRST_BATCH: Final = 10
"""Jobs taken before anything is known of how large they are."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of bodies on their way at a time, as far as that can be foreseen."""

AT_END: Final = -1
"""Stands for the place behind the last page of a list."""

PEEKS: Final[dict[str, Callable[[], Request[Job]]]] = {
    "ready": requests.peek_ready,
    "delayed": requests.peek_delayed,
    "buried": requests.peek_buried,
}


@dataclass(slots=True)
class Parcel:
    """A job of the source, and what it is to be at the target."""

    job: Job
    freight: Freight
    is_held_back: bool = False  # at the source, by us


class Lift:
    """A tube of a server, on a connection of its own that uses and watches it."""

    def __init__(self, client: Client, tube: str, target: str) -> None:
        """Connect; the jobs are on their way to the tube ``target``."""
        self.client: Client = client
        self.tube: str = tube
        self.target: str = target
        self.extended: bool = knows_extended(client)
        self._size = FIRST_BATCH
        self._after = 0

    def next(self, state: str) -> list[Parcel]:
        """Return some jobs that are in a state; none, when there are no more."""
        if self.extended:
            found = self._listed(state) or self._listed(state)  # On to the end, then all around.
        elif state == "ready":
            found = self._reserve() or self._first(state)  # It may be paused.
        else:
            found = self._first(state)
        largest = max((len(each.job.body) for each in found), default=1)
        self._size = max(1, min(BATCH, BATCH_BYTES // max(1, largest)))
        return found

    def _reserve(self) -> list[Parcel]:
        jobs: list[Job] = []
        for result in self.client.execute_all([requests.reserve(0)] * self._size):
            if isinstance(result, Job):
                jobs.append(result)
            elif not isinstance(result, (TimedOutError, DeadlineSoonError)):
                raise result
        told = self._tell([job.id for job in jobs])
        held_back = self._hold_back([job for job in jobs if job.id in told], told)
        now = {"state": "delayed", "delay": HOLD_S}
        return [self._parcel(Job(job.id, job.body), {**told[job.id], **now}) for job in held_back]

    def _hold_back(self, jobs: Sequence[Job], told: dict[int, Any]) -> list[Job]:
        """Release jobs with a delay; return those that we had still reserved."""
        asked = [
            requests.release(job, priority=int(told[job.id]["pri"]), delay=HOLD_S) for job in jobs
        ]
        results = self.client.execute_all(asked)
        present(results)
        return [job for job, result in zip(jobs, results, strict=True) if result is None]

    def _first(self, state: str) -> list[Parcel]:
        while jobs := ask_all(self.client, [PEEKS[state]()]):
            if parcels := self._parcels(state, jobs):
                return parcels
        return []

    def _listed(self, state: str) -> list[Parcel]:
        """Return the next jobs of the list; none, at its end, and then begin anew."""
        while ids := self._ids(state):
            if parcels := self._look(state, ids):
                return parcels
        return []

    def _ids(self, state: str) -> list[int]:
        """Return some ids, from where the last ones ended."""
        ids: list[int] = []
        while not ids and self._after >= 0:
            try:
                page = self.client.list_jobs(self.tube, state, after=self._after, limit=self._size)
            except NotFoundError:
                break
            ids = [int(str(told["id"])) for told in page.jobs]
            self._after = page.next or AT_END
        if not ids:
            self._after = 0
        return ids

    def _look(self, state: str, ids: Sequence[int]) -> list[Parcel]:
        return self._parcels(state, ask_all(self.client, [requests.peek(each) for each in ids]))

    def _parcels(self, state: str, jobs: Sequence[Job]) -> list[Parcel]:
        told = self._tell([job.id for job in jobs])
        return [
            self._parcel(job, told[job.id])
            for job in jobs
            if job.id in told and told[job.id]["state"] == state
        ]

    def _tell(self, ids: Sequence[int]) -> dict[int, Any]:
        if not self.extended:
            found = ask_all(self.client, [requests.stats_job(each) for each in ids])
            return {int(str(each["id"])): each for each in found}
        pairs = ask_all(self.client, [beyond.explain_job(each) for each in ids])
        return {int(str(told["id"])): told for told, _ in pairs}

    def _parcel(self, job: Job, told: dict[str, Any]) -> Parcel:
        held_back = told["state"] == "delayed" and told.get("delay") == HOLD_S
        known = {**told, "state": "ready"} if held_back else told
        return Parcel(job, self._freight(job, known), held_back)

    def _freight(self, job: Job, told: dict[str, Any]) -> Freight:
        return freight_of(told, self.target, job.body)

    def drop(self, parcels: Sequence[Parcel]) -> list[bool]:
        """Delete jobs; tell of each whether it was still there for us to delete."""
        results = self.client.execute_all([requests.delete(each.job) for each in parcels])
        present(results)
        return [result is None for result in results]

    def give_back(self, parcels: Sequence[Parcel]) -> None:
        """Let jobs be as they were."""
        ask_all(self.client, [requests.kick_job(each.job) for each in parcels if each.is_held_back])
