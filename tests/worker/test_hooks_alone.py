"""Hooks without processes: their order and names, what is declared, what a job leaves behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest
from stalkd_client import codecs
from stalkd_client.worker import JobContext, Middleware, declaring
from stalkd_client.worker.declaring import Declared, declared_of
from stalkd_client.worker.inside import hooks
from stalkd_client.worker.inside.handlers import BadHandlerError, Handler
from stalkd_client.worker.inside.running import Runner
from stalkd_client.worker.inside.ways import Now, at_once
from stalkd_client.worker.messages import Result, Work
from stalkd_client.worker.retrying import Rules
from stalkd_client.worker.slots import endings

JSON = codecs.find("json", trusted=False)
JOB = Work(7, b"[1]", "t", 1, float("inf"))


def plain(context: JobContext) -> None:
    pass


def fail(context: JobContext) -> None:
    raise LookupError("no tracer")


async def later(context: JobContext) -> None:
    pass


class Both(Middleware):
    def __init__(self, said: list[str] | None = None) -> None:
        self.said = said

    def before(self, context: JobContext) -> None:
        pass

    def after(self, context: JobContext) -> None:
        pass


class Only(Middleware):
    async def after(self, context: JobContext) -> None:
        pass


class Callable_:  # noqa: N801 - a callable object, and not its class
    def __call__(self, context: JobContext) -> None:
        pass


def names(made: tuple[hooks.Named, ...]) -> list[str]:
    return [each.name.removeprefix(f"{__name__}:") for each in made]


def test_middlewares_are_around_the_rest() -> None:
    declared = Declared(before=(plain,), after=(plain, Callable_()), middleware=(Both, Only))
    made = hooks.make(declared, may_await=True)
    assert names(made.before) == ["Both.before", "plain"]
    assert names(made.after) == ["plain", "Callable_", "Only.after", "Both.after"]


def test_what_does_nothing_is_not_called() -> None:
    assert not hooks.make(Declared(middleware=(Middleware,)), may_await=False)
    assert not hooks.make(Declared(), may_await=False)


def test_a_middleware_may_be_made_by_a_function() -> None:
    said: list[str] = []
    made = hooks.make(Declared(middleware=(partial(Both, said),)), may_await=False)
    assert made.before[0].call.__self__.said is said  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "declared",
    [Declared(before=(later,)), Declared(after=(partial(later),)), Declared(middleware=(Only,))],
)
def test_async_hooks_need_an_async_handler(declared: Declared) -> None:
    assert hooks.make(declared, may_await=True)
    with pytest.raises(BadHandlerError, match="is async, but the handler is not"):
        hooks.make(declared, may_await=False)


@pytest.mark.parametrize("options", [{"before": 5}, {"after": [plain, 5]}, {"middleware": Both()}])
def test_what_is_no_hook_is_refused_where_it_stands(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        declaring.handler(**options)


def test_one_hook_may_be_declared_without_a_list() -> None:
    declared = declared_of(declaring.handler(before=plain, middleware=Both)(lambda message: None))
    assert (declared.before, declared.after, declared.middleware) == ((plain,), (), (Both,))


def test_the_log_and_the_hooks_say_the_same_of_a_job() -> None:
    assert hooks.STATUS.items() <= endings.STATUS.items()


def run(function: Any, made: hooks.Hooks) -> list[Result]:
    """Run a job; return its result, behind what was told before."""
    told: list[Result] = []
    runner = Runner(Handler(function), JSON, Rules(), hooks=made)
    return [*told, at_once(runner.perform(JOB, told.append, Now(nullcontext))), *told]


def test_a_failure_is_told_as_that_of_the_hook() -> None:
    ended, told = run(lambda message: None, hooks.Hooks((hooks.Named("m:fail", fail),)))
    assert (ended.kind, told.kind, told.id, told.task) == ("ack", "hook", 7, "m:fail")
    assert told.trouble is not None
    assert (told.trouble.type, told.trouble.message) == ("LookupError", "no tracer")
    assert told.trouble.traceback.count("File") == 1


def test_a_job_that_is_too_late_has_no_hooks() -> None:
    made = hooks.Hooks((hooks.Named("fail", fail),), (hooks.Named("fail", fail),))
    runner = Runner(Handler(plain), JSON, Rules(), hooks=made)
    told: list[Result] = []
    late = at_once(runner.perform(JOB._replace(starts_before=0.0), told.append, Now(nullcontext)))
    assert (late.kind, told) == ("late", [])


@contextmanager
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Seen(Exception):
    pass


@pytest.mark.parametrize("body", [b"[1]", b"{no json"])
def test_a_job_that_failed_leaves_nothing_behind(body: bytes) -> None:
    """The exception knows all frames: none of them may know the exception."""
    seen: list[weakref.ref[Any]] = []

    def look(context: JobContext) -> None:
        seen.append(weakref.ref(context.exception))

    def handle(message: object) -> None:
        raise Seen

    made = hooks.Hooks((), (hooks.Named("look", look),))
    runner = Runner(Handler(handle), JSON, Rules(), hooks=made)
    with no_collector():
        result = at_once(runner.perform(JOB._replace(body=body), print, Now(nullcontext)))
        assert result.kind == "bury"
        assert [each() for each in seen] == [None]
