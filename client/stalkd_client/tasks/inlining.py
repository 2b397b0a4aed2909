"""Inline mode: what is pushed runs at once, here, without a server. For tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from stalkd_client.codecs import Codec
from stalkd_client.errors import TimedOutError
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.envelope import Envelope
from stalkd_client.tasks.handle import Handle
from stalkd_client.tasks.options import Options
from stalkd_client.tasks.runner import perform

_CURRENT: Final[ContextVar[Inline | None]] = ContextVar("stalkd_inline", default=None)


@dataclass(frozen=True, slots=True)
class Call:
    """A task that was pushed: ``args`` and ``kwargs`` as they come out of the codec.

    ``error`` is what it raised; ``ran`` is False if there was nothing here to run it.
    """

    task: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Options
    ran: bool
    error: Exception | None = None


@dataclass
class Inline:
    """What happens, and happened, in inline mode.

    ``handlers`` are called instead of workers, by the name of a task or of a queue. ``calls`` are
    the tasks that were pushed, ``values`` those pushed into queues without a handler, by the name
    of the queue; ``errors`` is what tasks and handlers raised.
    """

    handlers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    raises: bool = False
    calls: list[Call] = field(default_factory=list)
    values: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    errors: list[Exception] = field(default_factory=list)
    pushed: int = 0

    def run(
        self, body: bytes, name: str, options: Options, function: Callable[..., Any] | None
    ) -> Handle[Any]:
        """Run a task as a worker would, from the bytes of its job to those of its reply."""
        self.pushed += 1
        codec = options.find_codec()
        envelope = Envelope.decode(body, codec)
        handle: Handle[Any] = Handle(name, self.pushed, envelope.reply, _nowhere, codec)
        function = self.handlers.get(name, function)
        call = (name, envelope.args, envelope.kwargs, options)
        if function is None:
            self.calls.append(Call(*call, ran=False))
            return handle
        index = len(self.calls)  # Before those that it pushes itself.
        self.calls.append(Call(*call, ran=True))
        done = perform(body, {name: function}, job_id=handle.id, codec=codec)
        self.calls[index] = Call(*call, ran=True, error=done.error)
        if done.reply is not None:
            handle.settle(outcomes.decode(done.reply, codec))
        else:
            handle.settle(outcomes.Outcome("done" if done.error is None else "dead"))
        self._note(done.error)
        return handle

    def take(self, queue: str, value: Any, codec: Codec) -> int:
        """Give a value to the handler of its queue, or keep it; return the number of the push."""
        self.pushed += 1
        number = self.pushed
        value = codec.loads(codec.dumps(value))
        handler = self.handlers.get(queue)
        if handler is None:
            self.values[queue].append(value)
            return number
        try:
            handler(value)
        except Exception as error:  # noqa: BLE001 - a worker goes on, too
            self._note(error)
        return number

    def take_all(
        self,
        queue: str,
        values: Iterable[Any] | Callable[[int, int], Iterable[Any]],
        total: int | None,
        codec: Codec,
    ) -> Iterator[list[int]]:
        """Take many values, or those that a function makes of a range."""
        for value in values(0, total or 0) if callable(values) else values:
            yield [self.take(queue, value, codec)]

    def _note(self, error: Exception | None) -> None:
        if error is None:
            return
        self.errors.append(error)
        if self.raises:
            raise error


def _nowhere() -> NoReturn:
    raise TimedOutError("inline mode had nothing to run this task with: see handlers=")


def current() -> Inline | None:
    """Return the inline mode that holds here, if one does."""
    return _CURRENT.get()


@contextmanager
def inline(
    *, handlers: Mapping[str, Callable[..., Any]] | None = None, raises: bool = False
) -> Iterator[Inline]:
    """Let ``.delay``, ``enqueue`` and ``Queue.push`` run at once what they push, without a server.

        with inline() as ran:
            add.delay(1, 2)
        assert ran.calls[0].args == (1, 2)

    Arguments, values and results go through their codecs. A delay is not waited for. ``handlers``
    has a function for each queue that something is pushed to, and for tasks to be replaced or whose
    code is not here; what has none is kept in ``values``, or in ``calls``. What is raised stands in
    ``errors`` and in the handle; with ``raises`` it is raised where it was pushed.

    It holds for this thread, or task, and what it calls; other threads push as ever.
    """
    mode = Inline(handlers or {}, raises)
    token = _CURRENT.set(mode)
    try:
        yield mode
    finally:
        _CURRENT.reset(token)
