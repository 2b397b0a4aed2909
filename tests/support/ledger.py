"""What clients know of the jobs of a daemon: what was answered, and what may have happened besides.

Each job is known by its body. It has a certain fact, the one after the last command about it that
was answered, and those after the commands that were sent since then and are not answered yet. After
a crash any of these may be so, and nothing else. For this to be known, only one client at a time
sends commands about a job: who holds it, or who has claimed it while it is buried or delayed.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

ABSENT, READY, DELAYED, BURIED, GONE = "absent", "ready", "delayed", "buried", "gone"

SLACK_S = 0.5
"""How far the daemon's idea of when something was sent may be from ours, on a busy machine."""


class Facts(NamedTuple):
    """A job as a restart should bring it back; a reserved one comes back ready."""

    state: str
    tube: str
    pri: int = 0
    delay: int = 0
    ttr: int = 60
    releases: int = 0
    buries: int = 0
    kicks: int = 0

    def told(self) -> dict[str, str]:
        """What stats-job says, as far as it does not depend on time."""
        return {
            "tube": f'"{self.tube}"',
            "pri": str(self.pri),
            "delay": str(self.delay),
            "ttr": str(self.ttr),
            "releases": str(self.releases),
            "buries": str(self.buries),
            "kicks": str(self.kicks),
        }


@dataclass(eq=False)
class Step:
    """A command's effect on one job. ``sent`` and ``acked`` are moments in the ledger's order.

    One that is ``refusable`` need not have been done even if nobody was told that it was not.
    """

    job: Known
    facts: Facts
    client: str
    sent: int
    sent_at: float
    acked: int | None = None
    acked_at: float | None = None
    survived: bool | None = None
    refusable: bool = False

    def follows(self, other: Step) -> bool:
        """Whether the daemon must have done this after the other."""
        if self.client == other.client:
            return self.sent > other.sent
        return other.acked is not None and other.acked < self.sent

    def delay_ends(self, now: float) -> tuple[float, float]:
        """Between which times a delay ends."""
        latest = now if self.acked_at is None else self.acked_at
        return self.sent_at + self.facts.delay - SLACK_S, latest + self.facts.delay + SLACK_S


@dataclass(eq=False)
class Known:
    """One job. ``brief`` jobs are never acted upon while held: their lease may end at any time."""

    body: bytes
    certain: Step = field(init=False)
    pending: deque[Step] = field(default_factory=deque)
    id: int = 0
    reserves: int = 0
    timeouts: int = 0
    busy: bool = False
    brief: bool = False

    @property
    def facts(self) -> Facts:
        """How it is if everything that was sent has been done."""
        return (self.pending[-1] if self.pending else self.certain).facts

    @property
    def since(self) -> int:
        """The moment of the last command about it."""
        return (self.pending[-1] if self.pending else self.certain).sent

    def settled(self, state: str) -> bool:
        """Whether nobody does anything with it, and its state is certainly this one."""
        return not self.busy and not self.pending and self.certain.facts.state == state

    def see(self, step: Step) -> None:
        """Take a step for certain, and so all before it."""
        while step in self.pending:
            self.certain = self.pending.popleft()

    def withdraw(self, step: Step) -> None:
        """Take a step back that was refused."""
        if step in self.pending:
            self.pending.remove(step)


@dataclass(eq=False)
class PauseStep:
    """A pause that was asked for; 0 seconds end one."""

    seconds: int
    sent_at: float


class Ledger:
    """All jobs there may be, by body and by tube, and all ids that were ever given."""

    def __init__(self) -> None:
        self.jobs: dict[bytes, Known] = {}
        self.tubes: defaultdict[str, dict[bytes, Known]] = defaultdict(dict)
        self.ids: set[int] = set()
        self.pauses: dict[str, list[PauseStep]] = {}
        self.moment = 0

    # -- what clients do ------------------------------------------------------------------------

    def put(
        self,
        client: str,
        body: bytes,
        facts: Facts,
        *,
        brief: bool = False,
        refusable: bool = False,
    ) -> Step:
        """Note a put that is sent."""
        job = self.jobs[body] = self.tubes[facts.tube][body] = Known(body, brief=brief)
        job.certain = Step(job, facts._replace(state=ABSENT), client, 0, 0)
        step = self.sends(client, job, facts)
        step.refusable = refusable
        return step

    def sends(self, client: str, job: Known, facts: Facts) -> Step:
        """Note a command about a job that is sent."""
        self.moment += 1
        step = Step(job, facts, client, self.moment, time.time())
        job.pending.append(step)
        return step

    def inserted(self, job: Known, number: int) -> None:
        """Learn a job's id, which nobody has had before."""
        if job.id == number:
            return
        assert number not in self.ids, f"id {number} has been used before"
        assert not job.id, f"job {job.id} has got a second id, {number}"
        job.id = number
        self.ids.add(number)

    def answered(self, step: Step) -> None:
        """Note that a command has been done."""
        self.moment += 1
        step.acked, step.acked_at = self.moment, time.time()
        step.job.see(step)
        if step.job.certain.facts.state == GONE:
            self.forget(step.job)

    def refused(self, step: Step) -> None:
        """Note that a put was refused: there will be no such job."""
        step.job.withdraw(step)
        self.forget(step.job)

    def forget(self, job: Known) -> None:
        """Note that a job is certainly gone; its id is remembered."""
        self.jobs.pop(job.body, None)
        self.tubes[job.facts.tube].pop(job.body, None)

    def reserved(self, number: int, body: bytes) -> Known:
        """Note that a job has been handed out: whatever was to make it ready has been done."""
        job = self.jobs.get(body)
        if job is None:
            what = "was deleted" if number in self.ids else "was never put"
            raise AssertionError(f"job {number}, which {what}, is handed out: {body[:40]!r}")
        self.inserted(job, number)
        if not job.brief and job.pending:
            job.see(job.pending[-1])
        if job.certain.facts.state == DELAYED:  # not any more, or nobody could have got it
            self.answered(self.sends("time", job, job.facts._replace(state=READY)))
        job.reserves += 1
        job.busy = True
        return job

    def pausing(self, tube: str, seconds: int) -> PauseStep:
        """Note a pause that is sent."""
        step = PauseStep(seconds, time.time())
        self.pauses.setdefault(tube, [PauseStep(0, 0)]).append(step)
        return step

    def paused(self, tube: str, step: PauseStep) -> None:
        """Note that a pause has begun or ended, as was asked."""
        steps = self.pauses[tube]
        self.pauses[tube] = steps[steps.index(step) :]

    # -- what there is --------------------------------------------------------------------------

    def settled(self, state: str, tube: str) -> list[Known]:
        """Jobs of a tube that nobody is busy with, in a certain state."""
        return [job for job in self.tubes[tube].values() if job.settled(state)]

    def load(self, tube: str) -> tuple[int, int]:
        """How many jobs there may be in a tube, and their bytes."""
        bodies = self.tubes[tube]
        return len(bodies), sum(map(len, bodies))
