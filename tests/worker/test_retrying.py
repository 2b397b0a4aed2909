"""What becomes of a job whose handler has raised: every combination, told a second time."""

from __future__ import annotations

import pickle
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stalkd_client.worker import CommandError, Retry, SoftTimeLimitError
from stalkd_client.worker.retrying import Route, Rules, Verdict, decide, delay_of, nearest


class Base(Exception):
    pass


class Near(Base):
    pass


class Nearest(Near):
    pass


class Other(Exception):
    pass


def raised_from(cause: BaseException | None, **options: float | None) -> Retry:
    retry = Retry(**options)  # type: ignore[arg-type]
    retry.__cause__ = cause
    return retry


Routes = dict[type[BaseException], Route]
Case = tuple[BaseException | None, int, tuple[type[BaseException], ...], int, Routes]

ERRORS: list[BaseException | None] = [
    None,
    Base(),
    Nearest(),
    Other(),
    SystemExit(3),
    raised_from(None),
    raised_from(Nearest()),
    raised_from(None, delay=7.0),
    raised_from(None, max_retries=0),
    raised_from(Nearest(), delay=0.0, max_retries=1),
    raised_from(None, delay=7.0, max_retries=5),
]
RETRY_ON: list[tuple[type[BaseException], ...]] = [(), (Base,), (Near, Other), (Retry,)]
ON_ERROR: list[Routes] = [
    {},
    {Base: Route("base", 1.0)},
    {Base: Route("base"), Near: Route("near", 2.0), Exception: Route("any")},
    {Retry: Route("again")},
]
CASES: list[Case] = list(product(ERRORS, [1, 2, 3, 6, 7], RETRY_ON, [0, 1, 2, 5], ON_ERROR))


def expected(error: BaseException | None, attempt: int, rules: Rules) -> Verdict:
    """The rules in another order of words: who may retry, then who is routed, then bury."""
    if error is None:
        return Verdict("ack")
    explicit = isinstance(error, Retry)
    allowed = rules.max_retries
    if isinstance(error, Retry) and error.max_retries is not None:
        allowed = error.max_retries
    wants = explicit or any(isinstance(error, kind) for kind in rules.retry_on)
    if wants and attempt - 1 < allowed:
        given = error.delay if isinstance(error, Retry) else None
        return Verdict("retry", rules.retry_delay if given is None else given)
    cause = error.__cause__ if explicit else None
    for kind in type(cause or error).__mro__:
        for known, route in rules.on_error.items():
            if kind is known:
                return Verdict("move", route.delay, route.queue)
    return Verdict("bury")


def test_every_combination() -> None:
    """Failure 8: max_retries of 0, and one that is lowered, end the retries."""
    for error, attempt, retry_on, most, on_error in CASES:
        rules = Rules(retry_on=retry_on, retry_delay=3.0, max_retries=most, on_error=on_error)
        verdict = decide(error, attempt, rules, 0.5)
        assert verdict == expected(error, attempt, rules), (error, attempt, rules)


def test_an_error_is_never_acknowledged() -> None:
    for error, attempt, retry_on, most, on_error in CASES:
        rules = Rules(retry_on=retry_on, max_retries=most, on_error=on_error)
        assert (decide(error, attempt, rules, 0.0).kind == "ack") == (error is None)


def test_the_nearest_class_decides() -> None:
    routes: Routes = {Exception: Route("any"), Base: Route("base")}
    assert nearest(Nearest, routes) == Route("base")
    assert nearest(Other, routes) == Route("any")
    assert nearest(KeyboardInterrupt, routes) is None


@given(
    retry=st.integers(1, 10**9),
    base=st.floats(0, 1e6),
    ceiling=st.floats(0, 1e6),
    chance=st.floats(0, 1),
)
def test_back_off_has_a_true_ceiling(
    retry: int, base: float, ceiling: float, chance: float
) -> None:
    rules = Rules(retry_delay=base, backoff=True, max_delay=ceiling)
    assert 0 <= delay_of(retry, rules, chance) <= ceiling


def test_back_off_doubles() -> None:
    rules = Rules(retry_delay=1.0, backoff=True, max_delay=10.0)
    assert [delay_of(retry, rules, 1.0) for retry in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert [delay_of(retry, rules, 0.0) for retry in range(1, 4)] == [0.5, 1, 2]


def test_without_back_off_a_delay_is_exact() -> None:
    rules = Rules(retry_delay=5.0, max_delay=1.0)
    assert {delay_of(retry, rules, chance) for retry, chance in product([1, 50], [0, 1])} == {5.0}


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_limit_that_is_lowered_on_the_way_holds(attempt: int) -> None:
    """Failure 8, as it happens: 5 at first, 1 from then on."""
    error = Retry(delay=0, max_retries=5 if attempt == 1 else 1)
    kinds = ["retry", "bury", "bury"]
    assert decide(error, attempt, Rules(), 0.0).kind == kinds[attempt - 1]


def test_public_errors_have_public_names() -> None:
    for kind in (Retry, CommandError, SoftTimeLimitError):
        assert kind.__module__ == "stalkd_client.worker"
        assert pickle.loads(pickle.dumps(kind)) is kind  # noqa: S301 - it is our own
