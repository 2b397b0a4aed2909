"""Why a job was put aside: what `stalk-worker` has left beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command import bodies, output, tables
from stalkd_client.command.tube_stats import AT_ONCE, ask_all
from stalkd_client.errors import NotFoundError
from stalkd_client.exchange import Request
from stalkd_client.jobs import Job
from stalkd_client.owntubes import is_record, record_tube
from stalkd_client.pieces import pieces

SHOWN: Final = ("exception", "message", "task", "attempt", "worker")
"""Members of a record that say most, in this order."""


def record_of(client: Client, job_id: int, tube: str) -> dict[str, Any] | None:
    """Return the record of a job's failure; None if there is none, or it is of another job.

    Without a log, ids begin again with each start of the server.
    """
    record = left_of(client, job_id)
    return record if record is not None and record.get("queue") == tube else None


def left_of(client: Client, job_id: int) -> dict[str, Any] | None:
    """Return the record of a job that may be gone; None if there is none."""
    client.use(record_tube(job_id))
    try:
        return _read(client.peek_ready(), job_id)
    except NotFoundError:
        return None


def _read(job: Job, job_id: int) -> dict[str, Any] | None:
    """Return what a job of such a tube holds, if that is a record."""
    try:
        record = json.loads(job.body)
    except (ValueError, RecursionError):
        return None
    is_record = isinstance(record, dict) and record.get("id") == job_id and "exception" in record
    return record if is_record else None


def remove(client: Client, job_ids: Iterable[int]) -> None:
    """Delete the records of jobs that were deleted themselves."""
    _remove(client, job_ids, lambda _record: True)


def remove_left(client: Client, tube: str) -> None:
    """Delete the records of all jobs of a tube that are gone.

    All records that there are are looked at: who purges a tube does not know its jobs.
    """
    names = [each for each in client.list_tubes() if is_record(each)]
    for piece in pieces((int(each.partition(".")[2]) for each in names), AT_ONCE):
        living = {job.id for job in ask_all(client, [requests.peek(each) for each in piece])}
        gone = [each for each in piece if each not in living]
        _remove(client, gone, lambda record: record.get("queue") == tube)


def _remove(
    client: Client, job_ids: Iterable[int], is_meant: Callable[[dict[str, Any]], bool]
) -> None:
    for piece in pieces(job_ids, AT_ONCE):
        asked: list[Request[Any]] = []
        for each in piece:
            asked += [requests.use(record_tube(each)), requests.peek_ready()]
        found = zip(piece, client.execute_all(asked)[1::2], strict=True)
        doomed = [
            job.id
            for job_id, job in found
            if isinstance(job, Job) and (record := _read(job, job_id)) and is_meant(record)
        ]
        ask_all(client, [requests.delete(each) for each in doomed])


def write(record: dict[str, Any]) -> None:
    """Write a record for people."""
    output.write("")
    tables.show_pairs((key, bodies.safe(str(record[key]))) for key in SHOWN if key in record)
    for line in _traceback(record):
        output.write(line)


def _traceback(record: dict[str, Any]) -> Iterator[str]:
    for line in str(record.get("traceback", "")).rstrip().splitlines():
        yield bodies.safe(line)
