"""What ``@task`` makes of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload

from stalkd_client.arguments import check_tube
from stalkd_client.errors import WrongUseError
from stalkd_client.progress import Report, reporting
from stalkd_client.tasks.arguments import NOTHING, Arguments, of_item
from stalkd_client.tasks.handle import Handle
from stalkd_client.tasks.names import label_of
from stalkd_client.tasks.options import CallOptions, Options
from stalkd_client.tasks.pushing import Pusher

if TYPE_CHECKING:
    from stalkd_client.tasks.connections import Connections

P = ParamSpec("P")
R = TypeVar("R")  # What calling the function gives: of an async one, a coroutine.
V = TypeVar("V")  # What the task's result is.


class Task(Generic[P, R, V]):
    """A function that can also be called by a worker: ``f(1)`` runs here, ``f.delay(1)`` there.

    ``name`` is how workers know it, ``queue`` the tube of its jobs, ``function`` the plain
    function; None if its code is not here.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        target: Callable[P, R] | None,
        name: str | None,
        options: Options,
        connections: Connections,
    ) -> None:
        """Be a task. Without a function it has a name; else that is by default the function's.

        Raises ValueError.
        """
        self.function: Callable[..., Any] | None = None
        self._bound = NOTHING
        if target is not None:
            function, bound = _unwrap(target)
            update_wrapper(self, function)  # First, as the function may have any attributes.
            self.function, self._bound = function, bound
        self._target = target
        self._given = name
        refusal = ""
        if not name and self.function is not None:
            name, refusal = label_of(self.function)
        self.name: str = name or ""
        self.queue: str = options.queue or self.name
        if not refusal:
            check_tube(self.queue)
        self._options = options
        self._connections = connections
        self._pusher = Pusher(self.name, options, connections, self.function, refusal)

    def __repr__(self) -> str:
        return f"<Task {self.name}, queue {self.queue}>"

    def __reduce__(self) -> str:
        """Be pickled as the functions of a module are, by name."""
        return str(getattr(self, "__qualname__", self.name))

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        if self._target is None:
            raise WrongUseError(f"the code of {self.name} is not here: only .delay() can run it")
        return self._target(*args, **kwargs)

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[V]:
        """Push a job that calls the function with these arguments.

        Raises BadArgumentsError before anything is sent; ValueError if no worker could find the
        function; what ``Client.put`` raises.
        """
        return self._pusher.push(self._bound.before(args, kwargs))

    @overload
    def push_many(
        self, calls: list[Any], *, progress: Report | bool = False, total: int | None = None
    ) -> list[Handle[V]]: ...

    @overload
    def push_many(
        self, calls: Iterable[Any], *, progress: Report | bool = False, total: int | None = None
    ) -> int | list[Handle[V]]: ...

    def push_many(
        self, calls: Iterable[Any], *, progress: Report | bool = False, total: int | None = None
    ) -> int | list[Handle[V]]:
        """Push any number of jobs, without waiting for each.

        A tuple has the positional arguments of a call, a dict those by keyword, a
        ``functools.partial`` of this task both; anything else is the only argument. Returns handles
        for a list, else their number: a generator may go on for ever, in constant memory.

        ``progress`` is called with the number so far; True draws a bar on standard error, for
        ``total`` calls if that is known.

        Raises BadArgumentsError; PushError at the first job that is refused.
        """
        if self._options.result and not isinstance(calls, list):
            raise ValueError("results are read by handles, which only a list gives: pass a list")
        if total is None and isinstance(calls, Sized):
            total = len(calls)
        with reporting(progress, total) as report:
            handles = self._pusher.push_all(map(self._of_item, calls), report)
            return list(handles) if isinstance(calls, list) else sum(1 for _ in handles)

    def options(self, **options: Unpack[CallOptions]) -> Task[P, R, V]:
        """Return the same task with other options: ``f.options(delay=60).delay(1)``.

        They go before those of ``@task``, also when they are 0 or ""; None stands for the usual
        value. Raises TypeError, ValueError.
        """
        return Task(self._target, self._given, self._options.but(options), self._connections)

    def handle(self, job_id: int, reply: str | None = None) -> Handle[V]:
        """Return the handle of a task that was pushed elsewhere: by ``id`` and ``reply`` of that.

        Of all handles with the same ``reply`` only the first that asks gets the result.
        """
        return self._pusher.handle(job_id, reply)

    def _of_item(self, item: object) -> Arguments:
        return self._bound.before(*of_item(item, self))


def _unwrap(target: Callable[..., Any]) -> tuple[Callable[..., Any], Arguments]:
    """Return the plain function inside partials and tasks, and what they have bound."""
    bound = NOTHING
    while True:
        if isinstance(target, partial):
            bound = Arguments(target.args, target.keywords).before(*bound)
            target = target.func
        elif isinstance(target, Task) and target.function is not None:
            bound = target._bound.before(*bound)  # noqa: SLF001 - of the same class
            target = target.function
        else:
            return target, bound
