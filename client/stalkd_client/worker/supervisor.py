"""The process that holds all connections and leases: signals, stages, and when to stop."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from stalkd_client.worker.crews.crew import Crew
from stalkd_client.worker.crews.reloading import Reload
from stalkd_client.worker.crews.scout import Scout
from stalkd_client.worker.crews.team import Team
from stalkd_client.worker.exits import EXIT_CANNOT_START, EXIT_FAILED, EXIT_GIVEN_UP
from stalkd_client.worker.leash import Leash
from stalkd_client.worker.live import EVERY_S, Live, Moment, table
from stalkd_client.worker.logs import Log
from stalkd_client.worker.notify import take_notifier
from stalkd_client.worker.orphans import reap
from stalkd_client.worker.process import Child
from stalkd_client.worker.reporting.identity import Identity
from stalkd_client.worker.reporting.portrait import in_words, portrait, state_of
from stalkd_client.worker.reporting.reporter import Reporter
from stalkd_client.worker.settings import Plan
from stalkd_client.worker.signals import handled
from stalkd_client.worker.slots.common import Common, Name
from stalkd_client.worker.slots.outage import Outage
from stalkd_client.worker.slots.pulse import Pulse
from stalkd_client.worker.slots.report import FAILURES
from stalkd_client.worker.slots.stopping import Stop
from stalkd_client.worker.slots.tally import Tally

if TYPE_CHECKING:  # Who serves queues need not load it.
    from stalkd_client.worker.once.run import Once

TICK_S: Final = 1.0
"""How often memory and age of children are looked at."""

STOPPING_TICK_S: Final = 0.01
"""... and everything while the worker stops, begins, or may be at its end."""

GIVE_BACK_S: Final = 1.0
"""How long slots have for giving back jobs when all is given up; else closing does it."""


class Supervisor:
    """Runs a worker from its start to its end."""

    def __init__(
        self, plan: Plan, log: Log, live: Live | None = None, once: Once | None = None
    ) -> None:
        """Connect nothing yet; ``live`` makes lines for a terminal, ``once`` has lines for jobs.

        Raises ValueError for a bad address.
        """
        self._live = live
        self._once = once
        self._plan = plan
        self._log = log
        self._stop = Stop()
        self._tally = Tally(plan.stop_after)
        self._pulse = Pulse()
        me, outage = Identity.make(plan.name), Outage(log)
        name = Name(me.wanted)
        numbers = count()
        shared = self._tally, outage, self._stop, self._pulse, name
        self._teams = [Team(Common(stage, *shared), log, numbers, once) for stage in plan.stages]
        self._scout = Scout(plan.stages[0].url, log, outage)
        self._reload = Reload(log)
        self._notifier = take_notifier(os.environ, log)
        self._reporter: Reporter | None = None
        if plan.report:
            self._reporter = Reporter(me, plan.stages[0].url, log, self.ask, name)
        self._wake, self._poke = os.pipe()
        self._asked: deque[tuple[str, str]] = deque()
        self._stops_asked = 0
        self._is_told_to_finish = False
        self._leash = Leash(self._poke_main)
        self._stopped_at = 0.0
        self._code = 0
        for each in (self._wake, self._poke):
            os.set_blocking(each, False)

    @property
    def _serving(self) -> list[int]:
        """The numbers of all slots that have a process, or shall have one."""
        return [slot.number for crew in self._crews if crew.is_wanted for slot in crew.slots]

    @property
    def _crews(self) -> list[Crew]:
        return [crew for team in self._teams for crew in team.crews]

    @property
    def _children(self) -> list[Child]:
        return [child for crew in self._crews for child in crew.children]

    @property
    def _has_begun(self) -> bool:
        return all(team.has_begun for team in self._teams)

    def run(self) -> int:
        """Work until told to stop; return the exit code."""
        began = time.monotonic()
        with handled(self._poke, lambda what: self._asked.append((what, ""))):
            self._scout.start(self._stop.event)
            self._measure_if_needed()
            if self._reporter is not None:
                self._reporter.start()
            if self._plan.stop_at_eof:
                self._leash.watch()
            for team in self._teams:
                team.start(self._poke_main)
            while not self._is_over():
                self._wait()
                self._look(time.monotonic())
            if self._reporter is not None:
                self._reporter.close()
            for team in self._teams:
                team.close()
        self._summary(time.monotonic() - began)
        return self._exit_code()

    def _measure_if_needed(self) -> None:
        """Have it known how much waits, if that is shown or decides on processes."""
        if self._once is not None:
            return
        if self._live is not None or any(team.is_scaled for team in self._teams):
            self._scout.measure(self._poke_main)

    # -- what is asked for ----------------------------------------------------------------------

    def ask(self, what: str, order: str) -> None:
        """Ask, from any thread, for one of ``finish``, ``reload``, ``quiet`` and ``resume``.

        ``order`` is by what somebody knows it who waits for that.
        """
        self._asked.append((what, order))
        self._poke_main()

    def _obey(self) -> None:
        """Do what was asked for."""
        actions: dict[str, Callable[[str], None]] = {
            "stop": self._told_to_stop,
            "finish": self._told_to_finish,
            "reload": self._told_to_reload,
            "quiet": partial(self._told_to_be, quiet=True),
            "resume": partial(self._told_to_be, quiet=False),
        }
        while self._asked:
            what, order = self._asked.popleft()
            actions[what](order)

    def _told_to_stop(self, _order: str) -> None:
        self._stops_asked += 1

    def _told_to_finish(self, _order: str) -> None:
        """Stop, but be as patient as if nobody had said so: signals alone give up jobs."""
        self._is_told_to_finish = True

    def _told_to_reload(self, order: str) -> None:
        if not self._stop.requested:
            self._reload.request(self._crews, order)

    def _told_to_be(self, _order: str, *, quiet: bool) -> None:
        if quiet and not self._stop.is_quiet:
            self._stop.be_quiet()
            self._log.say("info", "quiet", busy=self._tally.busy)
        elif self._stop.is_quiet and not quiet:
            self._stop.be_loud()
            self._log.say("info", "resumed")

    def _poke_main(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._poke, b"p")

    # -- the loop -------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until something happens, or it is time to look at all."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for child in self._children:
            if not child.has_ended:  # There is no more news of it, but its end, again and again.
                poll.register(child.life, select.POLLIN)
        poll.poll(self._tick() * 1000)
        with suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _tick(self) -> float:
        plan = self._plan
        if self._stop.requested or not all(team.is_settled for team in self._teams):
            return STOPPING_TICK_S
        if plan.burst or plan.stop_after is not None or plan.idle_exit is not None or self._once:
            return STOPPING_TICK_S
        # Twice as often as signs of life are due: one that is early is put off to the next look.
        return min(TICK_S if self._live is None else EVERY_S, self._notifier.beat_s / 2)

    def _look(self, now: float) -> None:
        self._pulse.beat()
        self._obey()
        reap([child.pid for child in self._children])
        for team in self._teams:
            if code := team.look(now, self._scout):
                self._give_up(code)
        self._reload.look()
        if self._once is not None and not self._stop.aborting and (code := self._once.trouble()):
            self._give_up(code)
        self._show(now)
        self._consider_stopping(now)
        if self._stop.requested:
            self._tally.wake()
        for team in self._teams:
            team.hand_out()
        self._report(now)
        state = state_of(self._teams, self._stop, self._reload)
        self._notifier.look(now, state, partial(in_words, self._teams, self._tally))

    def _consider_stopping(self, now: float) -> None:
        if not self._stop.requested and (self._stops_asked or self._is_enough(now)):
            self._log.say("info", "stopping", busy=self._tally.busy)
            self._stop.request()
            self._tally.wake()
            self._stopped_at = now
        elif self._stop.requested and not self._stop.aborting:
            late = now > self._stopped_at + self._plan.grace
            if self._stops_asked > 1 or late:
                self._give_up(EXIT_GIVEN_UP)

    def _show(self, now: float) -> None:
        """Tell a terminal how it goes."""
        if self._live is not None and self._has_begun and now >= self._live.due:
            tally, served = self._tally, [name for team in self._teams for name in team.names]
            moment = Moment(
                tally.counts,
                tally.counts_of_queues(),
                self._scout.waiting_in(served),
                tally.busy,
                sum(len(crew.slots) for crew in self._crews if crew.is_wanted),
            )
            self._log.status(self._live.line(now, moment))

    def _report(self, now: float) -> None:
        """Tell the server how it goes."""
        reporter = self._reporter
        if reporter is not None and now >= reporter.due:
            state = self._teams, self._tally, self._stop, self._reload
            reporter.tell(now, portrait(*state, reporter.since))

    def _is_enough(self, now: float) -> bool:
        """Tell whether the worker has done what it was started for."""
        plan, tally = self._plan, self._tally
        if self._leash.has_ended or self._is_told_to_finish:
            return True
        if not self._has_begun:
            return False
        if tally.is_used_up and not tally.busy:
            return True
        if self._once is not None and self._once.is_done:
            return True
        if plan.burst and tally.is_all_done(self._serving):
            return True
        idle = plan.idle_exit
        return idle is not None and not tally.busy and now >= tally.ended + idle

    def _give_up(self, code: int) -> None:
        """Kill the children; the slots give back what they hold."""
        self._code = self._code or code
        self._stopped_at = time.monotonic()
        self._stop.abort()
        self._tally.wake()
        for team in self._teams:
            team.kill("the worker gave up")

    def _is_over(self) -> bool:
        if not self._stop.requested:
            return False
        if all(team.is_over for team in self._teams):
            return True
        return self._stop.aborting and time.monotonic() > self._stopped_at + GIVE_BACK_S

    # -- the end --------------------------------------------------------------------------------

    def _summary(self, seconds: float) -> None:
        if self._live is not None:
            self._log.status("")
            self._log.write(table(self._tally.counts_of_queues()))
        if self._once is not None and self._once.is_unread:
            return
        counts = {name: self._tally.counts[name] for name in sorted(self._tally.counts)}
        self._log.say("info", "stopped", **counts, seconds=f"{seconds:.1f}")

    def _exit_code(self) -> int:
        is_cut_short = self._stops_asked or self._code not in {0, EXIT_CANNOT_START}
        if self._once is not None and is_cut_short and self._once.tell_left():
            self._code = self._code or EXIT_GIVEN_UP
        if not self._code and self._plan.fail_on_error:
            failed = any(self._tally.counts[each] for each in FAILURES)
            return EXIT_FAILED if failed else 0
        return self._code
