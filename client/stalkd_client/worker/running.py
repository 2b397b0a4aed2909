"""In a child: from a job to what became of it, without any socket."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from stalkd_client.arguments import NO_LIMIT_S
from stalkd_client.codecs import Codec
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.arguments import Arguments, check, signature_of
from stalkd_client.tasks.envelope import RESULT_TTL_S, Envelope
from stalkd_client.tasks.names import resolve
from stalkd_client.tasks.runner import run
from stalkd_client.worker.handlers import Extras, Handler
from stalkd_client.worker.messages import Reply, Result, Trouble, Work
from stalkd_client.worker.retrying import Rules, Verdict, decide
from stalkd_client.worker.task import CurrentJob

Limit = Callable[[], AbstractContextManager[object]]
"""What a handler runs inside of: it ends the soft time limit."""

Tell = Callable[[Result], None]


@dataclass(slots=True)
class Call:
    """A call that is ready to be made; ``envelope`` if the body was one."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    envelope: Envelope | None = None


class Runner:
    """Runs jobs with one handler. ``chance`` gives numbers from 0 to 1."""

    def __init__(
        self,
        handler: Handler,
        codec: Codec,
        rules: Rules,
        *,
        outputs: bool = False,
        iter_output: bool = False,
        time_limit: float | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._rules = rules
        self._outputs = outputs
        self._iter = iter_output
        self._time_limit = time_limit
        self._chance = chance
        self._extras = Extras(rules.max_retries, 0 if handler.tasks else 1)

    def perform(self, work: Work, tell: Tell, limit: Limit) -> Result:
        """Run a job here and now."""
        begun, call = time.monotonic(), None
        if begun >= work.starts_before:
            return Result(work.id, "late")
        try:
            call = self._prepare(work, tell)
            with limit():
                value = self._call(call)
                outputs = self._written(value)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the job that failed
            return self._failed(work, call, error, time.monotonic() - begun)
        return self._done(work, call, value, outputs, time.monotonic() - begun)

    async def perform_async(
        self, work: Work, tell: Tell, limit: AsyncLimit, failures: Failures
    ) -> Result:
        """Run a job whose handler is async; ``failures`` are its own and not the event loop's."""
        begun, call = time.monotonic(), None
        if begun >= work.starts_before:
            return Result(work.id, "late")
        try:
            call = self._prepare(work, tell)
            value = await limit(_await(call))
            outputs = self._written(value)
        except failures as error:
            return self._failed(work, call, error, time.monotonic() - begun)
        return self._done(work, call, value, outputs, time.monotonic() - begun)

    def _prepare(self, work: Work, tell: Tell) -> Call:
        """Read the body. Raises what the codec raises, BadEnvelopeError, UnknownTaskError."""

        def extend(seconds: float) -> None:
            tell(Result(work.id, "extend", delay=seconds))

        handler = self._handler
        job = CurrentJob(work.id, work.queue, work.attempt, self._time_limit, extend)
        if handler.function is not None:
            extras = self._extras.of(handler.function, job)
            return Call(handler.function, (self._codec.loads(work.body),), extras)
        envelope = Envelope.decode(work.body, self._codec)
        function = resolve(envelope.task, handler.tasks)
        extras = self._extras.of(function, job)
        return Call(function, envelope.args, {**envelope.kwargs, **extras}, envelope)

    def _call(self, call: Call) -> Any:
        if call.envelope is None:
            return call.function(*call.args, **call.kwargs)
        return run(call.function, Envelope(call.envelope.task, call.args, call.kwargs))

    def _written(self, value: Any) -> tuple[bytes, ...]:
        """Return the bodies of outputs; this is part of the work, as a generator does it only now.

        Raises what the codec raises.
        """
        if not self._outputs or value is None:
            return ()
        return tuple(map(self._codec.dumps, value if self._iter else (value,)))

    def _done(
        self, work: Work, call: Call, value: object, outputs: tuple[bytes, ...], seconds: float
    ) -> Result:
        reply, task = None, ""
        if call.envelope is not None:
            task = call.envelope.task
            reply = self._reply(work, call.envelope, outcomes.Outcome("done", value))
        return Result(work.id, "ack", seconds, task=task, outputs=outputs, reply=reply)

    def _failed(
        self, work: Work, call: Call | None, error: BaseException, seconds: float
    ) -> Result:
        verdict = self._judge(error, work.attempt)
        envelope = self._envelope(work) if call is None else call.envelope
        told = outcomes.failed(error)
        reply = None
        if envelope is not None and verdict.kind != "retry":
            reply = self._reply(work, envelope, told)
        return Result(
            work.id,
            verdict.kind,
            seconds,
            verdict.delay,
            verdict.queue,
            envelope.task if envelope else "",
            reply=reply,
            trouble=Trouble(told.type, told.message, told.traceback),
        )

    def _judge(self, error: BaseException, attempt: int) -> Verdict:
        return decide(error, attempt, self._rules, self._chance())

    def _envelope(self, work: Work) -> Envelope | None:
        """Read a body of which no call could be made: who waits for a reply shall have one."""
        if not self._handler.tasks:
            return None
        try:
            return Envelope.decode(work.body, self._codec)
        except Exception:  # noqa: BLE001 - then nobody can be told
            return None

    def _reply(self, work: Work, envelope: Envelope, outcome: outcomes.Outcome) -> Reply | None:
        if envelope.reply is None:
            return None
        body = outcomes.encode(work.id, envelope.task, outcome, self._codec)
        ttl = envelope.reply_ttl  # The producer's; a server refuses NaN, and what is below 0.
        return Reply(envelope.reply, ttl if 0 < ttl <= NO_LIMIT_S else RESULT_TTL_S, body)


Failures = tuple[type[BaseException], ...]

AsyncLimit = Callable[[Awaitable[Any]], Awaitable[Any]]
"""Awaits what a handler does, and ends that at the soft time limit."""


async def _await(call: Call) -> Any:
    if call.envelope is not None:
        check(call.envelope.task, signature_of(call.function), Arguments(call.args, call.kwargs))
    value = call.function(*call.args, **call.kwargs)
    return await value if inspect.isawaitable(value) else value
