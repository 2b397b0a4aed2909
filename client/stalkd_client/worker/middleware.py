"""What hooks are given, and what a middleware looks like: the part that users import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "retried", "moved", "buried"]
"""What becomes of a job, by the words of the log."""


@dataclass(slots=True, eq=False)
class JobContext:
    """A job, for the hooks around it: the same object before and after.

    ``task`` is empty where the handler is no task. ``args`` and ``kwargs`` are those of the job,
    without what the handler gets by the names of its parameters; empty if the body cannot be read,
    or names no task. ``attempt`` counts from 1. ``state`` is for the hooks.

    Only after the handler: ``status``, what it has raised or None, and how many seconds it took.
    """

    queue: str
    id: int
    attempt: int
    task: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    status: Status | None = None
    exception: BaseException | None = None
    duration: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)


Hook = Callable[[JobContext], Any]
"""Called before or after each job; what it returns is ignored. It may be async where handlers
are."""


class Middleware:
    """A hook before and one after each job, which do nothing: write either, or both, anew.

    The worker makes one of it in each process, without arguments, before the first job. All threads
    or tasks of the process use it. Any other class with such methods will do. They may be async
    where handlers are.
    """

    def before(self, context: JobContext) -> Any:
        """Be called before the handler."""

    def after(self, context: JobContext) -> Any:
        """Be called after the handler, also if it has failed, and before the job is ended."""
