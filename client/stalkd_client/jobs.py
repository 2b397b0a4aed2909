"""A job as a client sees it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Job:
    """A job that was reserved or shown.

    ``attempt``, ``priority``, ``ttr`` (seconds) and ``tube`` are known of jobs that came in a
    batch, else they are 0 and "". ``connection`` is the number of the connection on which it was
    reserved, 0 if it was only shown.
    """

    id: int
    body: bytes = field(repr=False)
    attempt: int = 0
    priority: int = 0
    ttr: float = 0.0
    tube: str = ""
    connection: int = field(default=0, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.id)


def id_of(job: Job | int) -> int:
    """Return a job's id."""
    return job if isinstance(job, int) else job.id


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs of a tube; ``next`` is where to go on, 0 at the end."""

    jobs: list[dict[str, object]]
    next: int
