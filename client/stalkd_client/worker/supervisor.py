"""The process that holds all connections and leases: signals, children, and when to stop."""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from stalkd_client.worker.common import Common
from stalkd_client.worker.crew import Crew
from stalkd_client.worker.live import EVERY_S, Live
from stalkd_client.worker.logs import Log
from stalkd_client.worker.outage import Outage
from stalkd_client.worker.pulse import Pulse
from stalkd_client.worker.report import FAILURES, Report
from stalkd_client.worker.scout import Scout
from stalkd_client.worker.settings import Settings, expand
from stalkd_client.worker.slot import Slot
from stalkd_client.worker.source import Source
from stalkd_client.worker.stopping import Stop
from stalkd_client.worker.tally import Tally

EXIT_CANNOT_START: Final = 1
"""The handler cannot be imported, or its ``pre_handling`` fails."""

EXIT_FAILED: Final = 3
"""With ``--fail-on-error``: a job has failed."""

EXIT_GIVEN_UP: Final = 4
"""Jobs were given back unfinished: the time of ``--grace`` was over, or a second signal came."""

EXIT_BUG: Final = 70
"""The worker found itself in a wrong state (EX_SOFTWARE of sysexits.h)."""

TICK_S: Final = 1.0
"""How often memory and age of children are looked at."""

STOPPING_TICK_S: Final = 0.01
"""... and everything while the worker stops, begins, or may be at its end."""

GIVE_BACK_S: Final = 1.0
"""How long slots have for giving back jobs when all is given up; else closing does it."""


