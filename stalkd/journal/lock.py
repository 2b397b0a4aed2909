"""One daemon for one log: a lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME: Final = "lock"
"""The locked file; it holds the process id of its holder."""

_LONGEST_PID: Final = 32


class Lock:
    """Holds a directory until it is closed, or the process ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises JournalError if somebody has it, OSError if it cannot be had."""
        self._fd = os.open(path / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._fd, _LONGEST_PID).decode(errors="replace").strip()
            os.close(self._fd)
            raise JournalError(
                f"{path} is in use by process {holder or 'unknown'}; stop that one first, or use"
                " another directory"
            ) from error
        except BaseException:
            os.close(self._fd)
            raise
        self._sign()

    def _sign(self) -> None:
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # On a full disk it is locked all the same, only without a name.

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)
