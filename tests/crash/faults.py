"""A history in which operations fail: once, for a while or for ever, from any operation on."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from crash.history import History, Plan, Refused, RefusedLogError, totals
from crash.ledger import MS, Violation
from crash.life import Life
from stalkd.journal.files import NO_SPACE
from support.disk import Fault, Kind

TAKES_SPACE = frozenset({Kind.CREATE, Kind.WRITE, Kind.ALLOCATE})
"""Operations that a full disk refuses."""

FOREVER = 1 << 60
SETTLING_ROUNDS = 8


@dataclass(frozen=True)
class Injection:
    """The operations from ``first`` to ``last`` fail, if they are of some kind."""

    first: int
    last: int
    code: int
    part: float = 0.0
    kinds: frozenset[Kind] = frozenset(Kind)

    def fault(self, number: int, kind: Kind) -> Fault | None:
        if self.first <= number <= self.last and kind in self.kinds:
            return Fault(self.code, self.part)
        return None

    @property
    def is_full(self) -> bool:
        """Tell whether this is what a full disk does."""
        return self.code in NO_SPACE and self.kinds <= TAKES_SPACE


class FaultyHistory(History):
    """A good life, a bad one, and a good one after it. ``hits`` counts the faults."""

    def __init__(self, plan: Plan, injection: Injection) -> None:
        super().__init__(plan)
        self.injection = injection
        self.is_faulty = False
        self.has_failed = False
        self.hits = 0
        self.faulty_steps = range(0)

    def run(self) -> None:
        self.live()
        begin = self.steps
        self.is_faulty = True
        must_cut = self.rng.random() < 0.7
        try:
            self.live()
        except Refused:
            must_cut = True  # What was read may not be on the disk.
        self.faulty_steps = range(begin + 1, self.steps + 1)
        self.is_faulty = False
        totals["faults"] += self.hits
        if must_cut or self.has_failed:
            self.cut()
        try:
            self.live()
        except RefusedLogError as refusal:
            self.excuse(refusal)

    def inject(self, number: int, kind: Kind) -> Fault | None:
        fault = self.injection.fault(number, kind) if self.is_faulty else None
        self.hits += fault is not None
        return fault

    def end_life(self, life: Life) -> None:
        """Let the fault end some time before the daemon does."""
        if self.is_faulty and self.hits:
            self._judge(life)
            if self.injection.last < FOREVER or self.rng.random() < 0.5:
                self.is_faulty = False
                self._settle(life)
        super().end_life(life)
        if life.log.failed is not None:
            self.has_failed = True

    def _judge(self, life: Life) -> None:
        """The log fails only when it must."""
        if life.log.failed is None:
            return
        if self.injection.is_full:
            raise Violation(f"the log failed for want of space: {life.log.failed}")
        if self.hits == 1:
            raise Violation(f"the log failed for a single error: {life.log.failed}")

    def excuse(self, refusal: RefusedLogError) -> None:
        """Without syncs a log may be lost when the disk fails, but not without a word."""
        if self.plan.sync_ms is not None or not self.hits:
            raise refusal
        totals["refused"] += 1

    def _settle(self, life: Life) -> None:
        """Without faults everything goes on."""
        for _ in range(SETTLING_ROUNDS):
            life.now += 200 * MS
            self.time += 200 * MS
            life.round(life.now, 0)
            self._work(FOREVER)
        if life.log.failed is None and not (life.log.admits(100) and life.log.state() == "ok"):
            raise Violation(f"the log is {life.log.state()} though nothing is wrong any more")


NO_FAULT = Injection(0, 0, errno.EIO)
