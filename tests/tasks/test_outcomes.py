"""Replies: how a call ended, for whoever waits."""

from __future__ import annotations

import json

import pytest
from stalkd_client.tasks import outcomes
from stalkd_client.tasks.outcomes import Outcome


def boom() -> None:
    raise KeyError("k")


def failure() -> Outcome:
    try:
        boom()
    except KeyError as error:
        return outcomes.failed(error)
    raise AssertionError


def test_a_value_comes_back() -> None:
    body = outcomes.encode(7, "t", Outcome("done", {"a": [1]}))
    assert json.loads(body) == {"id": 7, "status": "done", "value": {"a": [1]}}
    assert outcomes.decode(body) == Outcome("done", {"a": [1]})


def test_a_failure_tells_what_was_raised_and_where() -> None:
    told = outcomes.decode(outcomes.encode(7, "t", failure()))
    assert (told.status, told.type, told.message) == ("failed", "KeyError", "'k'")
    assert "in boom" in told.traceback


def test_a_value_that_cannot_be_written_is_a_failure() -> None:
    told = outcomes.decode(outcomes.encode(7, "t", Outcome("done", object())))
    assert told.status == "failed"
    assert told.type == "stalkd_client.tasks.errors.BadResultError"
    assert "what t returned, of type object, cannot be written as json" in told.message


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "error",
    [ValueError("\0" * 100_000), ValueError("\U0001f600" * 100_000), ValueError("\udcff"), Odd()],
    ids=range(4),
)
def test_any_exception_fits_into_a_job(error: Exception) -> None:
    """With the limit that servers have by default."""
    assert len(outcomes.encode(7, "t", outcomes.failed(error))) < 65_536


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"x", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"status": "odd"}', "unknown status"),
        (b'{"status": ["odd"]}', "cannot be read"),
    ],
    ids=range(4),
)
def test_what_is_no_reply_is_a_failure(body: bytes, words: str) -> None:
    told = outcomes.decode(body)
    assert told.status == "failed"
    assert words in told.message


def test_a_worker_in_another_language_may_tell_less() -> None:
    assert outcomes.decode(b'{"status": "failed"}') == Outcome("failed")
    assert outcomes.decode(b'{"status": "dead", "error": "no"}') == Outcome("dead", message="no")
    assert outcomes.decode(b'{"status": "done"}') == Outcome("done")
