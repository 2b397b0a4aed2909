"""Where a slot's jobs come from, and where it sends what came of them: a server, or stdin."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from stalkd_client.errors import StalkdError
from stalkd_client.jobs import Job
from stalkd_client.worker.messages import Trouble

Answer = object | StalkdError


class Put(NamedTuple):
    """Something to be stored. ``replaces`` all that is in its tube; ``kind`` is what it is."""

    tube: str
    body: bytes
    delay: float = 0.0
    ttl: float | None = None
    replaces: bool = False
    kind: Literal["output", "record", "message", "reply"] = "output"


class End(NamedTuple):
    """How a lease ends; a job that is released is ready again after ``delay`` seconds."""

    kind: Literal["delete", "bury", "release"]
    job: Job
    delay: float = 0.0


class Supply(Protocol):
    """What a slot needs. All but ``interrupt`` and ``want`` are for the slot's thread alone.

    ``wanted`` are the tubes that jobs come from, and ``has_tubes`` is set when there are any.
    ``can_move`` says whether jobs can go to other tubes.
    """

    can_move: bool
    wanted: frozenset[str]
    has_tubes: threading.Event

    @property
    def address(self) -> str:
        """Where it is."""

    def want(self, tubes: frozenset[str]) -> None:
        """Take jobs from these tubes from now on."""

    def serve(self, names: Sequence[str]) -> None:
        """Take jobs from these tubes, and those that match the patterns among them."""

    def look_again(self) -> bool:
        """Tell whether there are other tubes than were asked last. Raises OSError."""

    def interrupt(self) -> None:
        """End a wait for jobs."""

    def wait(self, most: int, timeout: float | None) -> list[Job]:
        """Wait for jobs; return none after the timeout and when interrupted. Raises OSError."""

    def flaw(self, job: Job) -> Trouble | None:
        """Return why a job that was taken can be given to no handler, if that is so."""

    def settle(self, ends: Sequence[End], most: int) -> tuple[Sequence[Answer], list[Job]]:
        """End leases, and take up to so many jobs without waiting. Raises OSError."""

    def touch(self, jobs: Sequence[Job]) -> Sequence[Answer]:
        """Begin leases anew. Raises OSError."""

    def spent(self, jobs: Sequence[Job]) -> set[int]:
        """Return the ids of those jobs that would die if they were released. Raises OSError."""

    def store(self, puts: Sequence[Put]) -> Sequence[Answer]:
        """Store outputs, replies and records, in this order. Raises OSError."""
