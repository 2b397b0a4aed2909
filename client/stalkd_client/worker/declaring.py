"""``@handler(...)``: what the command line can say of a handler, said where the handler is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack

from stalkd_client.arguments import check_numbers, check_tube
from stalkd_client.worker.middleware import Hook
from stalkd_client.worker.retrying import Route, Rules

F = TypeVar("F", bound=Callable[..., Any])

MARK: Final = "__stalkd_handler__"
"""The attribute of a handler that has what was declared."""


class HandlerOptions(TypedDict, total=False):
    """What ``@handler`` takes: a queue or several, classes of exceptions, functions, classes."""

    queue: str | Iterable[str]
    output: str | Iterable[str]
    iter_output: bool
    codec: str
    retry_on: type[BaseException] | Iterable[type[BaseException]]
    retry_delay: float
    max_retries: int
    backoff: bool
    max_delay: float
    on_error: Mapping[type[BaseException], str | Route]
    before: Hook | Iterable[Hook]
    after: Hook | Iterable[Hook]
    middleware: Callable[[], Any] | Iterable[Callable[[], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is said of a handler; None, or nothing, where nothing is said."""

    queue: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    iter_output: bool | None = None
    codec: str | None = None
    retry_on: tuple[type[BaseException], ...] = ()
    retry_delay: float | None = None
    max_retries: int | None = None
    backoff: bool | None = None
    max_delay: float | None = None
    on_error: Mapping[type[BaseException], Route] | None = None
    before: tuple[Hook, ...] = ()
    after: tuple[Hook, ...] = ()
    middleware: tuple[Callable[[], Any], ...] = ()

    def but(self, other: Self) -> Self:
        """Return the same, with what the other says instead."""
        said = {each.name: getattr(other, each.name) for each in fields(other)}
        return replace(self, **{name: value for name, value in said.items() if value or value == 0})

    def rules(self) -> Rules:
        """Return what to do about errors."""
        said = {each.name: getattr(self, each.name, None) for each in fields(Rules)}
        return Rules(**{name: value for name, value in said.items() if value is not None})


def handler(**options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """Say how a function, or a class, is to be run by ``stalk-worker``; it stays what it is.

        @handler(queue="urls", output="pages", retry_on=OSError, on_error={ValueError: "bad"})
        def fetch(url: str) -> str: ...

    The names are those of the options of the command, which win where they are given; ``on_error``
    gives queues, or ``Route(queue, delay)``. ``before`` and ``after`` are functions of a
    ``JobContext``, or several; ``middleware`` classes like ``Middleware``. Raises TypeError,
    ValueError.
    """
    declared = _read(dict(options))

    def declare(function: F) -> F:
        setattr(function, MARK, declared)
        return function

    return declare


def check_trust(codec: str | None, *, trusted: bool) -> None:
    """Raise ValueError for a codec that a worker was not told to trust."""
    if codec == "pickle" and not trusted:
        raise ValueError(
            "codec 'pickle' runs whatever code a body contains: say --trusted, in a pipeline"
            " trusted = true, if everybody who can put into its queues may do that here"
        )


def declared_of(found: object) -> Declared:
    """Return what was declared of a handler, or nothing."""
    declared = getattr(found, MARK, None)
    return declared if isinstance(declared, Declared) else Declared()


def _read(options: dict[str, Any]) -> Declared:
    for name in ("queue", "output"):
        options[name] = _several(options.get(name, ()), str)
    for tube in options["output"]:
        check_tube(tube)
    options["retry_on"] = _several(options.get("retry_on", ()), type)
    routes = options.get("on_error")
    if routes is not None:
        options["on_error"] = {kind: _route(route) for kind, route in routes.items()}
    for name in ("before", "after", "middleware"):
        options[name] = _callables(name, options.get(name, ()))
    for name in ("retry_delay", "max_delay"):
        if options.get(name) is not None:
            check_numbers(**{name: options[name]})
    return Declared(**options)


def _several(given: Any, one: type) -> tuple[Any, ...]:
    return (given,) if isinstance(given, one) else tuple(given)


def _callables(name: str, given: Any) -> tuple[Any, ...]:
    several = (given,) if callable(given) else tuple(given)
    for each in several:
        if not callable(each):
            what = "class" if name == "middleware" else "function"
            raise TypeError(f"{name}: {each!r} is no {what}")
    return several


def _route(given: str | Route) -> Route:
    route = Route(given) if isinstance(given, str) else given
    check_tube(route.queue)
    check_numbers(delay=route.delay)
    return route
