"""Why a job was put aside: what `stalk-worker` has left beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from stalkd_client.client import Client
from stalkd_client.command import bodies, output, tables
from stalkd_client.errors import NotFoundError
from stalkd_client.owntubes import record_tube

SHOWN: Final = ("exception", "message", "task", "attempt", "worker")
"""Members of a record that say most, in this order."""


def record_of(client: Client, job_id: int, tube: str) -> dict[str, Any] | None:
    """Return the record of a job's failure; None if there is none, or it is of another job.

    Without a log, ids begin again with each start of the server.
    """
    client.use(record_tube(job_id))
    try:
        record = json.loads(client.peek_ready().body)
    except (NotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or (record.get("id"), record.get("queue")) != (job_id, tube):
        return None
    return record


def write(record: dict[str, Any]) -> None:
    """Write a record for people."""
    output.write("")
    tables.show_pairs((key, bodies.safe(str(record[key]))) for key in SHOWN if key in record)
    for line in _traceback(record):
        output.write(line)


def _traceback(record: dict[str, Any]) -> Iterator[str]:
    for line in str(record.get("traceback", "")).rstrip().splitlines():
        yield bodies.safe(line)
