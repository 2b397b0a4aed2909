"""Where workers tell of themselves, and are told what to do: what both sides must know of it."""

from __future__ import annotations

from typing import Final, Literal

REPORTS: Final = "stalkd.workers"
"""The tube of reports: each is held by the worker that it is about, and goes with it."""

NAMES: Final = "stalkd.workers.names"
"""The tube of names in use: jobs whose keys they are, held in the same way."""

CONTROL: Final = "stalkd.worker."
"""What the tube for commands to a worker begins with; then comes its name."""

MOST_NAME: Final = 200 - len(CONTROL)
"""Characters of a worker's name: it is part of a tube's."""

Command = Literal["quiet", "resume", "reload", "stop"]

COMMANDS: Final[tuple[Command, ...]] = ("quiet", "resume", "reload", "stop")
"""What a worker can be told to do."""


def control_of(name: str) -> str:
    """Return the tube for commands to the worker of that name."""
    return CONTROL + name


def is_of_workers(tube: str) -> bool:
    """Tell whether a tube is none for jobs, but one of these."""
    return tube in {REPORTS, NAMES} or tube.startswith(CONTROL)
