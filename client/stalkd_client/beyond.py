"""The commands that only stalkd knows: each one stands here once, as in ``requests``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from stalkd_client import arguments, documents, replies
from stalkd_client.arguments import check_state, check_tube
from stalkd_client.documents import Mapping
from stalkd_client.errors import UnsupportedByServerError
from stalkd_client.exchange import Reading, Request
from stalkd_client.jobs import Job, Page, id_of

T = TypeVar("T")


def probe() -> Request[None]:
    """Ask whether the server knows these commands: a question that does no harm."""

    def read() -> Reading[None]:
        line = yield None
        if line.startswith(b"OK "):
            yield from replies.body("get-policy", line[3:])
        elif line in {b"UNKNOWN_COMMAND", b"BAD_FORMAT"}:
            raise UnsupportedByServerError(line.decode("latin-1"))
        elif line != b"NOT_FOUND":
            replies.refuse("get-policy", line)  # It may be no Beanstalk server at all.

    return Request("get-policy", b"get-policy default\r\n", read, again=True)


def _extended(
    verb: str, line: bytes, read: Callable[[], Reading[T]], *, again: bool = False
) -> Request[T]:
    """Return a request whose reply may take as long as it likes."""
    return Request(verb, line + b"\r\n", read, wait=None, again=again, extended=True)


# -- consumers ------------------------------------------------------------------------------------


def reserve_batch(most: int, timeout: float | None = 0) -> Request[list[Job]]:
    """Take up to so many of the most urgent jobs; wait for the first so many seconds at most.

    Needs stalkd. Raises TimedOutError, DeadlineSoonError; ValueError for less than one.
    """
    if most < 1:
        raise ValueError(f"{most} jobs are none to be taken")
    line = b"reserve-batch %d %b\r\n" % (most, arguments.exact_wait(timeout))
    sliced = partial(reserve_batch, most)
    return Request(
        "reserve-batch", line, _read_batch, wait=timeout, sliced=sliced, again=True, extended=True
    )


def _read_batch() -> Reading[list[Job]]:
    verb = "reserve-batch"
    count = replies.number(verb, replies.expect(verb, (yield None), b"RESERVED_BATCH"))
    jobs = []
    for _ in range(count):
        words = replies.expect(verb, (yield None), b"JOB").split(b" ")
        number, size, pri, ttr, attempt, tube = words
        body = yield from replies.body(verb, size)
        numbers = int(attempt), int(pri), float(ttr)
        jobs.append(Job(replies.number(verb, number), body, *numbers, tube.decode("ascii")))
    return jobs


def wait_job(job: Job | int, timeout: float | None = None) -> Request[str]:
    """Wait for the end of a job; return ``deleted`` or ``buried`` (so also when it is dead).

    ``timeout`` in seconds, None for no limit. Needs stalkd. Raises TimedOutError; NotFoundError
    when there is no such job, or it expired.
    """
    line = b"wait-job %d %b\r\n" % (id_of(job), arguments.exact_wait(timeout))
    sliced = partial(wait_job, job)
    return Request(
        "wait-job", line, _read_end, wait=timeout, sliced=sliced, again=True, extended=True
    )


def _read_end() -> Reading[str]:
    line = yield None
    if line in {b"DELETED", b"BURIED"}:
        return line.decode("ascii").lower()
    replies.refuse("wait-job", line)


# -- looking and mending --------------------------------------------------------------------------


def list_jobs(tube: str, state: str = "all", *, after: int = 0, limit: int = 100) -> Request[Page]:
    """List jobs of a tube by id, behind ``after``. Raises NotFoundError.

    In a large tube a page may be short, or empty, before the end: go on at ``next``. Needs stalkd.
    """

    def parse(text: str) -> Page:
        top, jobs = documents.document(text, "jobs")
        return Page([dict(job) for job in jobs], int(str(top["next"])))

    line = b"list-jobs %b %b %d %d" % (check_tube(tube), check_state(state), after, limit)
    return _extended("list-jobs", line, replies.yaml("list-jobs", parse), again=True)


def explain_job(job: Job | int) -> Request[tuple[Mapping, list[str]]]:
    """Return all about a job, and the reasons why it does not run. Raises NotFoundError.

    Needs stalkd.
    """

    def parse(text: str) -> tuple[Mapping, list[str]]:
        return documents.strings(text, "reasons")

    line = b"explain-job %d" % id_of(job)
    return _extended("explain-job", line, replies.yaml("explain-job", parse), again=True)


def purge_tube(tube: str, state: str = "all") -> Request[int]:
    """Delete all jobs of a tube, or those in a state; return how many. Raises NotFoundError.

    Needs stalkd.
    """
    line = b"purge-tube %b %b" % (check_tube(tube), check_state(state))
    return _extended("purge-tube", line, replies.count("purge-tube", b"PURGED"))


def release_tube(tube: str) -> Request[int]:
    """End all leases of a tube's jobs; return how many. Raises NotFoundError. Needs stalkd."""
    line = b"release-tube " + check_tube(tube)
    return _extended("release-tube", line, replies.count("release-tube", b"RELEASED"))


