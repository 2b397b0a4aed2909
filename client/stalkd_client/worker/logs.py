"""Log lines on stderr: key=value, or JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""By the names of ``--log-level``."""

CLEAR: Final = "\r\x1b[K"
"""To the beginning of the line, and away with what stands there."""

Format = Callable[[str, str, str, dict[str, object]], str]

_PLAIN: Final = re.compile(r'[^\s"=]+')


def key_value(moment: str, level: str, event: str, about: dict[str, object]) -> str:
    """Return a line like those of the daemon."""
    words = "".join(f" {key}={_shown(value)}" for key, value in about.items())
    return f"{moment} {level.upper()} {event}{words}\n"


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def as_json(moment: str, level: str, event: str, about: dict[str, object]) -> str:
    """Return a line that is a JSON object."""
    members = {"time": moment, "level": level, "event": event, **about}
    return json.dumps(members, ensure_ascii=False, default=str) + "\n"


FORMATS: Final[dict[str, Format]] = {"text": key_value, "json": as_json}
"""By the names of ``--log-format``."""


class Log:
    """Writes lines from any thread, as many as there are with one system call."""

    def __init__(self, style: str, level: str, jobs: str) -> None:
        """Write lines of that ``level`` and above, and those of ``jobs`` of that."""
        self._format = FORMATS[style]
        self._least = LEVELS[level]
        self._least_of_jobs = LEVELS[jobs]
        self._lock = threading.Lock()
        self._status = ""

    def shows(self, level: str) -> bool:
        """Tell whether such lines are written."""
        return LEVELS[level] >= self._least

    def shows_job(self, level: str) -> bool:
        """Tell whether such lines about single jobs are written."""
        return LEVELS[level] >= self._least_of_jobs

    def say(self, level: str, event: str, **about: object) -> None:
        """Write a line."""
        if self.shows(level):
            self.write(self.line(level, event, about))

    def line(self, level: str, event: str, about: dict[str, object]) -> str:
        """Return a line of this moment."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._format(moment, level, event, about)

    def write(self, lines: str) -> None:
        """Write lines, above the status; a terminal that has gone away is no reason to stop."""
        with self._lock:  # What is longer than a pipe takes at once must stay together.
            self._write(f"{CLEAR}{lines}{self._status}" if self._status else lines)

    def status(self, text: str) -> None:
        """Show a line at the bottom of the terminal, instead of the one before."""
        with self._lock:
            width = shutil.get_terminal_size().columns - 1
            self._write(CLEAR + text[:width])
            self._status = text[:width]

    def _write(self, text: str) -> None:
        with suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))
