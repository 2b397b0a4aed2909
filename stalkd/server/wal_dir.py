"""The directory of the log: made, locked, and what the system refuses there in words."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import DamagedError, JournalError
from stalkd.journal.files import make_directory
from stalkd.journal.lock import Lock
from stalkd.journal.segment import segment_number
from stalkd.server.faults import LogError

if TYPE_CHECKING:
    from collections.abc import Iterator

GIVE_RIGHT: Final = "give this user the right to it, or use another directory"

ADVICE: Final = {
    errno.EACCES: GIVE_RIGHT,
    errno.EPERM: GIVE_RIGHT,
    errno.ENOSPC: "the disk is full; make some room",
    errno.EDQUOT: "the disk quota is used up; make some room",
    errno.EROFS: "the file system is read-only; use another directory",
    errno.ENOTDIR: "a part of the path is no directory; give the path of one",
    errno.ENOENT: "no directory can be made there; give another path",
    errno.EISDIR: "a directory has the name of a file of the log; move it away",
    errno.EBUSY: "something else is mounted there; give a directory below it",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "its symbolic links lead in a circle; mend them, or give another path",
    errno.EIO: "the disk fails; copy what it still gives to another one with --salvage",
}

OTHERWISE: Final = "mend that, or use another directory"


class DamagedLogError(LogError):
    """What was certainly written is not in the log any more."""


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what goes wrong with a log into a LogError."""
    try:
        yield
    except DamagedError as error:
        raise DamagedLogError(str(error)) from error
    except JournalError as error:
        raise LogError(str(error)) from error
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, OTHERWISE)
        place = error.filename if error.filename not in {None, path} else ""
        where = f"{path} ({place})" if place else path
        raise LogError(f"cannot use the log in {where}: {error.strerror}: {advice}") from error


def has_log(path: str) -> bool:
    """Tell whether there is a file of a log. Raises OSError."""
    return any(segment_number(each.name) for each in Path(path).iterdir())


def hold(path: str) -> Lock:
    """Make a directory if it is missing, and lock it for this process. Raises LogError."""
    with explained(path):
        directory = Path(path)
        make_directory(directory.absolute())
        return Lock(directory)
