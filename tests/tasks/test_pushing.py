"""From calls to jobs: arguments, options, queues."""

from __future__ import annotations

import copy
import itertools
import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from stalkd_client import (
    BadArgumentsError,
    Client,
    PushError,
    Task,
    Tasks,
    enqueue,
    inline,
    remote_task,
    task,
)

from support.daemon import Daemon


def add(a: int, b: int = 0, *more: int, by: int = 1) -> int:
    """Add numbers."""
    return (a + b + sum(more)) * by


@task
def shout(text: str) -> str:
    return text.upper()


@pytest.fixture
def client(url: str, tube: str) -> Iterator[Client]:
    with Client(url, use=tube, watch=tube) as client:
        yield client


def pushed(client: Client) -> dict[str, Any]:
    job = client.reserve(0)
    client.delete(job)
    return dict(json.loads(job.body))


def test_a_task_is_still_the_function() -> None:
    made = task(add)
    assert made(1, 2, by=3) == 9
    assert (made.__name__, made.__doc__, made.__module__) == ("add", "Add numbers.", __name__)
    assert made.name == made.queue == f"{__name__}.add"
    assert "add" in repr(made)
    assert copy.copy(shout) is shout  # By name, as it is pickled.


def test_a_call_is_a_job_of_json(client: Client, url: str, tube: str) -> None:
    made = task(url=url, queue=tube)(add)
    handle = made.delay(1, 2, by=3)
    assert client.peek_ready().id == handle.id
    assert pushed(client) == {"task": made.name, "args": [1, 2], "kwargs": {"by": 3}}


def test_the_default_queue_is_the_dotted_path(url: str) -> None:
    made = task(url=url)(add)
    made.delay(1)
    with Client(url, watch=made.name) as client:
        assert pushed(client)["task"] == made.name == f"{__name__}.add"


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1,), {"c": 1}, "unexpected keyword argument 'c'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        (({1},), {}, r"argument a, \{1\}, cannot be written as json: "),
        ((1, 2, {1}), {}, r"argument number 3, \{1\}, cannot"),
        ((1,), {"by": {1}}, r"argument by, \{1\}, cannot"),
        (([0] * 50 + [{1}],), {}, r"argument a, \[0, .*\.\.\., cannot"),
    ],
    ids=range(7),
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    """There is no server in this test."""
    with pytest.raises(BadArgumentsError, match=words) as caught:
        task(add).delay(*args, **kwargs)
    assert isinstance(caught.value, TypeError)
    assert "add" in str(caught.value)


def test_a_function_without_a_signature_is_not_checked() -> None:
    with inline() as ran:
        enqueue(dict, [("a", 1)], b=2)
    assert (ran.calls[0].task, ran.errors) == ("builtins.dict", [])


class Odd:
    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_an_argument_with_a_faulty_repr_is_named_all_the_same() -> None:
    with pytest.raises(BadArgumentsError, match="the argument a, a Odd, cannot"):
        enqueue(add, Odd())  # type: ignore[call-overload]
    with pytest.raises(BadArgumentsError, match="the argument number 1, a Odd, cannot"):
        enqueue("far.away", Odd())


@pytest.fixture
def settled() -> Task[..., int, int]:
    return task(
        priority=5, delay=9, ttr=60, ttl=99, attempts=4, dead="d", key="k", sync=True, result=True
    )(add)


def options_of(made: Task[..., Any, Any]) -> dict[str, Any]:
    with inline() as ran:
        made.delay(1)
    return {
        name: getattr(ran.calls[0].options, name) for name in type(ran.calls[0].options).__slots__
    }


def test_options_of_a_call_go_before_those_of_the_task(settled: Task[..., int, int]) -> None:
    before = options_of(settled)
    assert options_of(settled.options(delay=7)) == {**before, "delay": 7}
    assert options_of(settled) == before


