"""Running a task's job, from its body to its reply, without any server.

A worker adds the rest: it reserves the job, stores the reply, and only then acknowledges.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from stalkd_client.codecs import Codec
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.arguments import Arguments, check, signature_of
from stalkd_client.tasks.envelope import JSON, Envelope
from stalkd_client.tasks.names import resolve


@dataclass(frozen=True, slots=True)
class Performed:
    """What running a job came to.

    ``envelope`` is None if the body is none. ``error`` is what was raised, if anything was: by the
    task, or because there is no such task, or its arguments do not fit. ``reply`` is the body to be
    put into ``envelope.reply`` if there will be no other attempt; None if nobody wants one.
    """

    envelope: Envelope | None
    error: Exception | None
    reply: bytes | None


def perform(
    body: bytes,
    allowed: Mapping[str, Callable[..., Any]],
    *,
    job_id: int = 0,
    codec: Codec = JSON,
) -> Performed:
    """Run the task that a job's body asks for, if it is one of the allowed."""
    envelope = None
    try:
        envelope = Envelope.decode(body, codec)
        value = run(resolve(envelope.task, allowed), envelope)
    except Exception as error:  # noqa: BLE001 - whatever it is, who waits shall know
        return Performed(envelope, error, _reply(envelope, job_id, outcomes.failed(error), codec))
    return Performed(
        envelope, None, _reply(envelope, job_id, outcomes.Outcome("done", value), codec)
    )


def _reply(
    envelope: Envelope | None, job_id: int, outcome: outcomes.Outcome, codec: Codec
) -> bytes | None:
    if envelope is None or envelope.reply is None:
        return None
    return outcomes.encode(job_id, envelope.task, outcome, codec)


def run(function: Callable[..., Any], envelope: Envelope) -> Any:
    """Call a function as the envelope has it. Raises BadArgumentsError, and what it raises.

    What is wrong with the arguments is found before the call: a TypeError is then the function's.
    """
    given = Arguments(envelope.args, envelope.kwargs)
    check(envelope.task, signature_of(function), given)
    value = function(*given.args, **given.kwargs)
    return _finish(value) if inspect.iscoroutine(value) else value


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run an async function on asyncio, in a thread: another loop may run in this one."""
    import asyncio  # noqa: PLC0415 - most programs have no use for it
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - the same

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
