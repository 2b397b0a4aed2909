"""What a worker is told to do: a plan of stages, each with a handler of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from stalkd_client.arguments import check_tube
from stalkd_client.owntubes import is_own
from stalkd_client.worker.messages import Setup

WILD: Final = frozenset("*?[")
"""What makes a name a pattern; no tube's name has any of it."""

MOST_PROCESSES: Final = 1024
"""Of one stage: more is a slip of the finger, and would take the machine down."""

STDIN: Final = "stdin"
"""With ``--once``: what the queue is called, in the log and in records."""

STDOUT: Final = "stdout"
"""... and the output."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue, or a pattern of queues; ``slots`` that serve it alone, None: those for all."""

    name: str
    slots: int | None = None

    @classmethod
    def parse(cls, text: str) -> QueueSpec:
        """Read ``name`` or ``name=slots``. Raises ValueError."""
        name, given, number = text.partition("=")
        if not WILD & set(name):
            check_tube(name)
        if not given:
            return cls(name)
        if not (number.isascii() and number.isdigit() and int(number)):
            raise ValueError(f"{text!r}: {number!r} is no number of slots")
        return cls(name, int(number))


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for all queues that match it."""
    return bool(WILD & set(name))


def expand(names: Sequence[str], existing: Sequence[str]) -> frozenset[str]:
    """Return the queues that are meant, of those that exist; names that are no patterns always.

    No pattern means records of failures, replies, or what workers tell of themselves.
    """
    plain = {name for name in names if not is_pattern(name)}
    patterns = [name for name in names if is_pattern(name)]
    return frozenset(
        plain
        | {
            name
            for name in existing
            if any(fnmatchcase(name, each) for each in patterns) and not is_own(name)
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for one stage.

    ``setup`` is what children must know. ``attempts`` is how often a job may end with the death of
    its process. ``least`` of the ``processes`` always run, the others as the work demands; None:
    all of them always. ``burst``: no job is waited for. ``where`` it was written, if it is a stage
    of a pipeline. Times are in seconds.
    """

    setup: Setup
    url: str | None = None
    queues: tuple[QueueSpec, ...] = ()
    processes: int = 1
    least: int | None = None
    concurrency: int = 1
    prefetch: int = 100
    attempts: int = 3
    grace: float = 30.0
    max_jobs: int | None = None
    max_age: float | None = None
    max_memory: int | None = None
    burst: bool = False
    where: str = ""

    def groups(self) -> list[tuple[str, ...]]:
        """Return the names of queues for each slot of a process; none: those of the tasks."""
        shared = tuple(spec.name for spec in self.queues if spec.slots is None)
        own: list[tuple[str, ...]] = [
            (spec.name,) for spec in self.queues for _ in range(spec.slots or 0)
        ]
        return [shared] * self.concurrency + own if shared or not own else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What holds for all stages together: when to stop, and how to tell of failures.

    ``name`` is that of the worker, None: one is made; ``report``: the server is told how it is.
    """

    stages: tuple[Settings, ...]
    idle_exit: float | None = None
    stop_after: int | None = None
    fail_on_error: bool = False
    name: str | None = None
    report: bool = True
    stop_at_eof: bool = False

    @property
    def burst(self) -> bool:
        """Whether to stop when nothing is ready any more."""
        return any(stage.burst for stage in self.stages)

    @property
    def grace(self) -> float:
        """How many seconds jobs may take to finish when all stops."""
        return max(stage.grace for stage in self.stages)
