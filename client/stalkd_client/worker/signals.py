"""What signals ask of a worker."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = {
    signal.SIGTERM: "stop",
    signal.SIGINT: "stop",
    signal.SIGHUP: "reload",
    signal.SIGUSR1: "quiet",
    signal.SIGUSR2: "resume",
}
"""What is asked for by which signal."""


@contextmanager
def handled(poke: int, ask: Callable[[str], None]) -> Iterator[None]:
    """Call ``ask`` for signals meanwhile; each also writes a byte to the descriptor ``poke``."""

    def signalled(number: int, _frame: object) -> None:
        ask(SIGNALS[signal.Signals(number)])

    signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
    before = {number: signal.signal(number, signalled) for number in SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # It only wakes.
    try:
        yield
    finally:
        for number, act in before.items():
            signal.signal(number, act)
        signal.set_wakeup_fd(-1)
