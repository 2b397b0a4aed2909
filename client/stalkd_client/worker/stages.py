"""Pipelines that Python says: stages, each with a handler and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isclass
from typing import Any

from stalkd_client.tubes import Tube
from stalkd_client.worker.naming import error_name, handler_name
from stalkd_client.worker.nesting import check_is_program
from stalkd_client.worker.retrying import Route


class Stage:
    """One handler, and the options of ``stalk-worker`` for it, with underscores in their names.

        Stage(fetch, queue="urls", output="pages", processes=2, retry_on=OSError,
              on_error={ValueError: "bad", Exception: Route("failed", delay=60)})

    Queues are names or Queues, exceptions are classes or dotted paths. Raises ValueError if a
    worker could not find the handler, or an exception, as with lambdas.
    """

    def __init__(self, handler: Callable[..., Any] | str | None = None, **options: Any) -> None:
        """Take a function, a class, a task, or a name of such; without one there is ``exec``."""
        if handler is None and "exec" not in options:
            raise TypeError("a stage has a handler, or exec=")
        named = {} if handler is None else {"handler": handler_name(handler)}
        self._members: dict[str, Any] = {**named, **_as_written(options)}

    def __repr__(self) -> str:
        return f"<Stage {self._members.get('handler') or self._members['exec']}>"

    def members(self) -> dict[str, Any]:
        """Return handler and options as a TOML file has them."""
        return self._members


class Pipeline:
    """Stages that ``stalk-worker FILE.py`` runs together, and options for all of them.

    Pipeline(Stage(clean, queue="lines", output="cleaned"), Stage(count, queue="cleaned"))
    """

    def __init__(self, *stages: Stage, **options: Any) -> None:
        """Take stages, and options for all of them, or of the whole worker.

        Raises TypeError for what is no stage; ValueError.
        """
        for each in stages:
            if not isinstance(each, Stage):
                raise TypeError(f"{each!r} is no Stage: write Stage({each!r}, queue=...)")
        self._stages = stages
        self._options = _as_written(options)

    def __repr__(self) -> str:
        return f"<Pipeline of {len(self._stages)} stages>"

    def members(self) -> dict[str, Any]:
        """Return all of it as a TOML file has it."""
        return {**self._options, "stage": [each.members() for each in self._stages]}

    def run(self) -> int:
        """Be ``stalk-worker`` with this pipeline until its end; return its exit code.

        A process of its own does it. Signals that this one gets in its main thread are its, too.
        Raises RuntimeError in a module that a worker imports: call it under
        ``if __name__ == "__main__":``.
        """
        check_is_program()
        from stalkd_client.worker.feeding import run  # noqa: PLC0415 - only the program starts one

        return run(self.members())


def _as_written(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a TOML file has them; those that are None are not said."""
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    """Return text, numbers, and lists and mappings of them. Raises TypeError, ValueError."""
    if isinstance(value, Mapping):
        return {_single(key): _single(_route(each)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_single(each) for each in value]
    return _single(value)


def _single(value: Any) -> str | float:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Tube):
        return value.name
    if isinstance(value, Route):
        return f"{value.queue}:{value.delay:g}"
    if isclass(value) and issubclass(value, BaseException):
        return error_name(value)
    if callable(value):
        return handler_name(value)
    raise TypeError(f"{value!r} is no value of an option")


def _route(value: Any) -> Any:
    """Read PiCloud's way to say where jobs with an error go. Raises ValueError."""
    if not isinstance(value, Mapping):
        return value
    unknown = sorted(set(value) - {"queue", "delay"})
    if unknown or "queue" not in value:
        raise ValueError(f"on_error is a queue, a Route, or queue and delay, not {dict(value)}")
    return Route(str(_single(value["queue"])), float(value.get("delay", 0)))
