"""A child and its slots: started, watched, replaced when it has ended, or by one of new code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from stalkd_client.worker.logs import Log
from stalkd_client.worker.messages import Ready, Refused
from stalkd_client.worker.process import Child
from stalkd_client.worker.slots.common import Common
from stalkd_client.worker.slots.slot import Slot

FIRST_PAUSE_S: Final = 0.1
"""Before a child is replaced that died like the one before, without a job done between."""

LONGEST_PAUSE_S: Final = 10.0
"""The ceiling of these pauses, as each is twice as long as the one before."""

MOST_DOUBLINGS: Final = 10
"""Beyond these the ceiling is reached for sure."""


def pause_after(failures: int) -> float:
    """Return how long to wait after so many deaths in a row; the first is replaced at once."""
    if failures <= 1:
        return 0.0
    return min(FIRST_PAUSE_S * float(1 << min(failures - 2, MOST_DOUBLINGS)), LONGEST_PAUSE_S)


class Crew:
    """One process at a time, with the same slots. All but the slots' threads is the main thread's.

    ``refused`` is why a child could not begin; ``ready`` what the first has told. ``is_wanted``:
    there shall be a child.
    """

    def __init__(self, slots: Sequence[Slot], common: Common, log: Log) -> None:
        self.slots = slots
        self.child: Child | None = None
        self.is_wanted: bool = True
        self.refused: Refused | None = None
        self.ready: Ready | None = None
        self.start_at: float = 0.0
        self.bug: BaseException | None = None
        self._settings = common.settings
        self._setup = common.settings.setup._replace(slots=len(slots))
        self._log = log
        self._stop = common.stop
        self._successor: Child | None = None
        self._returned: SimpleQueue[Child] = SimpleQueue()
        self._is_handed_out = False
        self._out = 0  # Slots that have the child's links.
        self._failures = 0
        self._finished_at: float | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Have a child: the one that was started to follow, or a new one."""
        self.child, self._successor = self._successor or self._new_child(), None
        self._finished_at = None
        self._is_handed_out = False

    def _new_child(self) -> Child | None:
        try:
            child = Child(self._setup, self._settings.max_jobs)
        except OSError as error:  # No memory, no descriptors: that may pass.
            self._failures += 1
            wait = max(FIRST_PAUSE_S, pause_after(self._failures))
            self.start_at = time.monotonic() + wait
            self._log.say("error", "process-not-started", error=error, wait=f"{wait:.1f}")
            return None
        self._log.say("debug", "process-started", pid=child.pid)
        return child

    def reload(self) -> Child | None:
        """Start a child with the code of now, to follow the one at work when it can begin.

        Return it, or None if that cannot be done.
        """
        self._successor = self._new_child()
        return self._successor

    @property
    def children(self) -> list[Child]:
        """The child at work, and the one to follow it, as far as there are."""
        return [each for each in (self.child, self._successor) if each is not None]

    def begin_threads(self, poke: Callable[[], None]) -> None:
        """Start the threads of the slots; ``poke`` lets the main thread look."""
        for slot in self.slots:
            thread = threading.Thread(target=partial(self._run, slot, poke), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self, slot: Slot, poke: Callable[[], None]) -> None:
        def returned(child: Child) -> None:
            self._returned.put(child)
            poke()

        try:
            slot.run(returned)
        except BaseException as error:  # noqa: BLE001 - nothing may hang because of a bug
            self.bug = error
            poke()

    def hear(self) -> None:
        """Read what children say of themselves."""
        for child in self.children:
            news = child.news()
            if isinstance(news, Refused):
                self.refused = news
            elif news is not None:
                self.ready = news
        if self._successor is not None:
            self._follow(self._successor)

    def _follow(self, successor: Child) -> None:
        """Let the child at work end when the next one can begin; drop one that cannot."""
        if successor.poll():
            successor.close()
            for link in successor.links:
                link.close()
            self._successor = None
        elif successor.is_ready and self.child is not None:
            self.child.is_retiring = True
            if not self.child.is_ready:  # It has no jobs, and might never have any.
                self.child.kill("there is newer code")

    def hand_out(self) -> None:
        """Give the links of a child that is ready to the slots."""
        child = self.child
        if child is None or not child.is_ready or self._is_handed_out or self._stop.requested:
            return
        self._is_handed_out, self._out = True, len(self.slots)
        for slot, link in zip(self.slots, child.links, strict=True):
            slot.inbox.put((child, link))

    def look(self, now: float) -> None:
        """See whether the child has ended, has to end, or is to be replaced."""
        child = self.child
        self._collect(now)
        if self._successor is not None and not self.is_wanted:
            self._successor.kill("it is not needed")
        if child is None:
            if self.is_wanted and now >= self.start_at and not self._stop.requested:
                self.start()
            return
        if not self.is_wanted:
            self._dismiss(child)
        if child.poll() and not self._out:
            self._replace(child, now)
        elif self._finished_at is not None and now > self._finished_at + self._settings.grace:
            child.kill("it did not end when it was told to")

    def _dismiss(self, child: Child) -> None:
        """Let a child end that there is no work for, after what it has."""
        if child.is_ready:
            child.is_retiring = True
        else:
            child.kill("it is not needed")

    def _collect(self, now: float) -> None:
        """Know which slots are done with the child."""
        try:
            while True:
                self._returned.get_nowait()
                self._out -= 1
                if not self._out:
                    self._finished_at = now
        except Empty:
            pass

    def _replace(self, child: Child, now: float) -> None:
        self.hear()  # Its last words may be there.
        if not self._is_handed_out:
            for link in child.links:
                link.close()
        if child.is_retiring or child.jobs_done > 1:
            self._failures = 0
        if child.is_retiring:
            self._log.say("info", "process-recycled", pid=child.pid, jobs=child.jobs_done)
        elif self.is_wanted and not self._stop.requested:
            self._failures += 1
            wait = pause_after(self._failures)
            self.start_at = now + wait
            fate = child.fate(0)
            self._log.say("warning", "process-ended", pid=child.pid, cause=fate, wait=f"{wait:.1f}")
        child.close()
        self.child = None

    def recycle(self, now: float) -> None:
        """Let a child end that has done enough, is old, or has grown."""
        child, settings = self.child, self._settings
        if child is None or not child.is_ready or child.is_retiring:
            return
        reasons = {
            "age": settings.max_age is not None and now - child.ready_at >= settings.max_age,
            # One that has done nothing has not grown: the next one would be as large.
            "memory": settings.max_memory is not None
            and child.jobs_done > 0
            and child.memory() >= settings.max_memory,
        }
        reason = next((name for name, is_so in reasons.items() if is_so), None)
        if reason is not None:
            self._log.say("debug", "process-retires", pid=child.pid, reason=reason)
            child.is_retiring = True

    def nudge(self) -> None:
        """Wake slots that wait for jobs, if they shall not, or have no process for them."""
        if self._stop.requested or self._stop.is_quiet or self._is_ending:
            for slot in self.slots:
                slot.source.has_tubes.set()
                slot.source.interrupt()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is going to change by itself."""
        if self.child is None:
            return not self.is_wanted
        is_at_work = self._is_handed_out and not self._is_ending
        return is_at_work and self.is_wanted and self._successor is None

    @property
    def _is_ending(self) -> bool:
        """Whether the child at work gets no more jobs, or has ended."""
        child = self.child
        return child is not None and (child.is_retiring or child.has_ended)

    @property
    def is_busy(self) -> bool:
        """Whether any slot holds jobs."""
        return any(slot.is_busy for slot in self.slots)

    @property
    def is_idle(self) -> bool:
        """Whether all slots are done with the child, or have no server and so no job."""
        return not self._out or all(slot.is_away for slot in self.slots)

    def finish(self) -> None:
        """Tell a child that has no more to do to end, and kill one that has not begun."""
        if self._successor is not None:
            self._successor.kill("the worker stops")
        if self.child is not None and not self.child.is_ready:
            self.child.kill("the worker stops")
        elif self.child is not None and self.is_idle:
            for link in self.child.links:
                link.finish()

    def close(self) -> None:
        """End what is left."""
        for child in self.children:
            if not child.poll():
                child.kill()
                child.fate(0)
                child.poll()
