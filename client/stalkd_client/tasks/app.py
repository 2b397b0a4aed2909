"""Tasks of one server, and where ``task`` and ``enqueue`` come from."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from stalkd_client.tasks.connections import Connections
from stalkd_client.tasks.function import Task
from stalkd_client.tasks.handle import Handle
from stalkd_client.tasks.options import CallOptions, Options

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


class Decorator(Protocol):
    """What ``@task(...)`` puts around a function."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, V]], /
    ) -> Task[P, Coroutine[Any, Any, V], V]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R, R]: ...


class Tasks:
    """Tasks with common options, and their connections: one for each thread and server.

        tasks = Tasks(url="unix:/run/stalkd.sock", result=True)

        @tasks.task(queue="sums")
        def add(a: int, b: int) -> int:
            return a + b

    ``from stalkd_client import task, enqueue`` are those of a ``Tasks()``. Nothing is connected
    before the first job is pushed; connections are made anew after a fork, and are closed at the
    end of their thread and of the program.
    """

    def __init__(self, *, retry_for: float = 0.0, **options: Unpack[CallOptions]) -> None:
        """Have these options for all tasks; ``retry_for`` is that of ``Client``.

        Raises TypeError, ValueError.
        """
        self._options = Options().but(options)
        self._connections = Connections(retry_for)

    @overload
    def task(
        self, function: Callable[P, Coroutine[Any, Any, V]], /
    ) -> Task[P, Coroutine[Any, Any, V], V]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R, R]: ...

    @overload
    def task(self, /, *, name: str | None = None, **options: Unpack[CallOptions]) -> Decorator: ...

    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """Give a function ``.delay()``, ``.push_many()`` and ``.options()``: for ``@task``.

        ``name`` is how workers know it, by default its dotted path; that is also the name of the
        ``queue``. The other options are those of ``Options``. Raises TypeError, ValueError.
        """
        if function is not None:
            return self._make(function, name, options)
        return lambda function: self._make(function, name, options)

    def remote_task(self, name: str, **options: Unpack[CallOptions]) -> Task[..., Any, Any]:
        """Return a task whose code is not here. Raises TypeError, ValueError."""
        if not name:
            raise ValueError("a task whose code is not here needs a name")
        return self._make(None, name, options)

    @overload
    def enqueue(self, function: str, /, *args: Any, **kwargs: Any) -> Handle[Any]: ...

    @overload
    def enqueue(
        self, function: Callable[P, Coroutine[Any, Any, V]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[V]: ...

    @overload
    def enqueue(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...

    def enqueue(
        self, function: str | Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Handle[Any]:
        """Push a call of a function, a task, a ``functools.partial``, or of what a name means.

        A function needs no ``@task`` for this, if workers may run it. Raises as ``Task.delay``.
        """
        if isinstance(function, str):
            return self.remote_task(function).delay(*args, **kwargs)
        if isinstance(function, partial) and isinstance(function.func, Task):
            kwargs = {**function.keywords, **kwargs}
            return function.func.delay(*function.args, *args, **kwargs)
        if isinstance(function, Task):
            return function.delay(*args, **kwargs)
        return self._make(function, None, {}).delay(*args, **kwargs)

    def _make(
        self, function: Callable[..., Any] | None, name: str | None, options: CallOptions
    ) -> Task[..., Any, Any]:
        return Task(function, name, self._options.but(options), self._connections)

    def close(self) -> None:
        """Hang up in this thread; the next push connects again."""
        self._connections.close()


DEFAULT = Tasks()
"""What ``stalkd_client.task``, ``enqueue`` and ``remote_task`` belong to. The server is the one in
STALKD_URL at the moment of each push."""
