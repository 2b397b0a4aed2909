"""What supervisor and children tell each other: plain data, no classes of users.

Tuples with names are made of them at both ends, as a class would cost more than all the rest.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Work(NamedTuple):
    """A job for a child. ``starts_before``, by the monotonic clock, is when its lease may end."""

    id: int
    body: bytes
    queue: str
    attempt: int
    starts_before: float


class Trouble(NamedTuple):
    """An error, as text."""

    type: str
    message: str
    traceback: str = ""

    @property
    def line(self) -> str:
        """Type and message; many a type says all."""
        return f"{self.type}: {self.message}" if self.message else self.type


class Reply(NamedTuple):
    """A task's reply: where to, how long it is kept, and its body."""

    tube: str
    ttl: float
    body: bytes


ResultKind = Literal["ack", "retry", "move", "bury", "late", "extend", "hook"]

NO_ENDS: Final[frozenset[ResultKind]] = frozenset({"extend", "hook"})
"""What is said of a job that goes on."""


class Result(NamedTuple):
    """What became of a job in a child.

    ``late``: its lease was over before it could begin. ``extend`` is no end: it may take
    ``delay`` seconds from now. Nor is ``hook``: that has failed, and ``task`` is its name. The
    others are those of a ``Verdict``.
    """

    id: int
    kind: ResultKind
    seconds: float = 0.0
    delay: float = 0.0
    queue: str = ""
    task: str = ""
    outputs: tuple[bytes, ...] = ()
    reply: Reply | None = None
    trouble: Trouble | None = None


class Setup(NamedTuple):
    """What a child must know: these are options of the command, None where it has not been said.

    ``slots`` is how many jobs it works on at a time; ``directory`` is where it searches modules
    before the current directory, if it is not empty.
    """

    handler: str
    command: tuple[str, ...]
    slots: int
    backend: str
    codec: str | None
    trusted: bool
    outputs: tuple[str, ...]
    iter_output: bool | None
    retry_on: tuple[str, ...]
    retry_delay: float | None
    max_retries: int | None
    backoff: bool | None
    max_delay: float | None
    on_error: tuple[tuple[str, str, float], ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    middleware: tuple[str, ...]
    time_limit: float | None
    soft_time_limit: float | None
    directory: str = ""


class Ready(NamedTuple):
    """A child can begin.

    ``queues`` are those that its tasks are put into, or that were declared; ``outputs`` where
    what comes out goes to; ``codec`` the name of what reads bodies.
    """

    queues: tuple[str, ...]
    outputs: tuple[str, ...]
    codec: str


class Refused(NamedTuple):
    """A child cannot begin, and why."""

    reason: str
    traceback: str
