"""A program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ANSWER_S = 20.0
"""How long a program may take to show what is waited for."""


PRESS_AGAIN_S = 0.2
"""How soon somebody presses Ctrl-C again."""


class Terminal:
    """What a program shows, and a keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self.shown = ""
        self._end = end

    def read_until(self, text: str) -> str:
        """Wait until a text has been shown; return all that has been."""
        ends = time.monotonic() + ANSWER_S
        while text not in self.shown:
            assert time.monotonic() < ends, f"{text!r} never came: {self.shown!r}"
            assert self._read(ends), f"{text!r} did not come: {self.shown!r}"
        return self.shown

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._end, keys.encode())

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        ends = time.monotonic() + ANSWER_S
        while self._read(ends):
            pass
        return self.process.wait(ANSWER_S)

    def interrupt(self) -> int:
        """Press Ctrl-C until the program ends; return its exit code.

        Python does not see the first one if it comes just before it begins to read a line.
        """
        ends = time.monotonic() + ANSWER_S
        while self.process.poll() is None:
            assert time.monotonic() < ends, f"it goes on: {self.shown!r}"
            with suppress(OSError):  # Nobody may be there any more.
                self.type("\x03")
            self._read(time.monotonic() + PRESS_AGAIN_S)
        return self.process.wait()

    def _read(self, ends: float) -> bool:
        if not select.select([self._end], [], [], max(0.0, ends - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # Linux says so when nobody has the other end any more.
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


@contextmanager
def on_terminal(program: Path, *words: str, columns: int = 80) -> Iterator[Terminal]:
    """Run a program on a terminal that is so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(
        [program, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads there
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)
