"""A slot's connection to the server: taking jobs, keeping them, ending them, storing what came out.

Written for stalkd; a plain Beanstalk server gives one job at a time, and is asked for the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from stalkd_client import beyond, requests
from stalkd_client.client import Client
from stalkd_client.errors import (
    DeadlineSoonError,
    NotFoundError,
    TimedOutError,
    UnsupportedByServerError,
)
from stalkd_client.exchange import Request
from stalkd_client.jobs import Job
from stalkd_client.worker.messages import Trouble
from stalkd_client.worker.settings import expand, is_pattern
from stalkd_client.worker.slots.supply import Answer, End, Put

NOTHING: Final = (TimedOutError, DeadlineSoonError)
"""What a server answers that has no job; the second while another one is about to be lost."""

COMMANDS: Final[dict[str, Callable[[End], Request[None]]]] = {
    "delete": lambda end: requests.delete(end.job),
    "bury": lambda end: requests.bury(end.job, priority=end.job.priority),
    "release": lambda end: requests.release(end.job, priority=end.job.priority, delay=end.delay),
}
"""What a lease is ended with, by the kind of its end; the job keeps its priority."""


class Source:
    """One connection; the ``Supply`` of a worker that has a server."""

    def __init__(self, url: str | None, tubes: Iterable[str]) -> None:
        """Be not connected. Raises ValueError."""
        self.can_move: bool = True
        self.wanted: frozenset[str] = frozenset(tubes)
        self._client = Client(url, watch=sorted(self.wanted))
        self._watched = self.wanted or frozenset({"default"})
        self._lock = threading.Lock()
        self._is_waiting = False
        self._was_interrupted = False
        self._names: Sequence[str] = ()
        self._asked: frozenset[str] = frozenset()
        self._is_plain: bool | None = None
        self.has_tubes: threading.Event = threading.Event()
        if self.wanted:
            self.has_tubes.set()

    @property
    def address(self) -> str:
        """Where the server is."""
        return str(self._client.address)

    # -- for other threads ----------------------------------------------------------------------

    def want(self, tubes: frozenset[str]) -> None:
        """Take jobs from these tubes from the next time on, which is at once if it waits."""
        self.wanted = tubes
        if tubes:
            self.has_tubes.set()
        else:
            self.has_tubes.clear()
        self.interrupt()

    def serve(self, names: Sequence[str]) -> None:
        """Take jobs from these tubes, and those that match the patterns among them.

        Which do, somebody else looks for from time to time, or this one when asked to.
        """
        self._names = names
        self.want(expand(names, ()))

    def interrupt(self) -> None:
        """End a wait for jobs. What the server is just giving, it takes back."""
        with self._lock:
            if self._is_waiting:
                self._was_interrupted = True
                self._client.interrupt()

    def look_again(self) -> bool:
        """Tell whether tubes match that were not asked last, and want these. Raises OSError."""
        if not any(map(is_pattern, self._names)):
            return False
        self.want(expand(self._names, self._client.list_tubes()))
        return not self.wanted <= self._asked

    # -- taking ---------------------------------------------------------------------------------

    def wait(self, most: int, timeout: float | None) -> list[Job]:
        """Wait for jobs, holding none; return none after the timeout and when interrupted.

        Raises OSError.
        """
        self._prepare()
        with self._lock:
            self._is_waiting, self._was_interrupted = True, False
        jobs: list[Job] = []
        try:
            jobs = self._take(most, timeout)
        except OSError:
            if not self._was_interrupted:
                raise
        finally:
            with self._lock:
                self._is_waiting = False
        if self._was_interrupted and jobs:  # They are the server's again, or will be at once.
            self._client.close()
            return []
        return jobs

    def _take(self, most: int, timeout: float | None) -> list[Job]:
        try:
            if self._is_plain:
                return [self._complete(self._client.reserve(timeout))]
            return self._client.reserve_batch(most, timeout)
        except NOTHING:
            return []
        except NotFoundError:  # It was lost before it could be asked about.
            return []

    def _prepare(self) -> None:
        """Know the server, and watch what is wanted."""
        if self._is_plain is None:
            try:
                self._client.execute(beyond.probe())
            except UnsupportedByServerError:
                self._is_plain = True
            else:
                self._is_plain = False
        wanted = self.wanted
        if wanted and wanted != self._watched:  # A connection watches something at least.
            for tube in sorted(wanted - self._watched):
                self._client.watch(tube)
            for tube in sorted(self._watched - wanted):
                self._client.ignore(tube)
            self._watched = wanted
        self._asked = wanted

    def _complete(self, job: Job) -> Job:
        """Ask for what stalkd tells by itself."""
        told = self._client.stats_job(job)
        job.attempt, job.priority = int(str(told["reserves"])), int(str(told["pri"]))
        job.ttr, job.tube = float(str(told["ttr"])), str(told["tube"])
        return job

    # -- what is done with jobs -----------------------------------------------------------------

    def flaw(self, job: Job) -> Trouble | None:  # noqa: ARG002 - as all supplies have it
        """Return None: whatever a server gives can be given to a handler."""
        return None

    def settle(self, ends: Sequence[End], most: int) -> tuple[Sequence[Answer], list[Job]]:
        """End leases, and take up to so many jobs at once, without waiting.

        All of it is one exchange with stalkd. Raises OSError.
        """
        asked: list[Request[Any]] = [COMMANDS[end.kind](end) for end in ends]
        if not most or self._is_plain is not False or self.wanted != self._watched:
            answers: Sequence[Answer] = self._client.execute_all(asked) if asked else []
            if not most:
                return answers, []
            self._prepare()
            return answers, self._take(most, 0)
        asked.append(beyond.reserve_batch(most, 0))
        *answers, jobs = self._client.execute_all(asked)
        return answers, jobs if isinstance(jobs, list) else []

    def touch(self, jobs: Sequence[Job]) -> Sequence[Answer]:
        """Begin leases anew. Raises OSError."""
        return self._client.execute_all([requests.touch(job) for job in jobs])

    def spent(self, jobs: Sequence[Job]) -> set[int]:
        """Return the ids of those jobs whose attempts are used up: released, they would die.

        Raises OSError.
        """
        if self._is_plain or not jobs:
            return set()
        tubes = sorted({job.tube for job in jobs})
        every: list[Request[Any]] = [beyond.explain_job(job) for job in jobs]
        every += [beyond.get_policy(tube) for tube in tubes]
        answers = self._client.execute_all(every)
        policies = dict(zip(tubes, map(_attempts_of, answers[len(jobs) :]), strict=True))
        found = set()
        for job, answer in zip(jobs, answers, strict=False):
            told = answer[0] if isinstance(answer, tuple) else {}
            allowed = _attempts_of(told) or policies[job.tube]
            if 0 < allowed <= job.attempt:
                found.add(job.id)
        return found

    def store(self, puts: Sequence[Put]) -> Sequence[Answer]:
        """Store outputs, replies and records, in this order. Raises OSError."""
        for put in puts:
            if put.replaces:
                self._clear(put.tube)
        if not self._is_plain:
            return self._client.execute_all([_extended(put) for put in puts])
        every: list[Request[Any]] = []
        for put in puts:
            every += [requests.use(put.tube), requests.put(put.body, delay=-(-put.delay // 1))]
        return self._client.execute_all(every)[1::2]

    def _clear(self, tube: str) -> None:
        """Take away what is ready in a tube that has one job at most."""
        try:
            self._client.use(tube)
            self._client.delete(self._client.peek_ready().id)
        except NotFoundError:
            pass

    def close(self) -> None:
        """Hang up; what is held goes back."""
        self._client.close()


def _attempts_of(told: object) -> int:
    """Return how many attempts are allowed; 0 for any number, and where nothing is told."""
    return int(str(told.get("attempts", 0))) if isinstance(told, Mapping) else 0


def _extended(put: Put) -> Request[int]:
    return requests.put(put.body, tube=put.tube, delay=put.delay, ttl=put.ttl)
