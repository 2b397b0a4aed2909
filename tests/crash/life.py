"""One life of a daemon: its rounds and what it answers when, as in ``stalkd.server.reactor``.

The task that syncs runs in steps, between any two operations of the rounds. Replies are counted by
the last record that they may depend on.
"""

from __future__ import annotations

from random import Random

from crash.commands import Commands
from crash.ledger import Ledger, Tap, Violation
from crash.stepper import Stepper
from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.journal.log import Log
from stalkd.journal.recorder import job_size, pause_size, policy_size
from stalkd.journal.syncs import SyncTask

LAST_SYNCS = 3
LAST_ROUNDS = 3


class Life:
    """A daemon that has started. ``now`` is its clock; ``wall`` the lead of the wall clock."""

    def __init__(
        self, broker: Broker, log: Log, ledger: Ledger, wall: int, now: int, rng: Random
    ) -> None:
        self.broker = broker
        self.log = log
        self.ledger = ledger
        self.wall = wall
        self.now = now
        self.rng = rng
        self.tap = Tap(broker.recorder, ledger, wall)
        self.tap.now = now
        broker.record_with(self.tap)
        broker.end_interrupted_leases(now)
        self.commands = Commands(broker, log.admits, rng)
        self.task: SyncTask | None = None
        self.thread: Stepper | None = None
        self.eagerness = rng.choice([0.02, 0.1, 0.5])
        self.told: list[str] = []
        self._task_total = self._task_began = 0
        self._unsent: int | None = None
        self._held: int | None = None

    # -- rounds, as in Reactor ------------------------------------------------------------------

    def round(self, now: int, commands: int) -> None:
        """Do what is due, and run some commands."""
        self.now = self.tap.now = now
        if self._collect():
            self._let_go()
        self._tick()
        if not self.log.is_behind:
            for _ in range(commands):
                self.commands.run(now)
                self._unsent = self.ledger.urgent
        self._record()
        while self._unsent is not None and self.log.clears(now):
            self._release(self._unsent)
            self._unsent = None
            self._record()
        if self._sync() and self._unsent is not None:
            self._held, self._unsent = self._unsent, None

    def _tick(self) -> None:
        while self.broker.next_deadline() <= self.now:
            self.broker.tick(self.now)

    def _record(self) -> None:
        if self.broker.queues.answers:
            self.broker.queues.answers.clear()
            self._unsent = self.ledger.urgent
        self.log.compact(self.now)
        self.log.write(self.now, self.wall)
        if self.log.failed is not None:
            self._held = self._unsent = None
        elif not self.log.writer.has_pending():
            self.ledger.wrote(self.now)

    def _release(self, upto: int) -> None:
        if self.log.failed is None:
            self.ledger.release(upto, self.now)

    def _let_go(self) -> None:
        if self._held is not None:
            self._release(self._held)
            self._held = None

    def _collect(self) -> bool:
        """Take in a task that is done; tell whether it was good."""
        thread, task = self.thread, self.task
        if thread is None or task is None or not thread.is_done:
            return False
        self.thread = self.task = None
        error = thread.error
        if error is not None and not isinstance(error, OSError):
            raise error
        count = self.log.syncs.count
        is_certain = self.log.end_sync(task, error, self.now - self._task_began, self.now)
        if self.log.syncs.count > count and not self.has_gap:
            self.ledger.durable = max(self.ledger.durable, self._task_total)
        return is_certain

    def _sync(self) -> bool:
        task = self.log.begin_sync(self.now)
        if task is None:
            return False
        self.task, self.thread = task, Stepper(task.run)
        self._task_total, self._task_began = self.ledger.written, self.now
        return not self.log.writer.has_pending()

    def end(self) -> None:
        """Stop in good order."""
        for _ in range(LAST_ROUNDS):
            self.round(self.now, 1)
        for _ in range(LAST_SYNCS):
            if self._held is not None or self._unsent is not None:
                self._wait()
                self.round(self.now, 0)
        self._wait()
        self.log.close(self.now)
        if self.log.failed is None and self.log.state() != "stalled":
            self.ledger.durable = self.ledger.total
            self.ledger.release(self.ledger.total, self.now)

    def _wait(self) -> None:
        if self.thread is not None:
            self.thread.finish()
            if self._collect():
                self._let_go()

    @property
    def has_gap(self) -> bool:
        """Without syncs, what was written before a segment failed is never synced any more."""
        return self.log.syncs.interval is None and "log_segment_failed" in self.told

    # -- what must be so after each round -------------------------------------------------------

    def next_deadline(self) -> int:
        return min(self.broker.next_deadline(), self.log.next_deadline())

    def check(self) -> None:
        """Verify what must be true between any two rounds."""
        check(self.broker)
        if self.log.failed is not None:
            return
        log = self.log
        live = dict.fromkeys(log.segments, 0)
        for job in self.broker.jobs.values():
            live[job.file] += job_size(job)
        for tube in self.broker.directory.tubes.values():
            if tube.paused_until:
                live[tube.file] += pause_size(tube)
            if tube.policy is not None:
                live[tube.policy_file] += policy_size(tube)
        counted = {number: segment.live for number, segment in log.segments.items()}
        if live != counted or log.writer.live != sum(live.values()):
            raise Violation(f"live bytes {counted}, {log.writer.live}, but {live} when counted")
        self._check_timer()

    def _check_timer(self) -> None:
        """A sync begins in time by itself."""
        ledger, interval = self.ledger, self.log.syncs.interval
        if interval is None or self.task is not None or self.log.state() == "stalled":
            return
        for number in range(ledger.durable + 1, ledger.written + 1):
            if ledger.is_urgent[number]:
                made, due = ledger.made_at[number], self.log.next_deadline()
                if due > made + interval:
                    raise Violation(f"record {number} was made at {made}; a sync is due at {due}")
                break
