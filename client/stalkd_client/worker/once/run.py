"""``--once``: one run over the lines of stdin. What its slots share, and what the worker must know.

Nothing of this is loaded by a worker that serves queues.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import partial
from typing import Final

from stalkd_client.worker.exits import EXIT_IO, EXIT_NO_READER
from stalkd_client.worker.live import Live
from stalkd_client.worker.logs import Log
from stalkd_client.worker.once.bar import Bar
from stalkd_client.worker.once.lines import Input
from stalkd_client.worker.once.linesupply import LineSupply
from stalkd_client.worker.once.written import Written, take_stdout

STDIN: Final = 0

ERRORS_MODE: Final = 0o666
"""Of the file of ``--errors``, as a shell makes files: the umask takes from it."""


class Once:
    """One run."""

    def __init__(self, lines: Input, written: Written, log: Log) -> None:
        self._lines = lines
        self._written = written
        self._log = log

    def supply(self) -> LineSupply:
        """Return what a slot needs."""
        return LineSupply(self._lines, self._written)

    def live(self) -> Live:
        """Return what makes the line for a terminal."""
        return Bar(self._lines)

    def begin(self, codec: str) -> str:
        """Read from now on; return why that cannot be done, or nothing."""
        if codec == "pickle":
            return "lines cannot be pickles: --once needs another codec"
        self._lines.begin(skips_blank=codec == "json")
        return ""

    @property
    def is_done(self) -> bool:
        """Whether all lines have ended."""
        return self._lines.is_done

    @property
    def is_unread(self) -> bool:
        """Whether nobody reads the output any more: then there is nothing to be said, either."""
        return isinstance(self._written.failure, BrokenPipeError)

    def trouble(self) -> int:
        """Return the exit code if nothing can be read or written any more, and say why; else 0."""
        if self._lines.failure is not None:
            self._log.say("error", "input-failed", error=self._lines.failure)
            return EXIT_IO
        failure = self._written.failure
        if failure is None:
            return 0
        if self.is_unread:  # As with `head`: it has what it wants.
            return EXIT_NO_READER
        self._log.say("error", "output-failed", error=failure)
        return EXIT_IO

    def tell_left(self) -> bool:
        """Tell which line is the first that was not done; return whether there is one."""
        first = self._lines.first_left()
        if first is None or self.is_unread:
            return False
        hint = f"tail -n +{first} gives the rest; some lines of that may be done"
        self._log.say("error", "unfinished", line=first, hint=hint)
        return True


def prepare(errors: str | None, log: Log, *, adds_newline: bool, has_bar: bool) -> Once:
    """Have stdin, stdout and a file for records. Raises ValueError for what cannot be used."""
    if sys.stdin is None or sys.stdout is None:
        raise ValueError("--once needs stdin and stdout, and one of them is closed")
    try:
        lines = Input(STDIN)
        file = None if errors is None else _open(errors)
        out = take_stdout()
    except OSError as error:
        raise ValueError(f"--once: {error}") from error
    # On the terminal that outputs go to, a bar gives way, and is soon there again.
    before = partial(log.status, "") if has_bar and os.isatty(out) else None
    return Once(lines, Written(out, file, adds_newline=adds_newline, before=before), log)


def _open(path: str) -> int:
    """Open the file for records, which begins empty. Raises OSError, ValueError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, ERRORS_MODE)
    if stat.S_ISREG(os.fstat(fd).st_mode):  # A pipe or a terminal may well be both, and has no end.
        if os.path.sameopenfile(fd, STDIN):
            raise ValueError(f"--errors {path}: that is the input")
        os.ftruncate(fd, 0)
    return fd
