"""From a job to its result, as a child does it, without processes."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pytest
from stalkd_client import codecs
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.envelope import Envelope
from stalkd_client.worker.inside.handlers import Handler
from stalkd_client.worker.inside.running import Runner
from stalkd_client.worker.inside.ways import Now, at_once
from stalkd_client.worker.messages import Result, Work
from stalkd_client.worker.retrying import Route, Rules
from stalkd_client.worker.task import CurrentJob

JSON = codecs.find("json", trusted=False)


def work(body: bytes = b"1", attempt: int = 1, lease: float = 60.0) -> Work:
    return Work(7, body, "t", attempt, time.monotonic() + lease)


def run(function: Any, job: Work | None = None, **options: Any) -> Result:
    rules = options.pop("rules", Rules())
    runner = Runner(Handler(function), JSON, rules, **options)
    return at_once(runner.perform(job or work(), lambda _: None, Now(nullcontext)))


def never(message: object) -> None:
    raise AssertionError(f"{message} should not have begun")


def test_a_job_whose_lease_is_over_is_not_begun() -> None:
    """Failure 7."""
    assert run(never, work(lease=0.0)) == Result(7, "late")


def test_what_is_returned_is_written() -> None:
    assert run(lambda message: [message], outputs=True).outputs == (b"[1]",)
    assert run(lambda message: [message]).outputs == ()
    assert run(lambda message: None, outputs=True).outputs == ()
    assert run(lambda message: [message, None], outputs=True, iter_output=True).outputs == (
        b"1",
        b"null",
    )


def test_a_generator_that_fails_has_no_outputs() -> None:
    def elements(message: int) -> Any:
        yield message
        raise OSError("in the middle")

    result = run(elements, outputs=True, iter_output=True)
    assert (result.kind, result.outputs) == ("bury", ())
    assert result.trouble is not None
    assert result.trouble.type == "OSError"


def test_the_message_may_be_called_job() -> None:
    def function(job: int, cur_retry: int) -> list[int]:
        return [job, cur_retry]

    assert run(function, work(attempt=3), outputs=True).outputs == (b"[1,2]",)


def test_a_handler_learns_of_its_limit() -> None:
    seen: list[CurrentJob] = []

    def function(message: int, job: CurrentJob) -> None:
        seen.append(job)
        job.extend(100)

    told: list[Result] = []
    runner = Runner(Handler(function), JSON, Rules(), time_limit=5.0)
    at_once(runner.perform(work(), told.append, Now(nullcontext)))
    assert told == [Result(7, "extend", delay=100)]
    assert 90 < seen[0].time_left <= 100
    run(function)
    assert seen[1].time_left == float("inf")


@pytest.mark.parametrize(("attempt", "kind"), [(1, "retry"), (2, "retry"), (3, "move")])
def test_the_rules_are_asked(attempt: int, kind: str) -> None:
    rules = Rules(retry_on=(AssertionError,), max_retries=2, on_error={Exception: Route("bad", 4)})
    result = run(never, work(attempt=attempt), rules=rules)
    assert result.kind == kind
    assert (result.queue, result.delay) == (("bad", 4) if kind == "move" else ("", 0.0))


def test_a_reply_is_sent_when_there_will_be_no_other_attempt() -> None:
    """Also if no call could be made of the body."""
    rules = Rules(retry_on=(Exception,), max_retries=1)
    runner = Runner(Handler(tasks={"t": never}), JSON, rules)
    for name in ("t", "unknown"):
        body = Envelope(name, (1,), {}, "reply.x").encode()
        first = at_once(runner.perform(work(body), lambda _: None, Now(nullcontext)))
        last = at_once(runner.perform(work(body, attempt=2), lambda _: None, Now(nullcontext)))
        assert (first.kind, first.reply, first.task) == ("retry", None, name)
        assert last.reply is not None
        assert last.reply.tube == "reply.x"
        assert outcomes.decode(last.reply.body).status == "failed"


def test_an_error_without_a_text_is_told() -> None:
    class NastyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def function(message: int) -> None:
        raise NastyError

    result = run(function)
    assert result.kind == "bury"
    assert result.trouble is not None
    assert "NastyError" in result.trouble.type
