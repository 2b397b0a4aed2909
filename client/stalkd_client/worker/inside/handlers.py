"""From what the command line names to something that can be called with a job's body."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from stalkd_client.tasks.arguments import signature_of
from stalkd_client.tasks.function import Task
from stalkd_client.tasks.loading import load
from stalkd_client.worker.declaring import Declared, declared_of
from stalkd_client.worker.inside import guesses
from stalkd_client.worker.inside.files import load_module
from stalkd_client.worker.naming import split
from stalkd_client.worker.task import CurrentJob

GIVEN: Final = ("cur_retry", "max_retries", "job")
"""Parameters that a handler may declare, and gets by name."""


class BadHandlerError(Exception):
    """What was named is nothing that could handle jobs."""


@dataclass(slots=True)
class Handler:
    """What runs jobs. ``tasks`` if bodies name what to call, else ``function`` is called.

    ``begin`` and ``end`` are called once in each process. ``declared`` is what ``@handler`` says.
    """

    function: Callable[..., Any] | None = None
    tasks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    queues: tuple[str, ...] = ()
    begin: Callable[[], Any] | None = None
    end: Callable[[], Any] | None = None
    declared: Declared = field(default_factory=Declared)

    @property
    def is_async(self) -> bool:
        """Whether it belongs into an event loop: all that it may call is async."""
        called = [self.function] if self.function else list(self.tasks.values())
        return bool(called) and all(map(is_async, called))


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling it gives a coroutine; an object may have an async ``__call__``."""
    called = getattr(function, "__call__", None)  # noqa: B004 - it is not asked whether
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def find(spec: str) -> Handler:
    """Import ``module``, ``module:*`` or ``module:path``; a module may be ``path/to/file.py``.

    Raises BadHandlerError, and whatever the import raises.
    """
    where, path = split(spec)
    try:
        module = load_module(where)
    except ModuleNotFoundError as error:
        if path or error.name != where or not (meant := guesses.misplaced(error, sys.modules)):
            raise
        raise BadHandlerError(f"there is no module {where}{meant}") from None
    name = module.__name__
    if path in {"", "*"}:
        return _of_tasks(name, module)
    found = walk(where, path)
    if isinstance(found, Task):
        return Handler(tasks=load(f"{name}:{path}"), queues=(found.queue,))
    return _of_object(spec, found)


def walk(module: str, path: str) -> Any:
    """Import a module, and return what it has under a dotted path. Raises as ``find``."""
    found: Any = load_module(module)
    name = found.__name__
    for part in path.split("."):
        if not hasattr(found, part):
            known = [each for each in dir(found) if not each.startswith("_")]
            raise BadHandlerError(f"{name} has no {path}{guesses.hint(part, known)}")
        found = getattr(found, part)
    return found


def _of_tasks(name: str, module: ModuleType) -> Handler:
    found = [each for each in vars(module).values() if isinstance(each, Task) and each.function]
    if not found:
        example = guesses.member_of(module, name, "handle")
        raise BadHandlerError(f"{name} has no tasks: name a function of it, as in {example}")
    queues = tuple(dict.fromkeys(each.queue for each in found))
    return Handler(tasks=load(name), queues=queues)


def _of_object(spec: str, found: Any) -> Handler:
    """A function; or what has a method ``message_handler``, or a class of such."""
    declared = declared_of(found)
    if inspect.isclass(found) and hasattr(found, "message_handler"):
        found = found()
    if hasattr(found, "message_handler"):
        _check_takes_message(f"{spec}.message_handler", found.message_handler)
        begin, end = (getattr(found, each, None) for each in ("pre_handling", "post_handling"))
        return Handler(found.message_handler, {}, declared.queue, begin, end, declared)
    if not callable(found):
        raise BadHandlerError(f"{spec} is a {type(found).__name__}, which cannot be called")
    _check_takes_message(spec, found)
    return Handler(found, queues=declared.queue, declared=declared)


def _check_takes_message(name: str, function: Callable[..., Any]) -> None:
    """Raise BadHandlerError for what each job would fail with: better now than then."""
    signature = signature_of(function)
    if signature is None:
        return
    given = dict.fromkeys(each for each in _declared(function)[1:] if each in GIVEN)
    try:
        signature.bind(None, **given)
    except TypeError as error:
        hint = "; give the class a message_handler(message)" if inspect.isclass(function) else ""
        raise BadHandlerError(
            f"{name}{signature} cannot be called with one message: {error}{hint}"
        ) from None


def find_error(name: str) -> type[BaseException]:
    """Return the class of an exception: a built-in one, or by its dotted path."""
    module, _, last = name.rpartition(".")
    try:
        place = import_module(module) if module else builtins
    except ImportError as error:
        raise BadHandlerError(f"there is no exception {name}: {error}") from error
    found = getattr(place, last, None)
    if found is None:
        known = [each for each, value in vars(place).items() if _is_error(value)]
        before = f"{module}." if module else ""
        raise BadHandlerError(f"there is no exception {name}{guesses.hint(last, known, before)}")
    if not _is_error(found):
        raise BadHandlerError(f"{name} is no exception")
    return found  # type: ignore[no-any-return]  # it is a class, as was just seen


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseException)


class Extras:
    """What functions get beside their message, by the names of their parameters.

    ``own`` is how many parameters at the beginning are the message: one of these may well be called
    ``job``.
    """

    def __init__(self, max_retries: int, own: int) -> None:
        self._max_retries = max_retries
        self._own = own
        self._wanted: dict[Callable[..., Any], tuple[str, ...]] = {}

    def of(self, function: Callable[..., Any], job: CurrentJob) -> dict[str, Any]:
        """Return what a function has declared."""
        wanted = self._wanted.get(function)
        if wanted is None:
            declared = _declared(function)[self._own :]
            wanted = self._wanted[function] = tuple(each for each in declared if each in GIVEN)
        if not wanted:
            return {}
        known = {"cur_retry": job.attempt - 1, "max_retries": self._max_retries, "job": job}
        return {name: known[name] for name in wanted}


def _declared(function: Callable[..., Any]) -> tuple[str, ...]:
    signature = signature_of(function)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = signature.parameters.values() if signature else ()
    return tuple(each.name for each in parameters if each.kind in kinds)
