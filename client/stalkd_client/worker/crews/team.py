"""A stage at work: its processes, and what these have told of themselves."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from stalkd_client.worker.crews.crew import Crew
from stalkd_client.worker.crews.scaling import Range, Scale
from stalkd_client.worker.crews.scout import MEASURE_S, Scout
from stalkd_client.worker.exits import EXIT_BUG, EXIT_CANNOT_START
from stalkd_client.worker.logs import Log
from stalkd_client.worker.messages import Refused
from stalkd_client.worker.settings import Settings, expand
from stalkd_client.worker.slots.common import Common
from stalkd_client.worker.slots.report import Report
from stalkd_client.worker.slots.slot import Slot
from stalkd_client.worker.slots.source import Source
from stalkd_client.worker.slots.supply import Supply

if TYPE_CHECKING:  # Who serves queues need not load it.
    from stalkd_client.worker.once.run import Once


class Team:
    """All processes of one stage. For the main thread only.

    ``has_begun`` when the first of them was ready; ``names`` are its queues, known from then on.
    """

    def __init__(
        self, common: Common, log: Log, numbers: Iterator[int], once: Once | None = None
    ) -> None:
        """Connect and start nothing yet; ``numbers`` are for slots. Raises ValueError.

        Jobs are the lines of ``once``, if that is given.
        """
        self.has_begun: bool = False
        self.names: tuple[str, ...] = ()
        self.settings: Settings = common.settings
        self._common = common
        self._log = log
        self._once = once
        self._groups = self.settings.groups()
        self.crews: list[Crew] = [
            Crew([self._slot(next(numbers), names) for names in self._groups], common, log)
            for _ in range(self.settings.processes)
        ]
        self._scale_at = 0.0
        self._scale: Scale | None = None
        if self.settings.least is not None:
            # The first one tells what the queues are.
            begin_with = max(1, self.settings.least)
            # With --burst it is also the one that knows when nothing is ready any more.
            least = begin_with if self.settings.burst else self.settings.least
            self._scale = Scale(Range(least, len(self.crews)), len(self._groups))
            self._want(self.crews[:begin_with])

    def _slot(self, number: int, names: tuple[str, ...]) -> Slot:
        source: Supply
        if self._once is None:
            source = Source(self.settings.url, expand(names, ()))
        else:
            source = self._once.supply()
        report = Report(self._log, self._common.tally, has_server=self._once is None)
        return Slot(number, source, report, self._common)

    @property
    def is_scaled(self) -> bool:
        """Whether the number of its processes changes with the work."""
        return self._scale is not None

    @property
    def slots(self) -> list[Slot]:
        """All of them, whether their process runs or not."""
        return [slot for crew in self.crews for slot in crew.slots]

    @property
    def _shown(self) -> str:
        setup = self.settings.setup
        return setup.handler or " ".join(setup.command)

    @property
    def _where_to_say(self) -> str:
        """Where to say which queue it is."""
        where = self.settings.where
        return f"{where}: say which with queue = ..." if where else "say which with --queue"

    def start(self, poke: Callable[[], None]) -> None:
        """Start threads and processes; ``poke`` lets the main thread look."""
        for crew in self.crews:
            crew.begin_threads(poke)
            if crew.is_wanted:
                crew.start()

    def look(self, now: float, scout: Scout) -> int:
        """See to all processes; return the exit code if this cannot go on, else 0."""
        for crew in self.crews:
            crew.hear()
            if code := self._trouble(crew):
                return code
            crew.look(now)
            crew.recycle(now)
        if self._scale is not None and self.has_begun and now >= self._scale_at:
            self._scale_at = now + MEASURE_S
            self._rescale(self._scale, now, scout)
        return self._begin(scout)

    # -- how many processes ---------------------------------------------------------------------

    def _rescale(self, scale: Scale, now: float, scout: Scout) -> None:
        """Have as many processes as the work demands."""
        stop = self._common.stop
        if stop.requested or stop.is_quiet:
            return
        wanted = [crew for crew in self.crews if crew.is_wanted]
        busy = sum(slot.is_busy for slot in self.slots)
        load = scout.load_of(self.names)
        target = scale.target(now, load, busy, len(wanted))
        if target != len(wanted):
            about = {"processes": target, "before": len(wanted), "waiting": load.waiting}
            self._log.say("info", "scaled", queues=",".join(self.names), **about)
            # Those stay that work, or at least are there.
            best = sorted(self.crews, key=lambda each: (not each.is_wanted, not each.is_busy))
            self._want(best[:target])

    def _want(self, wanted: Iterable[Crew]) -> None:
        for crew in self.crews:
            crew.is_wanted = crew in wanted

    # -- what they say --------------------------------------------------------------------------

    def _trouble(self, crew: Crew) -> int:
        """Tell of a handler that cannot begin, or of something wrong with this program."""
        if crew.bug is not None:
            self._log.say("error", "bug", error=repr(crew.bug))
            self._log.write("".join(traceback.format_exception(crew.bug)))
            crew.bug = None
            return EXIT_BUG
        refused, crew.refused = crew.refused, None
        if refused is None or self._common.stop.requested:
            return 0
        self._tell(refused)
        return 0 if self.has_begun else EXIT_CANNOT_START

    def _tell(self, refused: Refused) -> None:
        self._log.say("error", "handler-refused", handler=self._shown, reason=refused.reason)
        self._log.write(refused.traceback)

    def _begin(self, scout: Scout) -> int:
        """Know the queues from the first child that is ready."""
        ready = next((crew.ready for crew in self.crews if crew.ready is not None), None)
        if self.has_begun or ready is None:
            return 0
        self.has_begun = True
        if self._once is not None and (reason := self._once.begin(ready.codec)):
            self._tell(Refused(reason, ""))
            return EXIT_CANNOT_START
        self._common.tally.begin()
        for crew in self.crews:
            for slot, names in zip(crew.slots, self._groups, strict=True):
                slot.outputs = ready.outputs
                self._serve(slot, names or ready.queues, scout)
        if not self.names:
            self._log.say("error", "no-queue", handler=self._shown, hint=self._where_to_say)
            return EXIT_CANNOT_START
        queues, address = ",".join(self.names), self.slots[0].source.address
        self._log.say("info", "working", queues=queues, slots=len(self.slots), server=address)
        return 0

    def _serve(self, slot: Slot, names: Sequence[str], scout: Scout) -> None:
        """Let a slot take jobs from these queues."""
        self.names = tuple(sorted({*self.names, *names}))
        scout.look_for(slot, names)
        slot.source.serve(names)

    # -- beginning and ending -------------------------------------------------------------------

    def hand_out(self) -> None:
        """Let slots have processes that are ready, and know of those that shall end."""
        for crew in self.crews:
            crew.hand_out()
            crew.nudge()
            if self._common.stop.requested:
                crew.finish()

    @property
    def is_settled(self) -> bool:
        """Whether nothing about the processes is going to change by itself."""
        return all(crew.is_settled for crew in self.crews)

    @property
    def is_over(self) -> bool:
        """Whether no job and no process is left."""
        return all(crew.is_idle and crew.child is None for crew in self.crews)

    def kill(self, cause: str) -> None:
        """Kill the processes; the slots give back what they hold."""
        for crew in self.crews:
            if crew.child is not None:
                crew.child.kill(cause)

    def close(self) -> None:
        """End the threads, and what is left of processes."""
        for slot in self.slots:
            slot.inbox.put(None)
        for crew in self.crews:
            crew.close()
