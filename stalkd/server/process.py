"""What the daemon asks of the process it runs in: another user, descriptors."""

from __future__ import annotations

import os
import pwd
import resource
from typing import Final

from stalkd.config import SPARE_DESCRIPTORS

MOST_FILES: Final = 1 << 20
"""Open files to ask for where the system names no limit: the most that Linux allows by default."""


class ProcessError(Exception):
    """The system refuses what the daemon needs; the text says what, and what to do."""


def become(user: str) -> None:
    """Run as another user from now on, with that user's groups. Raises ProcessError."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise ProcessError(f"cannot become {user!r}: no such user; see -u") from error
    try:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except OSError as error:
        raise ProcessError(
            f"cannot become {user!r}: {error.strerror}; only root may use -u"
        ) from error


def connection_limit(wanted: int | None) -> int:
    """Raise the limit of open files as far as allowed; return how many connections that admits.

    ``wanted`` is what --max-connections says, None for as many as possible. Raises ProcessError
    when there is no room for even one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # The system has a lower limit still, as macOS does.
        most = soft
    possible = most - SPARE_DESCRIPTORS
    if possible < 1:
        raise ProcessError(f"the limit of open files is {most}; raise it with ulimit -n")
    return possible if wanted is None else min(wanted, possible)