def move_jobs(tube: str, state: str, target: str, count: int) -> Request[int]:
    """Put up to so many jobs of a tube into another, alive; return how many.

    Raises NotFoundError; OutOfMemoryError when the disk of the server is full. Needs stalkd.
    """
    names = check_tube(tube), check_state(state), check_tube(target)
    line = b"move-jobs %b %b %b %d" % (*names, count)
    return _extended("move-jobs", line, replies.count("move-jobs", b"MOVED"))


def set_policy(  # noqa: PLR0913 - these are the command's arguments
    tube: str,
    *,
    attempts: int | None = None,
    dead: str | None = None,
    ttl: float | None = None,
    max_jobs: int | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    ageing: float | None = None,
) -> Request[None]:
    """Change what holds for a tube; 0 or "" takes a rule away, None leaves it as it is.

    Needs stalkd.
    """
    exact = arguments.exact
    words = [
        *([] if attempts is None else [b"attempts=%d" % attempts]),
        *([] if dead is None else [b"dead=" + (check_tube(dead) if dead else b"")]),
        *([] if ttl is None else [b"ttl=" + exact(ttl)]),
        *([] if max_jobs is None else [b"max-jobs=%d" % max_jobs]),
        *([] if rate is None else [b"rate=" + exact(rate)]),
        *([] if concurrency is None else [b"concurrency=%d" % concurrency]),
        *([] if ageing is None else [b"ageing=" + exact(ageing)]),
    ]
    line = b" ".join([b"set-policy", check_tube(tube), *words])
    return _extended("set-policy", line, replies.done("set-policy", b"POLICY_SET"), again=True)


def get_policy(tube: str) -> Request[Mapping]:
    """Show what holds for a tube. Raises NotFoundError. Needs stalkd."""
    line = b"get-policy " + check_tube(tube)
    read = replies.yaml("get-policy", documents.mapping)
    return _extended("get-policy", line, read, again=True)


def stats_tubes() -> Request[list[Mapping]]:
    """Tell about all tubes. Needs stalkd."""
    return _items("stats-tubes", "tubes")


def list_clients() -> Request[list[Mapping]]:
    """Tell about all connections. Needs stalkd."""
    return _items("list-clients", "clients")


def _items(verb: str, name: str) -> Request[list[Mapping]]:
    def parse(text: str) -> list[Mapping]:
        return documents.document(text, name)[1]

    return _extended(verb, verb.encode(), replies.yaml(verb, parse), again=True)


def drain(*, on: bool = True) -> Request[bool]:
    """Let the server take no more jobs, or take them again; return whether it is draining.

    Needs stalkd.
    """
    return _extended("drain", b"drain on" if on else b"drain off", _read_drain, again=True)


def _read_drain() -> Reading[bool]:
    line = yield None
    if line not in {b"DRAINING", b"ACCEPTING"}:
        replies.refuse("drain", line)
    return line == b"DRAINING"
