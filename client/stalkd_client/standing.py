"""What the server knows of a client on its present connection, as far as it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from stalkd_client import requests
from stalkd_client.arguments import check_tube
from stalkd_client.errors import LeaseLostError, NotFoundError, StalkdError
from stalkd_client.exchange import Reply, Request
from stalkd_client.jobs import Job

DEFAULT_TUBE: Final = "default"
"""What a new connection uses and watches."""


class Standing:
    """The tube in use, those that are watched, and the jobs reserved on this connection.

    ``connection`` counts the connections; ``held`` has the ids of the jobs.
    """

    def __init__(self, used: str, watched: Iterable[str]) -> None:
        """Be not connected yet. Raises ValueError for a bad tube."""
        self.used = used
        self.watched: list[str] = list(dict.fromkeys(watched)) or [DEFAULT_TUBE]
        self.connection: int = 0
        self.is_open: bool = False
        self.held: set[int] = set()
        for name in (used, *self.watched):
            check_tube(name)

    def begin(self) -> None:
        """Have a new connection."""
        self.connection += 1
        self.is_open = True

    def end(self) -> None:
        """Have none."""
        self.is_open = False
        self.held.clear()

    def introduction(self) -> list[Request[Any]]:
        """Return what makes a new connection like the one before."""
        said: list[Request[Any]] = []
        if self.used != DEFAULT_TUBE:
            said.append(requests.use(self.used))
        said += [requests.watch(name) for name in self.watched if name != DEFAULT_TUBE]
        if DEFAULT_TUBE not in self.watched:
            said.append(requests.ignore(DEFAULT_TUBE))
        return said

    def note(self, reply: Reply[Any]) -> None:
        """Keep in mind what a command has changed."""
        request, result = reply.request, reply.result
        if isinstance(result, NotFoundError):
            self.held.discard(request.job_id)  # Its lease has ended.
        elif request.verb in EFFECTS and not isinstance(result, StalkdError):
            EFFECTS[request.verb](self, reply)

    def is_held(self, job: Job) -> bool:
        """Tell whether a job was reserved on the present connection, and not ended since."""
        return self.is_open and job.connection == self.connection and job.id in self.held

    def needs(self, asked: Sequence[Request[Any]]) -> set[int]:
        """Return which of the jobs that are held these commands are about.

        Raises LeaseLostError if one was reserved on an earlier connection.
        """
        needed = [request for request in asked if request.job]
        for request in needed:
            self.check(request)
        return {request.job_id for request in needed} & self.held

    def check(self, request: Request[Any]) -> None:
        """Raise LeaseLostError if a command's job was reserved on an earlier connection."""
        job = request.job
        if isinstance(job, Job) and job.connection:
            if job.connection == self.connection and self.is_open:
                return
            raise lost(job.id)


def lost(job_id: int) -> LeaseLostError:
    """Return the error for a job whose connection broke."""
    return LeaseLostError(
        f"job {job_id} was reserved on a connection that broke; it is ready again, or somebody"
        " else has it"
    )


def _uses(known: Standing, reply: Reply[Any]) -> None:
    known.used = reply.request.tube


def _watches(known: Standing, reply: Reply[Any]) -> None:
    if reply.request.tube not in known.watched:
        known.watched.append(reply.request.tube)


def _ignores(known: Standing, reply: Reply[Any]) -> None:
    if reply.request.tube in known.watched:
        known.watched.remove(reply.request.tube)


def _ends(known: Standing, reply: Reply[Any]) -> None:
    known.held.discard(reply.request.job_id)


def _holds(known: Standing, reply: Reply[Any]) -> None:
    result: Any = reply.result
    for job in result if isinstance(result, list) else (result,):
        job.connection = known.connection
        known.held.add(job.id)


EFFECTS: Final[dict[str, Callable[[Standing, Reply[Any]], None]]] = {
    "use": _uses,
    "watch": _watches,
    "ignore": _ignores,
    "delete": _ends,
    "release": _ends,
    "bury": _ends,
    "reserve": _holds,
    "reserve-with-timeout": _holds,
    "reserve-job": _holds,
    "reserve-batch": _holds,
}
"""What the commands change that change something of this."""


def reserved_by(reply: Reply[Any]) -> list[Job]:
    """Return the jobs that a command has reserved."""
    if EFFECTS.get(reply.request.verb) is not _holds:
        return []  # A peek shows jobs too, and reserves none.
    jobs = reply.result if isinstance(reply.result, list) else [reply.result]
    return [job for job in jobs if isinstance(job, Job)]
