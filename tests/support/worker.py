"""The smallest worker: one job at a time, and an order of steps that a real one has, too."""

from collections.abc import Callable, Mapping
from typing import Any

from stalkd_client import Client
from stalkd_client.tasks.envelope import JSON
from stalkd_client.tasks.runner import Performed, perform

Allowed = Mapping[str, Callable[..., Any]]

PATIENCE_S = 10


def work_one(url: str, tube: str, allowed: Allowed, *, plain: bool = False) -> Performed:
    """Do one job: store the reply first, then acknowledge, or put the job aside if it failed."""
    with Client(url, use=tube, watch=tube, retry_for=PATIENCE_S) as client:
        job = client.reserve(PATIENCE_S)
        done = perform(job.body, allowed, job_id=job.id, codec=JSON)
        if done.reply is not None:
            assert done.envelope is not None
            assert done.envelope.reply is not None
            if plain:
                client.use(done.envelope.reply)
                client.put(done.reply)
            else:
                client.put(done.reply, tube=done.envelope.reply, ttl=done.envelope.reply_ttl)
        if done.error is None:
            client.delete(job)
        else:
            client.bury(job)
    return done
