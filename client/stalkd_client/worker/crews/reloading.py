"""New code, one process at a time: the next is touched when the one before is at work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal

from stalkd_client.worker.crews.crew import Crew
from stalkd_client.worker.logs import Log
from stalkd_client.worker.process import Child

Outcome = Literal["done", "failed"]

MOST_ORDERS: Final = 16
"""Orders whose outcomes are told; who has given one waits for its outcome, and others are few."""


class Reload:
    """Goes through all crews when it is requested. For the main thread only.

    The new process must be ready before the old one ends: where the new code cannot begin, all that
    is at work goes on with the old. ``done`` and ``failed`` count how that ended; ``orders`` has it
    for the latest of those that have a name.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending: deque[Crew] = deque()
        self._current: tuple[Crew, Child] | None = None
        self.is_active: bool = False
        self.done: int = 0
        self.failed: int = 0
        self.orders: dict[str, Outcome] = {}
        self._ordered: list[str] = []

    def request(self, crews: Iterable[Crew], order: str = "") -> None:
        """Begin, or begin again: what has not begun to work by then is of older code.

        An ``order`` may have a name, by which its outcome is told.
        """
        if order:
            self._ordered.append(order)
        self._log.say("info", "reloading")
        self._pending = deque(crews)
        self.is_active = True
        if self._current is not None:
            _, new = self._current
            if not new.is_ready:  # It might never be.
                new.kill("there is newer code")

    def look(self) -> None:
        """Go on, if it is time."""
        if self._current is not None:
            self._see_to(*self._current)
        while self._pending and self._current is None:
            self._begin(self._pending.popleft())
        if self.is_active and self._current is None:
            self.is_active = False
            self.done += 1
            self._note("done")
            self._log.say("info", "reloaded")

    def _begin(self, crew: Crew) -> None:
        """Reload a crew; one without a process will start with the new code by itself."""
        if crew.child is None or not crew.is_wanted:
            return
        new = crew.reload()
        if new is None:
            self._fail()
        else:
            self._current = crew, new

    def _see_to(self, crew: Crew, new: Child) -> None:
        """See whether the new process is at work, or there shall be none any more.

        It may be in its place before it is ready, where the old one has died meanwhile.
        """
        is_at_work = crew.child is new and new.is_ready
        if new in crew.children and not is_at_work:
            return
        self._current = None
        if not new.is_ready and not new.kill_cause:
            self._fail()

    def _fail(self) -> None:
        """Spare the other crews what this one could not do."""
        self._pending.clear()
        self.is_active = False
        self.failed += 1
        self._note("failed")
        self._log.say("error", "reload-failed", hint="the old code goes on, where it runs")

    def _note(self, outcome: Outcome) -> None:
        """Know how all orders ended that there are: one that came meanwhile began anew."""
        every = {**self.orders, **dict.fromkeys(self._ordered, outcome)}
        self.orders = dict(list(every.items())[-MOST_ORDERS:])
        self._ordered.clear()
