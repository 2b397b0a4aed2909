"""What is kept of a failure: a record beside a job that was buried, a message to a queue of errors.

Both are JSON, also where jobs are not: people and other programs read them.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Final

from stalkd_client.jobs import Job
from stalkd_client.owntubes import record_tube
from stalkd_client.worker.messages import Trouble
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.supply import Put

RECORD_TTL_S: Final = 30 * 86_400.0
"""How long a record is kept by stalkd: somebody looks at it within a month, or never."""

SOURCE_BYTES: Final = 16_384
"""Of a body that are shown in a record: enough to know it."""

RECORD_BYTES: Final = 60_000
"""What a record may take, as a server takes 65,535 by default. Of texts full of control characters,
each of which takes six bytes, it has less, or nothing."""

TRACEBACK_CHARACTERS: Final = 2_000
"""... of the traceback."""


def record(held: Held, task: str, trouble: Trouble, seconds: float) -> Put:
    """Return the record of a job that is going to be buried, instead of an older one."""
    now, job = time.time(), held.job
    members = {
        "exception": trouble.type,
        "message": trouble.message,
        "traceback": trouble.traceback,
        **_source(job.body[:SOURCE_BYTES]),
        "source_bytes": len(job.body),
        "id": job.id,
        "queue": job.tube,
        "task": task,
        "attempt": held.attempt,
        "worker": held.worker,
        "began": round(now - seconds, 3),
        "failed": round(now, 3),
    }
    body = _json(members)
    if len(body) > RECORD_BYTES:
        for name in ("source_message", "source_base64"):
            members.pop(name, None)
        body = _json({**members, "traceback": trouble.traceback[-TRACEBACK_CHARACTERS:]})
    return Put(record_tube(job.id), body, ttl=RECORD_TTL_S, replaces=True, kind="record")


def message(job: Job, attempt: int, trouble: Trouble, queue: str, delay: float) -> Put:
    """Return what is sent to a queue of errors, whole."""
    members = {
        "exception": trouble.line,
        "traceback": trouble.traceback,
        **_source(job.body),
        "cur_retry": attempt - 1,
    }
    return Put(queue, _json(members), delay, kind="message")


def _source(body: bytes) -> dict[str, Any]:
    """Return the body as the value that it is, as text, or in base64 if it is neither."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"source_base64": base64.b64encode(body).decode()}
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return {"source_message": text}
    return {"source_message": value}


def _json(members: dict[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode("utf-8", "backslashreplace")
