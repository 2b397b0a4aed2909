"""A thread that runs only while it is told to, up to its next pause: so its steps can be chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stepper:
    """Runs ``work`` step by step; ``error`` is what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.is_done = False
        self.error: BaseException | None = None
        self._work = work
        self._turn = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it is passed on
            self.error = error
        self.is_done = True
        self._stopped.release()

    def is_inside(self) -> bool:
        """Tell whether it is this thread that asks."""
        return threading.current_thread() is self._thread

    def pause(self) -> None:
        """Called inside: let the others go on until the next step."""
        self._stopped.release()
        self._turn.acquire()

    def step(self) -> None:
        """Let the thread go on to its next pause, or its end."""
        self._turn.release()
        self._stopped.acquire()
        if self.is_done:
            self._thread.join()

    def finish(self) -> None:
        """Let the thread go on to its end."""
        while not self.is_done:
            self.step()
