"""How handlers and hooks are called: here and now, or in an event loop. All else is the same."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from stalkd_client.tasks.arguments import Arguments, check, signature_of
from stalkd_client.tasks.envelope import Envelope
from stalkd_client.tasks.runner import run
from stalkd_client.worker.middleware import Hook, JobContext

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """A call that is ready to be made; ``envelope`` if the body was one.

    With an ``error`` there is none to be made: why the body is no call.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    envelope: Envelope | None = None
    error: BaseException | None = None


class Came(NamedTuple):
    """What came of a call: a value and the bodies of outputs, or an error."""

    value: object = None
    outputs: tuple[bytes, ...] = ()
    error: BaseException | None = None


Write = Callable[[Any], tuple[bytes, ...]]
"""Makes the bodies of outputs of what a handler returns. Raises what the codec raises."""

Limit = Callable[[], AbstractContextManager[object]]
"""What a handler runs inside of: it ends the soft time limit."""

AsyncLimit = Callable[[Awaitable[Any]], Awaitable[Any]]
"""Awaits what a handler does, and ends that at the soft time limit."""


class Way(Protocol):
    """One of the two below."""

    async def attempt(self, call: Call, write: Write) -> Came:
        """Call a handler; whatever it raises is what came of it."""

    async def hook(self, hook: Hook, context: JobContext) -> None:
        """Call a hook. Raises whatever it raises."""


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what awaits nothing that takes time: what goes the way of ``Now``."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("a worker without an event loop has awaited something")


class Now:
    """Calls what is plain, in the thread that it is in."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit

    async def attempt(self, call: Call, write: Write) -> Came:
        """Write outputs within the limit: a generator does its work only then."""
        try:
            with self._limit():
                value = self._call(call)
                return Came(value, write(value))
        except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the job that failed
            return Came(error=error)

    def _call(self, call: Call) -> Any:
        if call.envelope is None:
            return call.function(*call.args, **call.kwargs)
        return run(call.function, Envelope(call.envelope.task, call.args, call.kwargs))

    async def hook(self, hook: Hook, context: JobContext) -> None:
        """Raise TypeError for what nobody will await: a plain function may return it, too."""
        value = hook(context)
        if inspect.iscoroutine(value):
            value.close()
        if inspect.isawaitable(value):
            raise TypeError("it is async, and the handler is not: nothing of it was run")


class InLoop:
    """Awaits what is async; ``passing`` are exceptions of the event loop and not of a handler."""

    def __init__(self, limit: AsyncLimit, passing: tuple[type[BaseException], ...]) -> None:
        self._limit = limit
        self._passing = passing

    async def attempt(self, call: Call, write: Write) -> Came:
        """Let the limit end what is awaited."""
        try:
            value = await self._limit(self._call(call))
            return Came(value, write(value))
        except BaseException as error:
            if isinstance(error, self._passing):
                raise
            return Came(error=error)

    async def _call(self, call: Call) -> Any:
        if call.envelope is not None:
            given = Arguments(call.args, call.kwargs)
            check(call.envelope.task, signature_of(call.function), given)
        value = call.function(*call.args, **call.kwargs)
        return await value if inspect.isawaitable(value) else value

    async def hook(self, hook: Hook, context: JobContext) -> None:
        """Await it, if it is to be awaited."""
        value = hook(context)
        if inspect.isawaitable(value):
            await value
