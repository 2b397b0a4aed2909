"""A job that is being worked on."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from stalkd_client.errors import StalkdError

if TYPE_CHECKING:
    from stalkd_client.bodies import Bodies
    from stalkd_client.client import Client
    from stalkd_client.jobs import Job


class Lease:
    """A reserved job, for a limited time.

        with lease:
            work(lease.value)

    acknowledges it at the end, and gives it back for another attempt if the work raises. Exactly
    one of ``ack``, ``retry`` and ``bury`` ends a lease; after that they do nothing.
    """

    def __init__(self, client: Client, bodies: Bodies, job: Job) -> None:
        self._client = client
        self._bodies = bodies
        self.job = job
        self.is_over: bool = False
        self._ends = time.monotonic() + job.ttr if job.ttr else None

    def __repr__(self) -> str:
        state = "over" if self.is_over else f"{self.time_left:.1f} s left"
        return f"<Lease of job {self.id}, attempt {self.attempt}, {state}>"

    @property
    def id(self) -> int:
        """The job's id."""
        return self.job.id

    @property
    def body(self) -> bytes:
        """What was put, as bytes. Raises SpillError if it was parked, and is not there."""
        return self._bodies.whole(self.job.body)

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever was put
        """What was put. Raises ValueError if the body is not what the codec writes."""
        try:
            return self._bodies.loads(self.job.body)
        except Exception as error:  # A pickle may raise anything.
            error.add_note(f"in job {self.id}")
            raise

    @property
    def attempt(self) -> int:
        """The how-manieth attempt this is, from 1 on."""
        return self.job.attempt or int(str(self._told()["reserves"]))

    @property
    def time_left(self) -> float:
        """Seconds until the server gives the job to somebody else."""
        if self._ends is None:
            self._ends = time.monotonic() + float(str(self._told()["time-left"]))
        return max(0.0, self._ends - time.monotonic())

    def _told(self) -> dict[str, Any]:
        return dict(self._client.stats_job(self.job))

    def ack(self) -> None:
        """Say that the work is done: the job is deleted. Raises NotFoundError, LeaseLostError."""
        if not self.is_over:
            self.is_over = True
            self._client.delete(self.job)
            self._bodies.forget(self.job.body)

    def retry(self, delay: float = 0, *, priority: int | None = None) -> None:
        """Give the job back for another attempt, after so many seconds; with its priority."""
        if not self.is_over:
            self.is_over = True
            urgency = self._priority() if priority is None else priority
            self._client.release(self.job, priority=urgency, delay=delay)

    def bury(self) -> None:
        """Put the job aside until somebody kicks it."""
        if not self.is_over:
            self.is_over = True
            self._client.bury(self.job, priority=self._priority())

    def _priority(self) -> int:
        return self.job.priority if self.job.tube else int(str(self._told()["pri"]))

    def extend(self, seconds: float | None = None) -> None:
        """Ask for more time: the whole time-to-run again, or so many seconds from now."""
        self._client.touch(self.job, seconds)
        self._ends = None if seconds is None else time.monotonic() + seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is None:
            self.ack()
            return
        try:
            self.retry()
        except (StalkdError, OSError) as trouble:  # What the work has raised goes on.
            error.add_note(f"job {self.id} was not given back: {trouble}")
