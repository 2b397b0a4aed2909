"""Compares what a restarted daemon has with what its clients know."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from support.daemon import Wire
from support.ledger import (
    ABSENT,
    BURIED,
    DELAYED,
    GONE,
    READY,
    SLACK_S,
    Known,
    Ledger,
    PauseStep,
    Step,
)
from torture.crew import ANCHOR_S

AT_ONCE = 200
"""Questions sent before their answers are read: neither side's buffers fill up."""

PROBE = b"put 0 0 60 5\r\nprobe\r\n"

SHOWN = 10
"""Problems told of one inspection."""

Stats = dict[str, str]


class Inspector:
    """Looks at all jobs, and then takes what it sees for what is known."""

    def __init__(self, ledger: Ledger, wire: Wire) -> None:
        self._ledger = ledger
        self._wire = wire
        self._problems: list[str] = []

    def inspect(self, in_flight: Sequence[Sequence[Step]], first_id: int, reserves: int) -> int:
        """Fail if anything is missing, wrong or too much; return the last id given so far.

        ``in_flight`` are the steps of each client that were not answered, in order; ``first_id`` is
        the first id that may belong to a job that nobody knows; ``reserves`` is how many reserves
        were not answered.
        """
        last_id = self._last_id()
        self._look(first_id, last_id, reserves)
        self._check_order_of_loss(in_flight)
        self._check_pauses()
        if self._problems:
            more = len(self._problems) - SHOWN
            rest = [f"... and {more} more"] if more > 0 else []
            raise AssertionError("\n".join([*self._problems[:SHOWN], *rest]))
        return last_id

    def kick_all_buried(self, tube: str) -> None:
        """Kick all buried jobs of a tube, one by one, and fail if their order is wrong."""
        kicked: list[Step] = []
        wire, ledger = self._wire, self._ledger
        assert wire.ask(b"use %b" % tube.encode()) == b"USING %b" % tube.encode()
        buried = {job.id: job for job in ledger.settled(BURIED, tube)}
        while buried:
            word, number, size = wire.ask(b"peek-buried").split()
            assert word == b"FOUND", word
            wire.read_exact(int(size) + 2)
            job = buried.pop(int(number))
            kicked.append(job.certain)
            facts = job.facts._replace(state=READY, kicks=job.facts.kicks + 1)
            step = ledger.sends("inspector", job, facts)
            assert wire.ask(b"kick 1") == b"KICKED 1"
            ledger.answered(step)
        for earlier, later in combinations(kicked, 2):
            assert not earlier.follows(later), f"{tube}: the order of burial has changed"

    def delete_all(self, tube: str) -> None:
        """Delete all jobs of a tube but its anchor."""
        for job in list(self._ledger.tubes[tube].values()):
            if job.facts.delay != ANCHOR_S:
                step = self._ledger.sends("inspector", job, job.facts._replace(state=GONE))
                assert self._wire.ask(b"delete %d" % job.id) == b"DELETED"
                self._ledger.answered(step)

    # -- asking ---------------------------------------------------------------------------------

    def _last_id(self) -> int:
        self._wire.send(PROBE)
        word, number = self._wire.read_line().split()
        assert word == b"INSERTED", word
        last_id = int(number)
        if last_id <= max(self._ledger.ids, default=0):
            self._problems.append(f"id {last_id} is given for the second time")
        self._ledger.ids.add(last_id)
        assert self._wire.ask(b"delete %d" % last_id) == b"DELETED"
        return last_id

    def _stats(self, numbers: Iterable[int]) -> dict[int, Stats]:
        """Ask stats-job about many jobs; those that are not found are left out."""
        wire, found = self._wire, {}
        rest = list(numbers)
        while rest:
            some, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            wire.send(b"".join(b"stats-job %d\r\n" % number for number in some))
            for number in some:
                word, *size = wire.read_line().split()
                if word == b"OK":
                    found[number] = _mapping(wire.read_exact(int(size[0]) + 2))
        return found

    def _body(self, number: int) -> bytes:
        word, *sizes = self._wire.ask(b"peek %d" % number).split()
        assert word == b"FOUND", f"job {number} has stats, but is not found"
        return self._wire.read_exact(int(sizes[1]) + 2)[:-2]

    def _ask_yaml(self, line: bytes) -> Stats | None:
        word, *size = self._wire.ask(line).split()
        return _mapping(self._wire.read_exact(int(size[0]) + 2)) if word == b"OK" else None

    # -- comparing ------------------------------------------------------------------------------

    def _look(self, first_id: int, last_id: int, reserves: int) -> None:
        """Find each job that there is, and compare it with what is known."""
        known = {job.id: job for job in self._ledger.jobs.values() if job.id}
        asked_at = time.time()
        stats = self._stats(sorted({*known, *range(first_id, last_id)}))
        self._adopt(stats)
        known = {job.id: job for job in self._ledger.jobs.values() if job.id}
        for job in list(self._ledger.jobs.values()):
            self._compare(job, stats.get(job.id), asked_at)
        lost_reserves = 0
        for number, told in stats.items():
            if number in known and (body := self._body(number)) != known[number].body:
                self._problems.append(f"job {number} has another body: {body[:40]!r}, {told}")
            lost_reserves += self._count_reserves(known.get(number), told)
        if lost_reserves > reserves:
            self._problems.append(f"{lost_reserves} reserves too many, {reserves} in flight")
        self._check_totals(Counter(told["state"] for told in stats.values()), last_id)

    def _adopt(self, stats: dict[int, Stats]) -> None:
        """Find out which unanswered puts the unknown jobs come from."""
        for number in stats.keys() - {job.id for job in self._ledger.jobs.values()}:
            body = self._body(number)
            job = self._ledger.jobs.get(body)
            if job is not None:
                self._ledger.inserted(job, number)
            elif number in self._ledger.ids:
                self._problems.append(f"job {number} has been deleted, and is back")
            else:
                self._problems.append(f"job {number} was never put: {body[:40]!r}")

    def _compare(self, job: Known, told: Stats | None, asked_at: float) -> None:
        steps = [job.certain, *job.pending]
        fits = [step for step in steps if _fits(step, told, asked_at)]
        if not fits:
            expected = " or ".join(str(step.facts) for step in steps)
            self._problems.append(f"job {job.id} is {told}, but should be {expected}")
            return
        for step in job.pending:
            if step.sent <= fits[0].sent or step.sent > fits[-1].sent:
                step.survived = step.sent <= fits[0].sent
        job.certain = fits[0]
        job.pending.clear()
        job.busy = False
        if told is None:
            self._ledger.forget(job)
        elif job.certain.acked is None:
            self._ledger.answered(job.certain)

    def _count_reserves(self, job: Known | None, told: Stats) -> int:
        """How many more reserves a job has seen than clients have; fewer are a problem."""
        if job is None:
            return 0
        reserves, timeouts = int(told["reserves"]), int(told["timeouts"])
        if reserves < job.reserves:
            self._problems.append(f"job {job.id}: reserves {reserves}, but had {job.reserves}")
        if timeouts < job.timeouts or (timeouts and not job.brief):
            self._problems.append(f"job {job.id}: timeouts {timeouts}, but had {job.timeouts}")
        more = reserves - job.reserves
        job.reserves, job.timeouts = reserves, timeouts
        return more

    def _check_totals(self, states: Counter[str], last_id: int) -> None:
        """Compare with the counters, which would also show a job that was gone long ago."""
        told = self._ask_yaml(b"stats") or {}
        count = {
            state: int(told[f"current-jobs-{state}"])
            for state in (READY, DELAYED, BURIED, "reserved")
        }
        if count[BURIED] != states[BURIED] or count["reserved"]:
            self._problems.append(f"{states[BURIED]} jobs are buried, but counted are {count}")
        if sum(count.values()) != states.total():
            strangers = self._stats(range(1, last_id)).keys() - {
                job.id for job in self._ledger.jobs.values()
            }
            self._problems.append(f"{states} are known, but counted are {count}: {strangers}")

    def _check_order_of_loss(self, in_flight: Sequence[Sequence[Step]]) -> None:
        for steps in in_flight:
            if not are_lost_in_order(steps):
                facts = [(step.job.id, step.survived, step.facts) for step in steps]
                self._problems.append(f"a later command survived, an earlier one did not: {facts}")

    def _check_pauses(self) -> None:
        now = time.time()
        for tube, steps in self._ledger.pauses.items():
            told = self._ask_yaml(b"stats-tube %b" % tube.encode())
            pause = int(told["pause"]) if told else 0
            left = int(told["pause-time-left"]) if told else 0
            fits = [each for each in steps if _is_paused(each, now, pause, left)]
            if not fits:
                self._problems.append(f"{tube} has pause {pause}, left {left}: not of {steps}")
            self._ledger.pauses[tube] = fits[-1:] or steps[:1]


