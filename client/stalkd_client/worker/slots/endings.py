"""From what a child says of a job to what its supply is told: what to store, how to end it."""

from __future__ import annotations

from typing import Final, NamedTuple

from stalkd_client.errors import JobTooBigError, StalkdError
from stalkd_client.worker.messages import Result, Trouble
from stalkd_client.worker.slots import records
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.supply import End, Put

REFUSED_DELAY_S: Final = 5.0
"""When a job is tried again whose outputs the server had no room for: some may be made by then."""

STATUS: Final = {
    "ack": "done",
    "retry": "retried",
    "move": "moved",
    "bury": "buried",
    "late": "returned",
}
"""How a job's end is called in the log and in the counts."""


class Ending(NamedTuple):
    """The end of a job. ``puts`` are stored before the ``final`` end of its lease."""

    held: Held
    result: Result
    status: str
    puts: list[Put]
    final: End


def ending(held: Held, result: Result, outputs: tuple[str, ...]) -> Ending:
    """Return how a job ends of which the child has told this."""
    job, trouble = held.job, result.trouble
    puts = [Put(queue, body) for body in result.outputs for queue in outputs]
    if trouble is not None and result.kind == "bury":
        puts.append(records.record(held, result.task, trouble, result.seconds))
    if trouble is not None and result.kind == "move":
        puts.append(records.message(job, held.attempt, trouble, result.queue, result.delay))
    if result.reply is not None:
        reply = result.reply
        puts.append(Put(reply.tube, reply.body, ttl=reply.ttl, kind="reply"))
    return Ending(held, result, STATUS.get(result.kind, result.kind), puts, _final(held, result))


def _final(held: Held, result: Result) -> End:
    if result.kind in {"ack", "move"}:
        return End("delete", held.job)
    if result.kind == "bury":
        return End("bury", held.job)
    return released(held, result.delay if result.kind == "retry" else 0.0)


def released(held: Held, delay: float = 0.0) -> End:
    """Return what gives a job back as it was."""
    return End("release", held.job, delay)


def died(held: Held, cause: str, attempts: int, now: float) -> Result:
    """Return what is done with a job whose process has just died while it ran."""
    seconds = 0.0 if held.begun is None else max(0.0, now - held.begun)
    trouble = Trouble("WorkerDied", f"the process of the job died: {cause}")
    kind = "retry" if held.attempt < attempts else "bury"
    return Result(held.job.id, kind, seconds, trouble=trouble)  # type: ignore[arg-type]  # either is one


def refused(before: Ending, error: StalkdError) -> Ending:
    """Return how a job ends whose outputs, or whatever came of it, could not be stored.

    It is not acknowledged: what is too large for ever is buried, all else is tried again. What was
    going to be buried, is, though nothing tells of the reason but the log.
    """
    held, result = before.held, before.result
    trouble = Trouble(type(error).__name__, f"what came of the job was not stored: {error}")
    if result.kind == "bury":
        return before._replace(puts=[])
    if isinstance(error, JobTooBigError):
        first = result.trouble or trouble  # Of a job that was to be moved it is why.
        failed = result._replace(kind="bury", outputs=(), reply=None, trouble=first)
        return ending(held, failed, ())
    again = result._replace(kind="retry", delay=REFUSED_DELAY_S, trouble=trouble)
    return Ending(held, again, "refused", [], _final(held, again))
