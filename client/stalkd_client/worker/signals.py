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
    """Call ``ask`` for signals meanwhile; each also writes a byte to the descriptor ``poke``.

    Afterwards they are ignored: who asks a worker to stop that is just ending shall not kill it.
    """

    def signalled(number: int, _frame: object) -> None:
        ask(SIGNALS[signal.Signals(number)])

    signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, signalled)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)  # It only wakes.
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, before)
        signal.set_wakeup_fd(-1)
