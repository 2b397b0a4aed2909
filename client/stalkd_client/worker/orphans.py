"""As process 1 of a container: seeing off those whose parents have ended."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress


def reap(ours: Collection[int]) -> None:
    """See off all that have ended, but ``ours``; nothing to do for any other process."""
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in ours:
                return
            os.waitpid(found.si_pid, 0)
