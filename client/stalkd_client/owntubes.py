"""Tubes that hold no jobs of anybody's: what workers leave beside jobs, replies, reports."""

from __future__ import annotations

import os
import re
from typing import Final

from stalkd_client.reports import is_of_workers

REPLY_BYTES: Final = 16
"""Of randomness in the name of a reply's tube: nobody else finds it."""

_RECORD: Final = re.compile(r"error\.[0-9]+")
_REPLY: Final = re.compile(rf"reply\.[0-9a-f]{{{2 * REPLY_BYTES}}}")


def record_tube(job_id: int) -> str:
    """Return the tube with the record of a job's last failure: stalk-worker(1), under RECORDS."""
    return f"error.{job_id}"


def is_record(tube: str) -> bool:
    """Tell whether a tube holds what a worker has left beside a job that it put aside."""
    return _RECORD.fullmatch(tube) is not None


def new_reply_tube() -> str:
    """Return a tube for the reply of one task: stalkd-jobs(7)."""
    return f"reply.{os.urandom(REPLY_BYTES).hex()}"


def is_reply(tube: str) -> bool:
    """Tell whether a tube is for the reply of one task."""
    return _REPLY.fullmatch(tube) is not None


def is_own(tube: str) -> bool:
    """Tell whether a tube is one of these, or of workers: no pattern of queues means it."""
    return is_record(tube) or is_reply(tube) or is_of_workers(tube)
