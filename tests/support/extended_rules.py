"""The naive model with lifetimes, attempts, keys and policies, for the standard commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from support.model import Event, Model
from support.model_state import FOREVER, SECOND, ModelClient, ModelJob, ModelTube

MILLION = 1_000_000
BURST = 10
"""A rate is kept by spacing; so many milliseconds of it may come together."""

Reply = bytes | Callable[[], bytes]


class ExtendedRules(Model):
    """Standard commands on jobs and tubes that may have more rules than plain ones."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: list[tuple[ModelClient, Reply]] = []

    # -- what a policy says ---------------------------------------------------------------------

    def _rule(self, tube: ModelTube, name: str) -> int:
        return int(tube.policy.get(name, 0))

    def _restrict(self, tube: ModelTube) -> None:
        """Find out when the rate lets the next reserve through."""
        tube.reopens = None
        rate = self._rule(tube, "rate")
        if rate:
            opens = tube.next_due - max(0, BURST - MILLION // rate)
            tube.reopens = opens if opens > self.now else None

    def _is_closed(self, tube: ModelTube) -> bool:
        limit = self._rule(tube, "concurrency")
        is_crowded = 0 < limit <= len(self._in("reserved", tube))
        return tube.paused_until is not None or tube.reopens is not None or is_crowded

    def _is_full(self, tube: ModelTube) -> bool:
        count = sum(job.tube is tube for job in self.jobs)
        full = 0 < self._rule(tube, "max-jobs") <= count
        tube.rejected += full
        return full

    def _aged(self, job: ModelJob) -> int:
        """Millionths of a point of priority; the head start of a job never changes."""
        return job.pri * MILLION + self._rule(job.tube, "ageing") * job.since

    def _urgency(self, job: ModelJob) -> tuple[int, int]:
        """What compares jobs of different tubes: whole points of priority now, then the id."""
        return (self._aged(job) - self._rule(job.tube, "ageing") * self.now) // MILLION, job.id

    def _in(self, state: str, tube: ModelTube) -> list[ModelJob]:
        jobs = super()._in(state, tube)
        if state == "ready":
            jobs.sort(key=lambda job: (self._aged(job), job.id))
        return jobs

    def _best(self, client: ModelClient) -> ModelJob | None:
        open_tubes = [tube for tube in client.watched if not self._is_closed(tube)]
        firsts = [job for tube in open_tubes for job in self._in("ready", tube)[:1]]
        return min(firsts, key=self._urgency, default=None)

    def _start_waiting(self, job: ModelJob) -> None:
        """Ageing counts from when the job was to be ready first, or from now if that is earlier."""
        job.since = min(self.now, job.created + job.delay * SECOND)

    # -- moves ----------------------------------------------------------------------------------

    def _ready(self, job: ModelJob) -> None:
        job.state, job.holder = "ready", None
        self._start_waiting(job)
        self._serve(job.tube)

    def _serve(self, tube: ModelTube) -> None:
        while not self._is_closed(tube):
            waiting, ready = self._waiting(tube), self._in("ready", tube)
            if not waiting or not ready:
                return
            client, job = waiting[0], ready[0]
            reply = self._lease(job, client)
            self._answer(client, partial(self._batch, client, job) if client.batch else reply)

    def _batch(self, client: ModelClient, first: ModelJob) -> bytes:
        raise NotImplementedError

    def _lease(self, job: ModelJob, client: ModelClient) -> bytes:
        reply = super()._lease(job, client)
        job.deadline = self.now + job.lease
        tube = job.tube
        rate = self._rule(tube, "rate")
        if rate:
            interval = MILLION // rate
            earliest = max(tube.next_due, self.now)
            # A reserve-job that comes too early owes no more than an interval.
            tube.next_due = min(earliest, self.now + max(0, BURST - interval)) + interval
        self._restrict(tube)
        return reply

    def _end_lease(self, job: ModelJob, reason: str, delay: int = 0) -> None:
        tube = job.tube
        job.holder, job.state = None, "nowhere"
        if job.expires <= self.now:
            self._expire_job(job)
        elif self._is_spent(job):
            self._die(job, reason)
        elif delay:
            job.state, job.deadline = "delayed", self.now + delay
        else:
            self._ready(job)
        self._serve(tube)
        self._drop_tubes()

    # -- ends and new beginnings ----------------------------------------------------------------

    def _remove(self, job: ModelJob, outcome: bytes) -> None:
        self.jobs.remove(job)
        job.holder = None
        self._tell(job.id, outcome)

    def _tell(self, number: int, outcome: bytes) -> None:
        watchers = [client for client in self.clients if client.awaits == number]
        for client in sorted(watchers, key=lambda client: client.waits_since):
            self._answer(client, outcome)

    def _expire_job(self, job: ModelJob) -> None:
        job.tube.expired += 1
        self._remove(job, b"NOT_FOUND\r\n")
        self._drop_tubes()

    def _is_spent(self, job: ModelJob) -> bool:
        """Its own attempts count until it is dead; then only what the tube says."""
        if job.death is not None and job.death[1] == job.tube.name:
            return True  # It died here, and was taken out by its id.
        own = job.attempts if job.death is None else 0
        allowed = own or self._rule(job.tube, "attempts")
        return 0 < allowed <= job.reserves - job.used_before

    def _die(self, job: ModelJob, reason: str) -> None:
        tube = job.tube
        target = (job.dead if job.death is None else "") or str(tube.policy.get("dead", ""))
        job.death = (self.now, tube.name, reason)
        job.key, job.expires, job.used_before, job.has_terms = "", FOREVER, job.reserves, True
        tube.died += 1
        if target in {"", tube.name}:
            job.state, job.buried_as = "buried", self._next()
        else:
            self._enter(job, target)
            self._ready(job)
        self._tell(job.id, b"BURIED\r\n")

    def _enter(self, job: ModelJob, name: str) -> None:
        """Put a job into a tube; without a lifetime of its own it gets the tube's."""
        job.tube = self._make_tube(name)
        ttl = self._rule(job.tube, "ttl")
        if ttl and job.expires == FOREVER:
            job.expires, job.has_terms = self.now + ttl, True

    def _revive(self, job: ModelJob, *tubes: ModelTube) -> None:
        """Give all attempts back; of plain jobs they are only counted where that matters."""
        if job.has_terms or any(self._rule(tube, "attempts") for tube in tubes):
            job.used_before, job.death, job.has_terms = job.reserves, None, True

    # -- time -----------------------------------------------------------------------------------

    def _tube_events(self) -> Iterator[Event]:
        yield from super()._tube_events()
        for tube in self.tubes:
            here = [job for job in self.jobs if job.tube is tube and job.holder is None]
            for job in sorted(here, key=lambda job: (job.expires, job.id))[:1]:
                yield job.expires, tube.serial, 2, partial(self._expire_job, job)
            if tube.reopens is not None:
                yield tube.reopens, tube.serial, 3, partial(self._reopen, tube)

    def _reopen(self, tube: ModelTube) -> None:
        self._restrict(tube)
        self._serve(tube)
        self._drop_tubes()

    def _unpause(self, tube: ModelTube) -> None:
        tube.paused_until, tube.pause = None, 0
        self._reopen(tube)

    def _expire(self, job: ModelJob) -> None:
        job.timeouts += 1
        self._end_lease(job, "timed out")

    # -- clients --------------------------------------------------------------------------------

    def disconnect(self, client: ModelClient) -> None:
        client.waits_until, client.awaits = None, 0
        held = [job for job in self.jobs if job.holder is client]
        for job in sorted(held, key=lambda job: (job.pri, job.id)):
            self._end_lease(job, "disconnected")
        self.clients.remove(client)
        self._drop_tubes()
        self._run_pending()

    def _answer(self, client: ModelClient, reply: Reply) -> None:
        """End a wait; what is sent is found out once the command that caused it is done."""
        client.waits_until, client.awaits = None, 0
        self.answered.append((client, reply))

    def _run_pending(self) -> None:
        while self.answered or self.runnable:
            answered, self.answered = self.answered, []
            for client, reply in answered:
                client.out.append(reply if isinstance(reply, bytes) else reply())
                client.batch = 0
                self.runnable.append(client)
            runnable, self.runnable = self.runnable, []
            for client in runnable:
                self._go_on(client)

    # -- standard commands ----------------------------------------------------------------------

    def do_put(self, client: ModelClient, pri: int, delay: int, ttr: int, body: bytes) -> bytes:
        self.last_id += 1
        if self._is_full(client.used):
            return b"OUT_OF_MEMORY\r\n"
        job = ModelJob(self.last_id, client.used, pri, delay, max(ttr, 1), body, self.now)
        job.lease = job.ttr * SECOND
        self._add(job, delay * SECOND)
        return b"INSERTED %d\r\n" % job.id

    def _add(self, job: ModelJob, delay: int) -> None:
        self.jobs.append(job)
        job.tube.total += 1
        self._enter(job, job.tube.name)
        if delay:
            job.state, job.deadline = "delayed", self.now + delay
        else:
            self._ready(job)

    def do_delete(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        reply = super().do_delete(client, number)
        if job is not None and job not in self.jobs:
            self._tell(number, b"DELETED\r\n")
            self._serve(job.tube)
        return reply

    def do_release(self, client: ModelClient, number: int, pri: int, delay: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.pri, job.delay = pri, delay
        job.releases += 1
        self._end_lease(job, "released", delay * SECOND)
        return b"RELEASED\r\n"

    def do_bury(self, client: ModelClient, number: int, pri: int) -> bytes:
        job = self._held(client, number)
        reply = super().do_bury(client, number, pri)
        if job is not None:
            if job.expires <= self.now:
                self._expire_job(job)
            else:
                self._tell(number, b"BURIED\r\n")
            self._serve(job.tube)
        return reply

    def do_touch(self, client: ModelClient, number: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.deadline = self.now + job.lease
        return b"TOUCHED\r\n"

    def do_kick(self, client: ModelClient, bound: int) -> bytes:
        jobs = self._in("buried", client.used) or self._in("delayed", client.used)
        for job in jobs[:bound]:
            self._revive(job, job.tube)
        return super().do_kick(client, bound)

    def do_kick_job(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        if job is not None and job.state in {"buried", "delayed"}:
            self._revive(job, job.tube)
        return super().do_kick_job(client, number)
