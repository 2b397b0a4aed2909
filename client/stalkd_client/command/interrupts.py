"""Ctrl-C that lets a step end: what is held is finished or given back first."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Final, Self

NAP_S: Final = 0.05
"""How soon a pause notices Ctrl-C."""


class Stop:
    """The wish to stop, as a context: ``asked`` is true after the first Ctrl-C or TERM.

    The second Ctrl-C raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.asked: bool = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows no other.
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is signal.SIG_IGN:
                    continue  # It runs in the background, or under nohup.
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond a wish to stop."""
        ends = time.monotonic() + seconds
        while not self.asked and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, NAP_S))
