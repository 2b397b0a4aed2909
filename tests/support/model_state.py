"""What the naive model keeps of tubes, jobs and clients: plain fields. Times are milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND = 1000
FOREVER = 1 << 50
Command = tuple[object, ...]


@dataclass(eq=False)
class ModelTube:
    """``policy`` has only what is not 0; ``next_due`` is when its rate allows the next reserve."""

    name: str
    serial: int
    paused_until: int | None = None
    pause: int = 0
    total: int = 0
    deletes: int = 0
    pauses: int = 0
    policy: dict[str, int | str] = field(default_factory=dict)
    next_due: int = 0
    reopens: int | None = None
    expired: int = 0
    died: int = 0
    rejected: int = 0


@dataclass(eq=False)
class ModelJob:
    """``used_before`` are the reserves that count no more; ``death`` is when, why, and where."""

    id: int
    tube: ModelTube
    pri: int
    delay: int
    ttr: int
    body: bytes
    created: int
    state: str = "new"
    deadline: int = 0
    buried_as: int = 0
    holder: ModelClient | None = None
    reserves: int = 0
    timeouts: int = 0
    releases: int = 0
    buries: int = 0
    kicks: int = 0
    lease: int = 0
    since: int = 0
    has_terms: bool = False
    key: str = ""
    expires: int = FOREVER
    attempts: int = 0
    used_before: int = 0
    dead: str = ""
    death: tuple[int, str, str] | None = None


@dataclass(eq=False)
class ModelClient:
    """``awaits`` is the job whose end it waits for; ``batch`` how many jobs it wants at once."""

    serial: int
    used: ModelTube
    watched: list[ModelTube]
    out: list[bytes] = field(default_factory=list)
    waits_until: int | None = None
    waits_since: int = 0
    pending: list[Command] = field(default_factory=list)
    awaits: int = 0
    batch: int = 0
