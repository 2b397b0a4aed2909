"""What the operator is told of the log."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER
from stalkd.journal.limits import NEWS_NS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL: Final = ("log_full", "puts are refused until there is room, all else goes on; make some")
ROOM: Final = ("log_has_room", "puts are taken again")
STALLED: Final = "nothing is lost, and nothing is answered until there is some room; make some"
CHECK_DISK: Final = "going on in a new segment; check the disk"
CHECK_LIMIT: Final = "going on in a new segment; raise the limit of a file's size, or lower -s"

STATES: Final = frozenset({FULL[0], ROOM[0]})
"""Events that tell a state: none may be left out, or the last one would be untrue."""


class Fullness:
    """Tells whether puts are refused for want of space: when that changes, but not too often.

    ``due`` is when a change that came too soon after the last is to be told, or NEVER.
    """

    def __init__(self, path: Path, tell: Callable[..., None]) -> None:
        """Begin with room; ``path`` is the directory of the log."""
        self._path = path
        self._tell = tell
        self._told = False
        self._quiet_until = -NEVER
        self.due = NEVER

    def look(self, now: int, *, is_full: bool) -> None:
        """Take in how it is, and tell it if that is new."""
        self.due = NEVER
        if is_full == self._told:
            return
        if now < self._quiet_until:
            self.due = self._quiet_until
            return
        self._told = is_full
        self._quiet_until = now + NEWS_NS
        name, hint = FULL if is_full else ROOM
        self._tell(name, directory=self._path, hint=hint)


def reason(error: OSError) -> str:
    """Say what went wrong, and by which limit if it was one."""
    text = error.strerror or str(error)
    return f"{text} (ulimit -f)" if error.errno == errno.EFBIG else text


def hint(error: OSError) -> str:
    """Say what to do when a segment has failed."""
    return CHECK_LIMIT if error.errno == errno.EFBIG else CHECK_DISK
