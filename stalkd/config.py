"""What the operator chose, checked and frozen: made by ``cli``, read by ``server``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_PORT: Final = 11300
"""beanstalkd's port, so that clients find this daemon where they look."""

DEFAULT_LISTEN: Final = ("127.0.0.1",)
"""Only this machine: the protocol knows no passwords, so opening it up is the operator's choice."""

DEFAULT_SYNC_MS: Final = 50
"""Longest time between two syncs of the log (-f), in milliseconds."""

LARGEST_SYNC_MS: Final = 2**31 - 1
"""Largest value of -f, 25 days: whoever wants more means -F."""

DEFAULT_SEGMENT_BYTES: Final = 10 * 1024 * 1024
"""Size of one file of the log (-s): beanstalkd's 10 MiB."""

LARGEST_SEGMENT_BYTES: Final = 1 << 30
"""Largest value of -s: what the largest body makes of a file anyway (1 GiB). A start reads each
file as a whole."""

DEFAULT_MAX_JOB_SIZE: Final = 65_535
"""Bytes of a body unless -z says otherwise: beanstalkd's default."""

LARGEST_MAX_JOB_SIZE: Final = 1 << 30
"""Largest value of -z: beanstalkd's, and what one body may take of memory (1 GiB)."""

LONGEST_IDLE_S: Final = 2**31 - 1
"""Largest value of --idle-exit, 68 years: whoever wants more leaves it out."""

SPARE_DESCRIPTORS: Final = 64
"""Descriptors kept back from connections: listeners, log, terminal, the event loop's own."""


@dataclass(frozen=True, slots=True)
class Config:
    """The options of the daemon. Sizes are in bytes; None means no limit or not set."""

    listen: tuple[str, ...] = DEFAULT_LISTEN
    port: int = DEFAULT_PORT
    user: str | None = None
    max_job_size: int = DEFAULT_MAX_JOB_SIZE
    max_memory: int | None = None
    max_connections: int | None = None
    verbosity: int = 0
    sync_ms: int | None = DEFAULT_SYNC_MS
    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    wal_dir: str | None = None
    exit_on_log_error: bool = False
    idle_exit_s: int | None = None
