"""What becomes of a job whose handler has raised: a pure function of error, attempt and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from stalkd_client.arguments import MAX_NUMBER

Kind = Literal["ack", "retry", "move", "bury"]

MOST_DOUBLINGS: Final = 32
"""Beyond these any ceiling is reached: a larger power would only cost time, or overflow."""

LEAST_SHARE: Final = 0.5
"""Of a delay that back-off keeps for sure; the rest is left to chance, so that jobs that failed
together do not come back together."""


class Retry(Exception):
    """Raised by a handler to have its job again, after ``delay`` seconds.

    ``max_retries`` is how often at most; None: as the worker was told. When they are used up, the
    error that this one was raised from decides, if there is one. Raises TypeError, ValueError.
    """

    def __init__(
        self, message: str = "", *, delay: float | None = None, max_retries: int | None = None
    ) -> None:
        super().__init__(message)
        # Here, in the handler: what is wrong is its own error.
        self.delay: float | None = None if delay is None else _seconds(delay)
        self.max_retries: int | None = None if max_retries is None else int(max_retries)


def _seconds(delay: float) -> float:
    """Return a delay as a server takes it. Raises TypeError, ValueError."""
    seconds = float(delay)
    if not 0 <= seconds <= MAX_NUMBER:
        raise ValueError(f"a delay of {delay} seconds: not between 0 and {MAX_NUMBER}")
    return seconds


@dataclass(frozen=True, slots=True)
class Route:
    """Where jobs go that failed in a certain way, and after how many seconds they run there."""

    queue: str
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What to do about errors.

    ``retry_on``: which are tried again; ``max_retries`` times, each after ``retry_delay`` seconds,
    with ``backoff`` after twice as many each time, up to ``max_delay``. ``on_error``: where jobs go
    then, by class.
    """

    retry_on: tuple[type[BaseException], ...] = ()
    retry_delay: float = 0.0
    max_retries: int = 3
    backoff: bool = False
    max_delay: float = 3600.0
    on_error: Mapping[type[BaseException], Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a job. ``queue`` is where it is moved to, ``delay`` in seconds."""

    kind: Kind
    delay: float = 0.0
    queue: str = ""


def decide(error: BaseException | None, attempt: int, rules: Rules, chance: float) -> Verdict:
    """Return what to do after the ``attempt``-th attempt, counted from 1.

    ``chance``, from 0 to 1, is the random part of a delay. An error never leads to ``ack``.
    """
    if error is None:
        return Verdict("ack")
    if isinstance(error, Retry):
        most = rules.max_retries if error.max_retries is None else error.max_retries
        if attempt <= most:
            given = error.delay
            return Verdict("retry", delay_of(attempt, rules, chance) if given is None else given)
        error = meant(error)
    elif isinstance(error, rules.retry_on) and attempt <= rules.max_retries:
        return Verdict("retry", delay_of(attempt, rules, chance))
    route = nearest(type(error), rules.on_error)
    return Verdict("bury") if route is None else Verdict("move", route.delay, route.queue)


def meant(error: BaseException) -> BaseException:
    """Return what has failed: of a ``Retry`` the error that it was raised from, if there is one."""
    return (isinstance(error, Retry) and error.__cause__) or error


def delay_of(retry: int, rules: Rules, chance: float) -> float:
    """Return how many seconds the ``retry``-th retry waits, counted from 1."""
    if not rules.backoff:
        return rules.retry_delay
    grown = rules.retry_delay * float(1 << min(retry - 1, MOST_DOUBLINGS))
    return min(grown, rules.max_delay) * (LEAST_SHARE + (1 - LEAST_SHARE) * chance)


def nearest(
    kind: type[BaseException], on_error: Mapping[type[BaseException], Route]
) -> Route | None:
    """Return what is said about a class, or else about the nearest of those it comes from."""
    return next((on_error[each] for each in kind.__mro__ if each in on_error), None)
