"""A slot: one job at a time for its child, and a few more at hand while jobs are quick.

Each slot is a thread with a supply of its own, as a connection to a server, whose turn is: end the
jobs that are done and take new ones, pass them to the child, wait for results while keeping leases
alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Final

from stalkd_client.errors import StalkdError
from stalkd_client.jobs import Job
from stalkd_client.worker.link import Link
from stalkd_client.worker.messages import NO_ENDS, Result
from stalkd_client.worker.process import Child
from stalkd_client.worker.slots import endings
from stalkd_client.worker.slots.common import Common
from stalkd_client.worker.slots.endings import Ending, ending
from stalkd_client.worker.slots.hand import Hand
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.pace import SLOW_S, Pace
from stalkd_client.worker.slots.report import Report
from stalkd_client.worker.slots.store import store
from stalkd_client.worker.slots.supply import Supply

NO_TUBES_S: Final = 1.0
"""How often a slot whose queues do not exist yet looks whether the worker stops."""

FATE_S: Final = 2.0
"""How long a slot waits to hear how its child died: the system tells it within milliseconds."""


class Slot:
    """``inbox`` gets children with a link to each, None at the end.

    ``outputs`` are the queues for what handlers return; ``is_away`` says that there is no server,
    ``is_busy`` that it holds jobs.
    Other threads may ask ``hand`` for its current job, and nothing else.
    """

    def __init__(self, number: int, source: Supply, report: Report, common: Common) -> None:
        self.number = number
        self.source = source
        self.inbox: SimpleQueue[tuple[Child, Link] | None] = SimpleQueue()
        self.is_away: bool = False
        self.outputs: tuple[str, ...] = ()
        self._report = report
        self._settings, self._tally, self._outage, self._stop, self._pulse, self._name = common
        self._pace = Pace(self._settings.prefetch)
        self.hand: Hand = Hand()
        self._endings: list[Ending] = []
        self._is_dry = False
        self.is_busy: bool = False
        self._knows_stop = False
        self._child: Child
        self._link: Link

    def run(self, returned: Callable[[Child], None]) -> None:
        """Serve children until there will be no more; call ``returned`` when done with each."""
        while (given := self.inbox.get()) is not None:
            self._child, self._link = given
            while not self._is_done():
                try:
                    self._turn()
                except OSError as error:
                    self._lose_all(error)
            self._link.finish()
            self._link.close()
            returned(self._child)

    def _is_done(self) -> bool:
        """Whether nothing is left to do with this child."""
        if self.hand or self._endings:
            return False
        return self._takes_no_more()

    def _takes_no_more(self) -> bool:
        """Whether this child gets no more jobs.

        A slot that holds none does not look at the link: the main thread sees the child's end.
        """
        child = self._child
        is_ending = child.is_retiring or child.has_ended or self._link.is_dead
        return self._stop.requested or is_ending

    def _turn(self) -> None:
        if self._link.is_dead and self.hand:
            self._bury_the_dead()
        self._settle()
        if self.hand:
            self._feed()
            self._listen()

    # -- taking and ending ----------------------------------------------------------------------

    def _settle(self) -> None:
        """Store what came of jobs, then end them and take others."""
        self._endings, refusals = store(self.source, self._endings)
        for before, error in refusals:
            self._report.refused(before, error)
        claimed = self._claim()
        if not claimed and not self._endings:
            return
        jobs: list[Job] = []
        seen, asked = self._tally.round, time.monotonic()
        try:
            jobs, asked = self._take(claimed)
            if claimed:
                self._is_dry = not jobs
            self._accept(jobs, asked)
        finally:
            self._tally.took(claimed, len(jobs))
        if self._settings.burst and claimed and not self.hand and not self.source.look_again():
            self._tally.found_nothing(self.number, seen, asked)

    def _take(self, claimed: int) -> tuple[list[Job], float]:
        """End jobs and take others with one exchange; wait for them if there are none at all.

        Returns also when they were asked for, as their leases began later than that.
        """
        asked = time.monotonic()
        answers, jobs = self.source.settle([each.final for each in self._endings], claimed)
        self._answered()
        self._note_answers(answers)
        if claimed and not jobs and not self.hand and not self._settings.burst:
            if self._stop.requested:
                return [], asked
            began = time.monotonic()
            jobs = self.source.wait(claimed, None)
            asked = time.monotonic()
            if jobs and self._pulse.has_stopped_since(began):
                jobs = self._still_ours(jobs)
            self._answered()
        return jobs, asked

    def _still_ours(self, jobs: list[Job]) -> list[Job]:
        """Return those jobs whose leases are not over already, and begin these anew."""
        answers = zip(jobs, self.source.touch(jobs), strict=True)
        return [job for job, answer in answers if not isinstance(answer, StalkdError)]

    def _claim(self) -> int:
        """Return how many jobs to take now: none while enough are at hand, or all shall end."""
        if self._takes_no_more():
            return 0
        if self._stop.is_quiet:
            if not self.hand and not self._endings:
                self._stop.stay_quiet()
            return 0
        if not self.hand:
            self._is_dry = False
            return self._claim_first()
        if self._is_dry or self.hand.keeps or len(self.hand) > self._pace.size // 2:
            return 0
        return self._tally.claim(self._room())

    def _room(self) -> int:
        """Return how many jobs fit the pace, and what the child may still do.

        Other slots use that up, too, and it may be less than this one holds.
        """
        left = self._child.jobs_left()
        if left is None:
            return self._pace.size
        return max(0, min(self._pace.size, left - len(self.hand)))

    def _claim_first(self) -> int:
        if not self.source.wanted:  # No queue matches the patterns yet.
            seen, asked = self._tally.round, time.monotonic()
            if self._settings.burst:
                if not self.source.look_again():
                    self._tally.found_nothing(self.number, seen, asked)
                return 0
            self.source.has_tubes.wait(NO_TUBES_S)
            if not self.source.wanted:  # It was woken for another reason; that may be over.
                self.source.has_tubes.clear()
            return 0
        claimed = self._tally.claim(self._room())
        if not claimed and not self._endings:
            self._tally.pause()
        return claimed

    def _answered(self) -> None:
        self.is_away = False
        self._outage.is_over()

    def _note_answers(self, answers: Sequence[object]) -> None:
        """Know which jobs have ended, and which had been lost before."""
        ended, self._endings = self._endings, []
        for each, answer in zip(ended, answers, strict=True):
            if isinstance(answer, StalkdError):
                self._report.lost(each.held, each.result, answer)
            else:
                self._report.ended(each)
        self._note_busy()
        self._report.flush()

    def _accept(self, jobs: list[Job], asked: float) -> None:
        """Have jobs; unless no new one shall begin."""
        if not jobs:
            return
        for job in jobs:
            held = Held(job, asked, self._tally.unbegun(job.id), self._name.now)
            flaw = self.source.flaw(job)
            if flaw is None:
                self.hand.add(held)
            else:
                self._endings.append(ending(held, Result(job.id, "bury", trouble=flaw), ()))
        self._note_busy()
        if self._stop.requested:
            self._give_back(self.hand.let_go(self._spent()))

    def _note_busy(self) -> None:
        """Let others know whether this slot has jobs."""
        is_busy = bool(self.hand or self._endings)
        if is_busy != self.is_busy:
            self.is_busy = is_busy
            self._tally.becomes(1 if is_busy else -1)

    # -- the child ------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Pass on jobs, but those whose leases are over."""
        now = time.monotonic()
        for late in self.hand.feed(self._link, now):
            self._end(late, Result(late.job.id, "late"))
        self.hand.begin_first(now, self._settings.setup.time_limit)

    def _listen(self) -> None:
        """Wait for results until something is due; look after leases and limits."""
        if self._link.is_dead or not self.hand:
            return
        wake = None if self._knows_stop else self._stop.wake
        wait = self.hand.due() - time.monotonic()
        results = self._link.wait(min(wait, 3600.0), wake)
        now = time.monotonic()
        ended = [each for each in results if each.kind not in NO_ENDS]
        for result in results:
            self._heard(result, now)
        if ended:
            self._pace.note(len(ended), sum(each.seconds for each in ended))
        self._look_after(now)

    def _heard(self, result: Result, now: float) -> None:
        held = self.hand.get(result.id)
        if held is None:
            return
        if result.kind == "extend":
            held.limit_at = now + result.delay
            return
        if result.kind == "hook":
            self._report.hook_failed(held, result)
            return
        self._child.did_one()
        self._end(held, result)
        self.hand.begin_first(now, self._settings.setup.time_limit)

    def _end(self, held: Held, result: Result) -> None:
        """Have a job done with; if its lease is over, nothing of it is stored."""
        self.hand.remove(held)
        if result.kind == "late":
            self._tally.not_begun(held.job.id)
        if (
            result.kind == "move" and not self.source.can_move
        ):  # What a handler declares may say so.
            result = result._replace(kind="bury")
        if held.is_over(time.monotonic()):
            self._report.lost(held, result, None)
            self._note_busy()
            return
        self._endings.append(ending(held, result, self.outputs))

    # -- while the child works ------------------------------------------------------------------

    def _look_after(self, now: float) -> None:
        if self._stop.requested and not self._knows_stop:
            self._knows_stop = True
            self._give_back(self.hand.let_go(self._spent()))
        first = self.hand.first
        if first is None:
            return
        if first.limit_at is not None and now >= first.limit_at:
            limit = self._settings.setup.time_limit
            self._child.kill(f"it took longer than the time limit of {limit} s", self.number)
            first.limit_at = None
        if first.begun is not None and now - first.begun >= SLOW_S:
            self._pace.slow()
            if self.hand.has_waiting:
                self._give_back(self.hand.let_go(self._spent()))
        self._touch(now)

    def _spent(self) -> set[int]:
        """Take back what the child has not begun; return which of it must not be given back."""
        return self.source.spent([each.job for each in self.hand.take_back(self._link)])

    def _give_back(self, unbegun: Iterable[Held]) -> None:
        """Let others have jobs that never began."""
        for held in unbegun:
            if held.is_over(time.monotonic()):
                self._tally.never_began(held.job.id)
                continue
            self._tally.not_begun(held.job.id)
            given = Result(held.job.id, "late")
            self._endings.append(Ending(held, given, "returned", [], endings.released(held)))
        self._note_busy()

    def _touch(self, now: float) -> None:
        """Begin those leases anew that are due."""
        due = [each for each in self.hand.jobs if not each.lost and now >= each.touch_at]
        if not due:
            return
        for each, answer in zip(due, self.source.touch([each.job for each in due]), strict=True):
            if isinstance(answer, StalkdError):
                each.lost = True
            else:
                each.touched(now)
        self._answered()

    # -- when something breaks ------------------------------------------------------------------

    def _bury_the_dead(self) -> None:
        """The child is gone: give back what it had not begun, decide about what it was doing."""
        self.hand.take_back(self._link)
        self._give_back(self.hand.drop())
        child, now = self._child, time.monotonic()
        cause = child.fate(FATE_S) if self.hand else ""
        is_innocent = child.killed_by is not None and child.killed_by != self.number
        for held in self.hand.jobs:
            if self._stop.aborting or is_innocent:
                self._end(held, Result(held.job.id, "late"))
            else:
                self._report.died(held, cause)
                self._end(held, endings.died(held, cause, self._settings.attempts, now))

    def _lose_all(self, error: OSError) -> None:
        """The connection is gone, and with it all leases: the server gives the jobs to others."""
        self.is_away = True
        self._outage.begins(error)
        for each in self._endings:
            self._report.lost(each.held, each.result, error)
        self._endings.clear()
        self.hand.take_back(self._link)
        for held in self.hand.drop():
            self._tally.never_began(held.job.id)
        for held in self.hand.jobs:
            held.lost = True
        self._note_busy()
        self._report.flush()