class Supervisor:
    """Runs a worker from its start to its end."""

    def __init__(self, settings: Settings, log: Log, live: Live | None = None) -> None:
        """Connect nothing yet; ``live`` makes lines for a terminal.

        Raises ValueError for a bad address.
        """
        self._live = live
        self._settings = settings
        self._log = log
        self._stop = Stop()
        self._tally = Tally(settings.stop_after)
        self._outage = Outage(log)
        self._pulse = Pulse()
        self._common = Common(settings, self._tally, self._outage, self._stop, self._pulse)
        self._groups = settings.groups()
        self._crews = [self._crew(number) for number in range(settings.processes)]
        self._wake, self._poke = os.pipe()
        self._signals = 0
        self._stopped_at = 0.0
        self._has_begun = False
        self._code = 0
        for each in (self._wake, self._poke):
            os.set_blocking(each, False)

    def _crew(self, number: int) -> Crew:
        first = number * len(self._groups)
        slots = [self._slot(first + place, names) for place, names in enumerate(self._groups)]
        return Crew(slots, self._settings, self._log, self._stop)

    def _slot(self, number: int, names: tuple[str, ...]) -> Slot:
        source = Source(self._settings.url, expand(names, ()))
        report = Report(self._log, self._tally)
        return Slot(number, source, report, self._common)

    @property
    def _slots(self) -> list[Slot]:
        return [slot for crew in self._crews for slot in crew.slots]

    def run(self) -> int:
        """Work until told to stop; return the exit code."""
        began = time.monotonic()
        with self._signals_handled():
            for crew in self._crews:
                crew.begin_threads(self._poke_main)
                crew.start()
            while not self._is_over():
                self._wait()
                self._look(time.monotonic())
            self._end()
        self._summary(time.monotonic() - began)
        return self._exit_code()

    # -- signals --------------------------------------------------------------------------------

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        signal.set_wakeup_fd(self._poke, warn_on_full_buffer=False)
        handlers = {
            signal.SIGTERM: self._told_to_stop,
            signal.SIGINT: self._told_to_stop,
            signal.SIGCHLD: lambda *_: None,  # It only wakes.
        }
        before = {number: signal.signal(number, act) for number, act in handlers.items()}
        try:
            yield
        finally:
            for number, act in before.items():
                signal.signal(number, act)
            signal.set_wakeup_fd(-1)

    def _told_to_stop(self, _number: int, _frame: object) -> None:
        self._signals += 1

    def _poke_main(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._poke, b"p")

    # -- the loop -------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until something happens, or it is time to look at all."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for crew in self._crews:
            if crew.child is not None:
                poll.register(crew.child.life, select.POLLIN)
        poll.poll(self._tick() * 1000)
        with suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _tick(self) -> float:
        settings = self._settings
        if self._stop.requested or any(not crew.is_settled for crew in self._crews):
            return STOPPING_TICK_S
        if settings.burst or settings.stop_after is not None or settings.idle_exit is not None:
            return STOPPING_TICK_S
        return TICK_S if self._live is None else EVERY_S

    def _look(self, now: float) -> None:
        self._pulse.beat()
        self._reap_strangers()
        for crew in self._crews:
            crew.hear()
            self._check(crew)
            crew.look(now)
            crew.recycle(now)
        self._begin()
        self._show(now)
        self._consider_stopping(now)
        if self._stop.requested:
            self._tally.wake()
        for crew in self._crews:
            crew.hand_out()
            crew.nudge()
            if self._stop.requested:
                crew.finish()

    def _check(self, crew: Crew) -> None:
        """Stop if a handler cannot begin, or something is wrong with this program."""
        if crew.bug is not None:
            self._log.say("error", "bug", error=repr(crew.bug))
            self._log.write("".join(traceback.format_exception(crew.bug)))
            crew.bug = None
            self._give_up(EXIT_BUG)
        if crew.refused is None or self._stop.requested:
            return
        refused, crew.refused = crew.refused, None
        self._log.say("error", "handler-refused", reason=refused.reason)
        self._log.write(refused.traceback)
        if not self._has_begun:
            self._give_up(EXIT_CANNOT_START)

    def _begin(self) -> None:
        """Know the queues from the first child that is ready."""
        ready = next((crew.ready for crew in self._crews if crew.ready is not None), None)
        if self._has_begun or ready is None:
            return
        self._has_begun = True
        self._tally.begin()
        named: list[tuple[Slot, tuple[str, ...]]] = []
        for crew in self._crews:
            for slot, names in zip(crew.slots, self._groups, strict=True):
                meant = names or ready.queues
                named.append((slot, meant))
                slot.outputs = ready.outputs
                slot.source.want(expand(meant, ()))
        if not any(names for _, names in named):
            self._log.say("error", "no-queue", hint="say which with --queue")
            self._give_up(EXIT_CANNOT_START)
            return
        Scout(self._settings.url, named, self._log, self._outage).start(self._stop.event)
        queues = ",".join(sorted({name for _, names in named for name in names}))
        address = self._slots[0].source.address
        self._log.say("info", "working", queues=queues, slots=len(named), server=address)

    def _consider_stopping(self, now: float) -> None:
        if not self._stop.requested and (self._signals or self._is_enough(now)):
            self._log.say("info", "stopping", busy=self._tally.busy)
            self._stop.request()
            self._tally.wake()
            self._stopped_at = now
        elif self._stop.requested and not self._stop.aborting:
            late = now > self._stopped_at + self._settings.grace
            if self._signals > 1 or late:
                self._give_up(EXIT_GIVEN_UP)

    def _show(self, now: float) -> None:
        """Tell a terminal how it goes."""
        if self._live is not None and self._has_begun and now >= self._live.due:
            tally = self._tally
            self._log.status(self._live.line(now, tally.counts, tally.busy, len(self._slots)))

    def _is_enough(self, now: float) -> bool:
        """Tell whether the worker has done what it was started for."""
        settings, tally = self._settings, self._tally
        if not self._has_begun:
            return False
        if tally.is_used_up and not tally.busy:
            return True
        if settings.burst and tally.is_all_done(len(self._slots)):
            return True
        idle = settings.idle_exit
        return idle is not None and not tally.busy and now >= tally.ended + idle

    def _give_up(self, code: int) -> None:
        """Kill the children; the slots give back what they hold."""
        self._code = self._code or code
        self._stopped_at = time.monotonic()
        self._stop.abort()
        self._tally.wake()
        for crew in self._crews:
            if crew.child is not None:
                crew.child.kill("the worker gave up")

    def _is_over(self) -> bool:
        if not self._stop.requested:
            return False
        if all(crew.is_idle and crew.child is None for crew in self._crews):
            return True
        return self._stop.aborting and time.monotonic() > self._stopped_at + GIVE_BACK_S

    def _reap_strangers(self) -> None:
        """As process 1 of a container, see off those whose parents have ended."""
        if os.getpid() != 1:
            return
        ours = {crew.child.pid for crew in self._crews if crew.child is not None}
        with suppress(ChildProcessError):
            while (
                found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            ) is not None:
                if found.si_pid in ours:
                    return
                os.waitpid(found.si_pid, 0)

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        for slot in self._slots:
            slot.inbox.put(None)
        for crew in self._crews:
            crew.close()

    def _summary(self, seconds: float) -> None:
        if self._live is not None:
            self._log.status("")
        counts = {name: self._tally.counts[name] for name in sorted(self._tally.counts)}
        self._log.say("info", "stopped", **counts, seconds=f"{seconds:.1f}")

    def _exit_code(self) -> int:
        if not self._code and self._settings.fail_on_error:
            failed = any(self._tally.counts[each] for each in FAILURES)
            return EXIT_FAILED if failed else 0
        return self._code
