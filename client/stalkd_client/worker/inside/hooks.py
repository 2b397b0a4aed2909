"""In a child: what is called around each job. A hook that fails is told of, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stalkd_client.tasks import outcomes
from stalkd_client.tasks.arguments import signature_of
from stalkd_client.worker.declaring import Declared
from stalkd_client.worker.inside.handlers import BadHandlerError, is_async, walk
from stalkd_client.worker.inside.ways import Way
from stalkd_client.worker.messages import Result, ResultKind, Trouble
from stalkd_client.worker.middleware import Hook, JobContext, Middleware, Status
from stalkd_client.worker.naming import split

STATUS: Final[dict[ResultKind, Status]] = {
    "ack": "done",
    "retry": "retried",
    "move": "moved",
    "bury": "buried",
}
"""How hooks are told what becomes of a job."""

DOES_NOTHING: Final = (Middleware.before, Middleware.after)

Tell = Callable[[Result], None]


class Named(NamedTuple):
    """A hook, and how it is called in the log."""

    name: str
    call: Hook


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is called before and after each job, in this order."""

    before: tuple[Named, ...] = ()
    after: tuple[Named, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.before or self.after)


async def call(hooks: Sequence[Named], context: JobContext, way: Way, tell: Tell) -> None:
    """Call hooks, one after the other; tell which have failed."""
    for hook in hooks:
        try:
            await way.hook(hook.call, context)
        except BaseException as error:  # noqa: BLE001 - no hook can fail a job, nor end the process
            tell(_failed(hook, context, error))


def _failed(hook: Named, context: JobContext, error: BaseException) -> Result:
    told = outcomes.failed(error)
    trouble = Trouble(told.type, told.message, told.traceback)
    return Result(context.id, "hook", task=hook.name, trouble=trouble)


def find_hook(name: str) -> Any:
    """Import ``module:path``. Raises BadHandlerError, and whatever the import raises."""
    found = walk(*split(name))
    if not callable(found):
        raise BadHandlerError(f"{name} is a {type(found).__name__}, which cannot be called")
    return found


def make(declared: Declared, *, may_await: bool) -> Hooks:
    """Make middlewares, and put everything in its order: they are around all else, like contexts.

    Raises BadHandlerError for what is no hook, and for async ones unless these are awaited; and
    whatever making a middleware raises.
    """
    around = [_made(each) for each in declared.middleware]
    hooks = Hooks(
        before=(
            *(hook for pair in around for hook in pair.before),
            *(Named(_name_of(each), each) for each in declared.before),
        ),
        after=(
            *(Named(_name_of(each), each) for each in declared.after),
            *(hook for pair in reversed(around) for hook in pair.after),
        ),
    )
    for hook in (*hooks.before, *hooks.after):
        _check_takes_context(hook)
        if is_async(hook.call) and not may_await:
            raise BadHandlerError(
                f"{hook.name} is async, but the handler is not: hooks of it are plain functions"
            )
    return hooks


def _check_takes_context(hook: Named) -> None:
    """Raise BadHandlerError for what would fail with each job."""
    if inspect.isclass(hook.call):
        raise BadHandlerError(f"{hook.name} is a class, and no function: that is a middleware")
    signature = signature_of(hook.call)
    try:
        if signature is not None:
            signature.bind(None)
    except TypeError as error:
        text = f"{hook.name}{signature} cannot be called with one context: {error}"
        raise BadHandlerError(text) from None


def _made(kind: Callable[[], Any]) -> Hooks:
    """Make a middleware; return its methods, without those that do nothing."""
    name = _name_of(kind)
    if inspect.isfunction(kind) and _needs_arguments(kind):
        raise BadHandlerError(
            f"{name} is no class, but a function: name it as before or after, not as middleware"
        )
    made = kind()
    found = {each: getattr(made, each, None) for each in ("before", "after")}
    if not any(map(callable, found.values())):
        raise BadHandlerError(f"{name} makes no middleware: that has before or after, or both")
    wanted = {
        each: (Named(f"{name}.{each}", method),)
        for each, method in found.items()
        if callable(method) and getattr(method, "__func__", None) not in DOES_NOTHING
    }
    return Hooks(**wanted)


def _needs_arguments(function: Callable[..., Any]) -> bool:
    """Tell whether a function cannot be called without arguments, as a class can."""
    signature = inspect.signature(function)
    try:
        signature.bind()
    except TypeError:
        return True
    return False


def _name_of(hook: Any) -> str:
    """Return what a hook is called on the command line, or something like it."""
    path = getattr(hook, "__qualname__", None) or type(hook).__qualname__
    return f"{getattr(hook, '__module__', None)}:{path}"