def are_lost_in_order(steps: Sequence[Step]) -> bool:
    """Whether of what a client sent the first has survived if anything has that it sent later.

    A put whose answer is not known may have been refused, for a disk was full then: a large body
    may not fit where the smaller one behind it does.
    """
    fates = [
        step.survived
        for step in steps
        if step.survived or (step.survived is not None and not step.refusable)
    ]
    return fates == sorted(fates, reverse=True)


def _is_paused(step: PauseStep, now: float, pause: int, left: int) -> bool:
    """Whether a tube would look like this now, after such a pause."""
    lasts = step.sent_at + step.seconds - now
    if pause == 0:
        return lasts < SLACK_S
    return pause == step.seconds and abs(lasts - left) < 1 + 2 * SLACK_S


def _fits(step: Step, told: Stats | None, asked_at: float) -> bool:
    """Whether a job is as this step should have left it."""
    facts = step.facts
    if told is None:
        return facts.state in {GONE, ABSENT}
    if facts.state in {GONE, ABSENT}:
        return False
    if any(told[key] != value for key, value in facts.told().items()):
        return False
    if facts.state != DELAYED:
        return told["state"] == facts.state
    earliest, latest = step.delay_ends(asked_at)
    now = time.time()
    if told["state"] == READY:
        return now >= earliest
    left = int(told["time-left"])
    return told["state"] == DELAYED and earliest - now - 1 <= left <= latest - asked_at


def _mapping(text: bytes) -> Stats:
    """A YAML mapping as the stats commands give it; values as they are written."""
    return dict(line.split(": ", 1) for line in text.decode().split("\n")[1:-2])
