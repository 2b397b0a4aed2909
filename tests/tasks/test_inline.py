"""Inline mode: what is pushed runs here and now, and no server is met."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from stalkd_client import (
    Inline,
    Queue,
    TaskFailedError,
    TimedOutError,
    WrongUseError,
    enqueue,
    inline,
    remote_task,
    task,
)


@task(queue="sums", result=True)
def add(a: int, b: int) -> int:
    return a + b


@task(result=True)
def show(value: Any) -> str:
    return repr(value)


@task
def fail() -> None:
    raise ValueError("so")


@task
def chain(left: int) -> None:
    if left:
        chain.delay(left - 1)


@task(result=True)
async def slowly(value: int) -> int:
    return value + 1


def test_a_result_is_there_at_once() -> None:
    with inline() as ran:
        handle = add.delay(1, b=2)
        assert handle.done()
        assert (handle.wait(0), handle.result(), handle.result(0)) == ("done", 3, 3)
    (call,) = ran.calls
    assert (call.task, call.args, call.kwargs, call.ran) == (add.name, (1,), {"b": 2}, True)
    assert (call.options.queue, ran.errors, handle.id) == ("sums", [], 1)


def test_what_json_changes_shows() -> None:
    with inline() as ran:
        assert show.delay((1, {2: None})).result() == "[1, {'2': None}]"
    assert ran.calls[0].args == ([1, {"2": None}],)


def test_what_is_raised_stands_in_the_handle() -> None:
    with inline() as ran:
        handle = fail.options(result=True).delay()
        assert fail.delay().wait() == "dead"
    with pytest.raises(TaskFailedError, match="ValueError: so"):
        handle.result()
    assert [str(error) for error in ran.errors] == ["so", "so"]
    assert ran.calls[0].error is ran.errors[0]


def test_or_is_raised_at_once() -> None:
    with inline(raises=True) as ran, pytest.raises(ValueError, match="so"):
        fail.delay()
    assert len(ran.errors) == 1


def test_a_result_that_nobody_asked_for_is_not_there() -> None:
    with inline():
        handle = chain.delay(0)
        assert handle.wait() == "done"
        with pytest.raises(WrongUseError):
            handle.result()


def test_tasks_may_push_tasks() -> None:
    with inline() as ran:
        chain.delay(2)
    assert [call.args for call in ran.calls] == [(2,), (1,), (0,)]


def test_many() -> None:
    with inline() as ran:
        assert [handle.result() for handle in add.push_many([(1, 2), (3, 4)])] == [3, 7]
        assert chain.push_many(iter([0, 0])) == 2
    assert len(ran.calls) == 4


def test_async_functions_run_too() -> None:
    """Also where a loop runs already."""

    async def main() -> int:
        return slowly.delay(1).result()

    with inline():
        assert trio.run(main) == 2


def test_code_that_is_not_here_is_kept_or_replaced() -> None:
    with inline() as ran:
        handle = enqueue("far.away", 1)
        assert not handle.done()
        with pytest.raises(TimedOutError, match="handlers="):
            handle.wait(0)
    assert (ran.calls[0].task, ran.calls[0].args, ran.calls[0].ran) == ("far.away", (1,), False)
    far = remote_task("far.away", result=True)
    with inline(handlers={"far.away": lambda number: -number, add.name: lambda a, b: a * b}):
        assert far.delay(1).result() == -1
        assert add.delay(3, 4).result() == 12


def test_values_go_to_handlers_or_are_kept() -> None:
    got: list[Any] = []
    with inline(handlers={"mail": got.append}) as ran:
        assert Queue("mail").push((1, 2)) == 1
        assert Queue("mail").push_many([3, 4]) == [2, 3]
        assert Queue("other").push_many(iter([5, 6]), key=str) == 2
        assert Queue("raw", codec="bytes").push(b"x", delay=3600) == 6
        assert Queue("ranges").push_many(range, total=2) == 2
    assert got == [[1, 2], 3, 4]
    assert ran.values == {"other": [5, 6], "raw": [b"x"], "ranges": [0, 1]}


def test_what_a_handler_raises_is_kept_or_raised() -> None:
    def handler(value: object) -> None:
        raise KeyError(value)

    with inline(handlers={"mail": handler}) as ran:
        Queue("mail").push(1)
    assert isinstance(ran.errors[0], KeyError)
    with inline(handlers={"mail": handler}, raises=True), pytest.raises(KeyError):
        Queue("mail").push(1)


def test_wrong_values_and_options_are_refused_as_ever() -> None:
    with inline():
        with pytest.raises(TypeError):
            Queue("mail").push({1})
        with pytest.raises(ValueError, match="priority"):
            Queue("mail").push(1, priority=-1)
        with pytest.raises(TypeError):
            add.delay({1}, 2)  # type: ignore[arg-type]


def test_other_threads_push_as_ever() -> None:
    errors: list[Exception] = []

    def push() -> None:
        try:
            add.delay(1, 2)
        except ConnectionError as error:
            errors.append(error)

    with inline() as ran:
        thread = threading.Thread(target=push)
        thread.start()
        thread.join()
    assert (len(errors), ran.calls) == (1, [])


def test_modes_nest_and_end() -> None:
    with inline() as outer:
        with inline() as inner:
            add.delay(1, 2)
        add.delay(3, 4)
    assert (len(outer.calls), len(inner.calls)) == (1, 1)
    with pytest.raises(ConnectionError):
        add.delay(1, 2)


async def test_the_fixture_in_async_tests(stalkd_inline: Inline) -> None:
    assert slowly.delay(1).result() == 2
    assert len(stalkd_inline.calls) == 1


def test_the_fixture(stalkd_inline: Inline) -> None:
    add.delay(1, 2)
    assert len(stalkd_inline.calls) == 1
