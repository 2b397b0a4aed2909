"""In a child: from a job to what became of it, without any socket."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

from stalkd_client.arguments import NO_LIMIT_S
from stalkd_client.codecs import Codec
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.envelope import RESULT_TTL_S, Envelope
from stalkd_client.tasks.names import resolve
from stalkd_client.worker.inside import hooks
from stalkd_client.worker.inside.handlers import Extras, Handler
from stalkd_client.worker.inside.hooks import STATUS, Hooks, Tell
from stalkd_client.worker.inside.ways import Call, Came, Way
from stalkd_client.worker.messages import Reply, Result, Trouble, Work
from stalkd_client.worker.middleware import JobContext
from stalkd_client.worker.retrying import Rules, decide, meant
from stalkd_client.worker.task import CurrentJob


class Runner:
    """Runs jobs with one handler."""

    def __init__(
        self,
        handler: Handler,
        codec: Codec,
        rules: Rules,
        *,
        outputs: bool = False,
        iter_output: bool = False,
        time_limit: float | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._handler = handler
        self._codec = codec
        self._rules = rules
        self._outputs = outputs
        self._iter = iter_output
        self._time_limit = time_limit
        self._hooks = hooks or None
        self._extras = Extras(rules.max_retries, 0 if handler.tasks else 1)

    async def perform(self, work: Work, tell: Tell, way: Way) -> Result:
        """Run a job."""
        begun = time.monotonic()
        if begun >= work.starts_before:
            return Result(work.id, "late")
        call = self._prepare(work, tell)
        if self._hooks is None:
            return self._ended(work, call, await self._attempt(call, way), begun)
        context = _context(work, call)
        await hooks.call(self._hooks.before, context, way, tell)
        handled = time.monotonic()
        came = await self._attempt(call, way)
        context.duration = time.monotonic() - handled
        result = self._ended(work, call, came, begun)
        context.status, context.exception = STATUS[result.kind], came.error
        await hooks.call(self._hooks.after, context, way, tell)
        del context, came  # They have the error, whose traceback has this frame: a cycle.
        return result._replace(seconds=time.monotonic() - begun)

    async def _attempt(self, call: Call, way: Way) -> Came:
        return await way.attempt(call, self._written) if call.error is None else _broken(call)

    def _prepare(self, work: Work, tell: Tell) -> Call:
        """Read the body; what is wrong with it is the call's ``error``."""
        try:
            return self._read(work, tell)
        except BaseException as error:  # noqa: BLE001 - a pickle may raise anything
            return Call(_nothing, (), {}, self._envelope(work), error)

    def _read(self, work: Work, tell: Tell) -> Call:
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

    def _written(self, value: Any) -> tuple[bytes, ...]:
        """Return the bodies of outputs; this is part of the work, as a generator does it only now.

        Raises what the codec raises.
        """
        if not self._outputs or value is None:
            return ()
        return tuple(map(self._codec.dumps, value if self._iter else (value,)))

    def _ended(self, work: Work, call: Call, came: Came, begun: float) -> Result:
        seconds = time.monotonic() - begun
        if came.error is not None:
            return self._failed(work, call.envelope, came.error, seconds)
        reply, task = None, ""
        if call.envelope is not None:
            task = call.envelope.task
            reply = self._reply(work, call.envelope, outcomes.Outcome("done", came.value))
        return Result(work.id, "ack", seconds, task=task, outputs=came.outputs, reply=reply)

    def _failed(
        self, work: Work, envelope: Envelope | None, error: BaseException, seconds: float
    ) -> Result:
        chance = random.random()  # noqa: S311 - it spreads retries, and is no secret
        verdict = decide(error, work.attempt, self._rules, chance)
        told = _told(error)
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

    def _envelope(self, work: Work) -> Envelope | None:
        """Read a body of which no call could be made: who waits for a reply shall have one."""
        if not self._handler.tasks:
            return None
        try:
            return Envelope.decode(work.body, self._codec)
        except BaseException:  # noqa: BLE001 - then nobody can be told
            return None

    def _reply(self, work: Work, envelope: Envelope, outcome: outcomes.Outcome) -> Reply | None:
        if envelope.reply is None:
            return None
        body = outcomes.encode(work.id, envelope.task, outcome, self._codec)
        ttl = envelope.reply_ttl  # The producer's; a server refuses NaN, and what is below 0.
        return Reply(envelope.reply, ttl if 0 < ttl <= NO_LIMIT_S else RESULT_TTL_S, body)


def _nothing() -> None:
    """Stand for a function where there is none to be called."""


def _broken(call: Call) -> Came:
    """Return why a call cannot be made, and let go of it: it has a traceback with our frames."""
    came, call.error = Came(error=call.error), None
    return came


def _told(error: BaseException) -> outcomes.Outcome:
    """Describe an error; of a ``Retry`` its cause, and in the traceback both."""
    told, cause = outcomes.failed(error), meant(error)
    if cause is error:
        return told
    first = outcomes.failed(cause)
    return replace(told, type=first.type, message=first.message)


def _context(work: Work, call: Call) -> JobContext:
    """Return what hooks are told: what the job says, without what is added for the handler."""
    context = JobContext(work.queue, work.id, work.attempt, args=call.args)
    if call.envelope is not None:
        context.task = call.envelope.task
        if call.error is None:
            context.kwargs = call.envelope.kwargs
    return context
