"""The daemon's own log: one line per event on stderr, ``time level event key=value …``."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

REPEAT_S: Final = 60
"""The same complaint about peers is logged once in this many seconds, with a count of the rest:
a broken client must not fill the disk (beanstalkd wrote 560,000 lines in one second)."""

TRACE: Final = 5
"""Level of what is received and replied."""

LEVELS: Final = (logging.INFO, logging.DEBUG, TRACE)
"""What is shown with -V given 0, 1 and 2 times; DEBUG has every connection."""


class _Format(logging.Formatter):
    """Times in UTC, to the millisecond."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self.converter = time.gmtime


def open_log(stream: TextIO, verbosity: int) -> logging.Logger:
    """Return a log that writes to ``stream``, with as much detail as -V asks for."""
    log = logging.getLogger("stalkd")
    log.setLevel(LEVELS[min(verbosity, len(LEVELS) - 1)])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Format())
    log.addHandler(handler)
    logging.addLevelName(TRACE, "TRACE")
    return log


def event(name: str, **fields: object) -> str:
    """Put an event into words: its name, then its fields, values with spaces quoted."""
    return " ".join([name, *(f"{key}={_value(value)}" for key, value in fields.items())])


def _value(value: object) -> str:
    text = str(value)
    return text if text and not set(text) & set(' "=\n\r\t') else f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace('"', "'").replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


class Complaints:
    """Logs about misbehaving peers, each cause once in REPEAT_S seconds."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """Start with nothing said; ``clock`` gives seconds."""
        self._log = log
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def about(self, cause: str, *, error: Exception | None = None, **fields: object) -> None:
        """Log a cause with its fields, or only count it if it was logged a moment ago.

        With ``error`` it is an error of ours, and its traceback follows.
        """
        now = self._clock()
        if now < self._quiet_until.get(cause, now):
            self._unsaid[cause] = self._unsaid.get(cause, 0) + 1
            return
        self._quiet_until[cause] = now + REPEAT_S
        unsaid = self._unsaid.pop(cause, 0)
        if unsaid:
            fields["unlogged_since_last"] = unsaid
        level = logging.WARNING if error is None else logging.ERROR
        self._log.log(level, event(cause, **fields), exc_info=error)
