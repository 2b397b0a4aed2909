"""The directory of the log: made, locked, and what the system refuses there in words."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import JournalError
from stalkd.journal.files import make_directory
from stalkd.journal.lock import Lock
from stalkd.server.faults import LogError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE: Final = {
    errno.EACCES: "give this user the right to it, or use another directory",
    errno.ENOSPC: "the disk is full; make some room",
    errno.EDQUOT: "the disk quota is used up; make some room",
    errno.EROFS: "the file system is read-only; use another directory",
    errno.ENOTDIR: "a part of the path is no directory; see -b",
    errno.EIO: "the disk fails; copy the directory to another one, and start there",
}


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what goes wrong with a log into a LogError."""
    try:
        yield
    except JournalError as error:
        raise LogError(str(error)) from error
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "see -b")
        place = error.filename if error.filename not in {None, path} else ""
        where = f"{path} ({place})" if place else path
        raise LogError(f"cannot use the log in {where}: {error.strerror}: {advice}") from error


def hold(path: str) -> Lock:
    """Make a directory if it is missing, and lock it for this process. Raises LogError."""
    with explained(path):
        directory = Path(path)
        make_directory(directory.absolute())
        return Lock(directory)