def test_falsy_options_count(settled: Task[..., int, int]) -> None:
    got = options_of(
        settled.options(
            priority=0, delay=0, ttr=0, attempts=0, dead="", key="", queue="", sync=False,
            result=False,
        )
    )  # fmt: skip
    assert [got[name] for name in ("priority", "delay", "ttr", "attempts")] == [0, 0, 0, 0]
    assert [got[name] for name in ("dead", "key", "queue")] == [None, None, None]
    assert [got[name] for name in ("sync", "result")] == [False, False]
    assert options_of(settled.options(ttl=None, attempts=None))["ttl"] is None


def test_an_app_has_options_for_all_its_tasks() -> None:
    tasks = Tasks(priority=3, delay=2)
    made = tasks.task(delay=0)(add)
    got = options_of(made)
    assert (got["priority"], got["delay"]) == (3, 0)
    assert options_of(tasks.remote_task("far", priority=1))["priority"] == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"priority": -1}, ValueError),
        ({"delay": 1e12}, ValueError),
        ({"queue": "a b"}, ValueError),
        ({"dead": "a b"}, ValueError),
        ({"codec": "text"}, ValueError),
        ({"codec": "pickle"}, ValueError),
        ({"result_ttl": 0}, ValueError),
        ({"prio": 1}, TypeError),
    ],
    ids=str,
)
def test_wrong_options_are_refused_where_they_are_said(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        task(**options)(add)
    with pytest.raises(error):
        task(add).options(**options)


def test_options_reach_the_server(client: Client, url: str, tube: str) -> None:
    made = task(url=url, queue=tube, priority=7, ttr=33)(add)
    told = client.stats_job(made.options(delay=60, priority=0).delay(1).id)
    assert (told["tube"], told["pri"], told["ttr"], told["state"]) == (tube, 0, 33, "delayed")
    handle = made.options(attempts=2, ttl=60.5, dead="d").delay(2)
    told = client.explain_job(handle.id)[0]
    assert (told["pri"], told["attempts"], told["dead"]) == (7, 2, "d")


def test_a_key_pushes_once(client: Client, url: str, tube: str) -> None:
    made = task(url=url, queue=tube, result=True)(add).options(key="once")
    first, second = made.delay(1), made.delay(1)
    assert first.id == second.id
    assert (first.reply is None, second.reply is None) == (False, True)
    with pytest.raises(ValueError, match="a key is for one job"):
        made.push_many([1, 2])


def test_a_partial_keeps_its_arguments(client: Client, url: str, tube: str) -> None:
    made = Tasks(url=url, queue=tube).task(partial(add, 1, by=2))
    assert made(5) == 12
    made.delay(5)
    assert pushed(client) == {"task": f"{__name__}.add", "args": [1, 5], "kwargs": {"by": 2}}
    with pytest.raises(BadArgumentsError):
        made.delay(nothing=1)


def test_a_partial_of_a_task_has_its_options() -> None:
    made = task(
        add,
    ).options(priority=3, queue="sums")
    with inline() as ran:
        enqueue(partial(made, 1), 2)
        enqueue(partial(made, 1, by=5), by=3)
        task(priority=4)(partial(task(partial(made, 1)), by=2)).delay(7)
    assert [(call.args, call.kwargs) for call in ran.calls] == [
        ((1, 2), {}), ((1,), {"by": 3}), ((1, 7), {"by": 2}),
    ]  # fmt: skip
    assert [call.options.priority for call in ran.calls] == [3, 3, 4]
    assert {call.task for call in ran.calls} == {made.name}


def test_the_functions_own_attributes_are_there_and_do_no_harm() -> None:
    def own() -> int:
        return 1

    vars(own).update(name="x", _bound=None, extra=5)
    made = task(name="n")(own)
    assert (made.name, made(), vars(made)["extra"]) == ("n", 1, 5)
    with inline() as ran:
        made.delay()
    assert ran.errors == []


@pytest.mark.parametrize(
    "function",
    [add, task(add), partial(add, 1), task(add).name],
    ids=["def", "task", "partial", "name"],
)
def test_enqueue_takes_whatever_means_a_function(
    client: Client, url: str, tube: str, function: Any
) -> None:
    tasks = Tasks(url=url, queue=tube)
    if isinstance(function, Task):
        function = function.options(url=url, queue=tube)
    args = [2] if isinstance(function, partial) else [1, 2]
    tasks.enqueue(function, *args, by=3)
    assert pushed(client) == {"task": f"{__name__}.add", "args": [1, 2], "kwargs": {"by": 3}}


def test_what_is_not_here_cannot_run_here(client: Client, url: str, tube: str) -> None:
    far = remote_task("far.away", url=url, queue=tube, priority=1)
    far.delay(1, x=2)
    assert pushed(client) == {"task": "far.away", "args": [1], "kwargs": {"x": 2}}
    with pytest.raises(RuntimeError, match="is not here"):
        far(1)


def test_many_calls(client: Client, url: str, tube: str) -> None:
    made = Tasks(url=url, queue=tube).task(add)
    handles = made.push_many([1, (1, 2), {"a": 1, "by": 2}, partial(made, 1, by=3)])
    calls = [pushed(client) for _ in handles]
    assert [(call["args"], call["kwargs"]) for call in calls] == [
        ([1], {}), ([1, 2], {}), ([], {"a": 1, "by": 2}), ([1], {"by": 3}),
    ]  # fmt: skip
    assert [handle.id for handle in handles] == sorted(handle.id for handle in handles)
    assert made.push_many([]) == []


def test_a_generator_is_counted_and_may_be_long(client: Client, url: str, tube: str) -> None:
    made = Tasks(url=url, queue=tube).task(add)
    told: list[int] = []
    assert made.push_many((number for number in range(25_000)), progress=told.append) == 25_000
    assert told == [10_000, 20_000, 25_000]
    assert client.purge_tube(tube) == 25_000
    with pytest.raises(ValueError, match="pass a list"):
        made.options(result=True).push_many(iter([1]))


def test_a_bar_for_many_calls(
    url: str, tube: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Tasks(url=url, queue=tube).task(add)
    made.push_many([1, 2], progress=True)
    assert capsys.readouterr() == ("", ""), "there is no terminal"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    made.push_many([1, 2], progress=True)
    made.push_many(iter([1, 2, 3]), progress=True, total=3)
    told = capsys.readouterr().err
    assert "2/2" in told
    assert "3/3" in told


def test_large_calls_go_in_smaller_pieces(client: Client, url: str, tube: str) -> None:
    made = Tasks(url=url, queue=tube).task(len)
    told: list[int] = []
    made.push_many((("x" * 60_000,) for _ in range(300)), progress=told.append)
    assert len(told) == 2
    assert client.purge_tube(tube) == 300


def test_a_wrong_call_among_many(client: Client, url: str, tube: str) -> None:
    """All of a piece are checked before the first of it is sent."""
    made = Tasks(url=url, queue=tube).task(add)
    for wrong in ({1: 2}, (), partial(add, 1), {"nothing": 1}):
        with pytest.raises(BadArgumentsError):
            made.push_many([1, wrong])
    with pytest.raises(BadArgumentsError) as caught:
        made.push_many(itertools.chain(range(10_001), [object()]))
    assert caught.value.__notes__ == ["10000 calls had been pushed by then"]
    assert client.purge_tube(tube) == 10_000


def test_many_calls_in_a_full_tube(client: Client, url: str, tube: str) -> None:
    client.set_policy(tube, max_jobs=2)
    with pytest.raises(PushError, match="after 2 calls: OUT_OF_MEMORY") as caught:
        Tasks(url=url, queue=tube).task(add).push_many([1, 2, 3])
    assert caught.value.pushed == 2


def test_a_server_that_is_none(url: str) -> None:
    with pytest.raises(ConnectionError, match="cannot connect to unix:/nowhere") as caught:
        shout.delay("x")
    assert caught.value.__context__ is caught.value.__cause__  # It is told once.
    assert caught.value.__notes__ == ["is the daemon running? start it with `stalkd`"]
    with pytest.raises(ConnectionError, match="cannot connect to stalkd") as caught:
        shout.options(url="stalkd://nowhere.invalid").delay("x")
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ValueError, match="no address"):
        shout.options(url="what").delay("x")


def test_the_environment_names_the_server(
    url: str, server: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STALKD_URL", url)
    assert shout.delay("x").id
