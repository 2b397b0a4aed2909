"""A broker that is plainly right: lists, scans and the text of the protocol, and no speed at all.

It knows the rules only. ``run`` takes one command as a tuple and appends the reply to the client's
``out``; ``advance`` lets time pass. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from support.model_state import FOREVER, SECOND, Command, ModelClient, ModelJob, ModelTube

Event = tuple[int, int, int, Callable[[], None]]
"""(when, serial of the owner, order within the owner, what happens)"""


class Model:
    """The naive broker."""

    def __init__(self) -> None:
        self.now = 0
        self.serial = 0
        self.sequence = 0
        self.last_id = 0
        self.jobs: list[ModelJob] = []
        self.tubes = [ModelTube("default", 0)]
        self.clients: list[ModelClient] = []
        self.runnable: list[ModelClient] = []

    # -- helpers --------------------------------------------------------------------------------

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def _tube(self, name: str) -> ModelTube | None:
        return next((tube for tube in self.tubes if tube.name == name), None)

    def _make_tube(self, name: str) -> ModelTube:
        tube = self._tube(name)
        if tube is None:
            self.serial += 1
            tube = ModelTube(name, self.serial)
            self.tubes.append(tube)
        return tube

    def _drop_tubes(self) -> None:
        needed = {id(self.tubes[0])}
        needed |= {id(tube) for tube in self.tubes if tube.policy}
        needed |= {id(job.tube) for job in self.jobs}
        needed |= {id(client.used) for client in self.clients}
        needed |= {id(tube) for client in self.clients for tube in client.watched}
        self.tubes = [tube for tube in self.tubes if id(tube) in needed]

    def _job(self, number: int) -> ModelJob | None:
        return next((job for job in self.jobs if job.id == number), None)

    def _held(self, client: ModelClient, number: int) -> ModelJob | None:
        job = self._job(number)
        return job if job is not None and job.holder is client else None

    def _in(self, state: str, tube: ModelTube) -> list[ModelJob]:
        order = {
            "ready": lambda job: (job.pri, job.id),
            "delayed": lambda job: (job.deadline, job.id),
            "buried": lambda job: job.buried_as,
            "reserved": lambda job: job.id,
        }[state]
        return sorted(
            (job for job in self.jobs if job.state == state and job.tube is tube), key=order
        )

    def _waiting(self, tube: ModelTube) -> list[ModelClient]:
        waiting = (c for c in self.clients if c.waits_until is not None and not c.awaits)
        found = (client for client in waiting if tube in client.watched)
        return sorted(found, key=lambda client: client.waits_since)

    # -- moves ----------------------------------------------------------------------------------

    def _ready(self, job: ModelJob) -> None:
        job.state, job.holder = "ready", None
        waiting = self._waiting(job.tube)
        if waiting and job.tube.paused_until is None:
            self._answer(waiting[0], self._lease(job, waiting[0]))

    def _lease(self, job: ModelJob, client: ModelClient) -> bytes:
        job.state, job.holder = "reserved", client
        job.deadline = self.now + job.ttr * SECOND
        job.reserves += 1
        return b"RESERVED %d %d\r\n%b\r\n" % (job.id, len(job.body), job.body)

    def _answer(self, client: ModelClient, reply: bytes) -> None:
        client.waits_until = None
        client.out.append(reply)
        self.runnable.append(client)

    def _first_lease(self, client: ModelClient) -> int:
        return min((job.deadline for job in self.jobs if job.holder is client), default=FOREVER)

    # -- time -----------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        self.now = now
        while (event := self._next_event()) is not None:
            event()
        self._run_pending()

    def _next_event(self) -> Callable[[], None] | None:
        """Return what happens next, if it is due: earliest first, then the older owner's."""
        events = [*self._tube_events(), *self._client_events()]
        due = [event for event in events if event[0] <= self.now]
        return min(due, key=lambda event: event[:3])[3] if due else None

    def _tube_events(self) -> Iterator[Event]:
        for tube in self.tubes:
            for job in self._in("delayed", tube)[:1]:
                yield job.deadline, tube.serial, 0, partial(self._ready, job)
            if tube.paused_until is not None:
                yield tube.paused_until, tube.serial, 1, partial(self._unpause, tube)

    def _unpause(self, tube: ModelTube) -> None:
        tube.paused_until, tube.pause = None, 0
        for job in self._in("ready", tube):
            self._ready(job)

    def _client_events(self) -> Iterator[Event]:
        for client in self.clients:
            lease = self._first_lease(client)
            for job in sorted(self.jobs, key=lambda job: job.id):
                if job.holder is client and job.deadline == lease:
                    yield lease, client.serial, 0, partial(self._expire, job)
                    break
            if client.waits_until is not None:
                soon = partial(self._answer, client, b"DEADLINE_SOON\r\n")
                late = partial(self._answer, client, b"TIMED_OUT\r\n")
                if not client.awaits:
                    yield lease - SECOND, client.serial, 1, soon
                yield client.waits_until, client.serial, 2, late

    def _expire(self, job: ModelJob) -> None:
        job.timeouts += 1
        self._ready(job)

    # -- clients --------------------------------------------------------------------------------

    def connect(self) -> ModelClient:
        self.serial += 1
        client = ModelClient(self.serial, self.tubes[0], [self.tubes[0]])
        self.clients.append(client)
        return client

    def disconnect(self, client: ModelClient) -> None:
        client.waits_until = None
        self.clients.remove(client)
        held = [job for job in self.jobs if job.holder is client]
        for job in sorted(held, key=lambda job: (job.pri, job.id)):
            self._ready(job)
        self._drop_tubes()
        self._run_pending()

    def run(self, client: ModelClient, *commands: Command) -> None:
        client.pending += commands
        self._go_on(client)
        self._run_pending()

    def _run_pending(self) -> None:
        while self.runnable:
            self._go_on(self.runnable.pop(0))

    def _go_on(self, client: ModelClient) -> None:
        while client.pending and client.waits_until is None:
            name, *args = client.pending.pop(0)
            reply = getattr(self, "do_" + str(name).replace("-", "_"))(client, *args)
            if reply is not None:
                client.out.append(reply)
            self._drop_tubes()

    # -- commands -------------------------------------------------------------------------------

    def do_put(self, client: ModelClient, pri: int, delay: int, ttr: int, body: bytes) -> bytes:
        self.last_id += 1
        tube = client.used
        job = ModelJob(self.last_id, tube, pri, delay, max(ttr, 1), body, self.now)
        self.jobs.append(job)
        tube.total += 1
        if delay:
            job.state, job.deadline = "delayed", self.now + delay * SECOND
        else:
            self._ready(job)
        return b"INSERTED %d\r\n" % job.id

    def do_reserve(self, client: ModelClient) -> bytes | None:
        return self._reserve(client, FOREVER)

    def do_reserve_with_timeout(self, client: ModelClient, seconds: int) -> bytes | None:
        return self._reserve(client, self.now + seconds * SECOND)

    def _reserve(self, client: ModelClient, until: int) -> bytes | None:
        job = self._best(client)
        return self._lease(job, client) if job is not None else self._wait(client, until)

    def _best(self, client: ModelClient) -> ModelJob | None:
        open_tubes = [tube for tube in client.watched if tube.paused_until is None]
        ready = [job for tube in open_tubes for job in self._in("ready", tube)]
        return min(ready, key=lambda job: (job.pri, job.id), default=None)

    def _wait(self, client: ModelClient, until: int) -> bytes | None:
        if self._first_lease(client) - SECOND <= self.now:
            return b"DEADLINE_SOON\r\n"
        if until <= self.now:
            return b"TIMED_OUT\r\n"
        client.waits_until, client.waits_since = until, self._next()
        return None

    def do_reserve_job(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        if job is None or job.state == "reserved":
            return b"NOT_FOUND\r\n"
        return self._lease(job, client)

    def do_delete(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        if job is None or job.holder not in (None, client):
            return b"NOT_FOUND\r\n"
        self.jobs.remove(job)
        job.tube.deletes += 1
        return b"DELETED\r\n"

    def do_release(self, client: ModelClient, number: int, pri: int, delay: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.pri, job.delay, job.holder = pri, delay, None
        job.releases += 1
        if delay:
            job.state, job.deadline = "delayed", self.now + delay * SECOND
        else:
            self._ready(job)
        return b"RELEASED\r\n"

    def do_bury(self, client: ModelClient, number: int, pri: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.pri, job.holder, job.state, job.buried_as = pri, None, "buried", self._next()
        job.buries += 1
        return b"BURIED\r\n"

    def do_touch(self, client: ModelClient, number: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.deadline = self.now + job.ttr * SECOND
        return b"TOUCHED\r\n"

    def do_kick(self, client: ModelClient, bound: int) -> bytes:
        jobs = self._in("buried", client.used) or self._in("delayed", client.used)
        for job in jobs[:bound]:
            job.kicks += 1
            self._ready(job)
        return b"KICKED %d\r\n" % len(jobs[:bound])

    def do_kick_job(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        if job is None or job.state not in ("buried", "delayed"):
            return b"NOT_FOUND\r\n"
        job.kicks += 1
        self._ready(job)
        return b"KICKED\r\n"

    def do_use(self, client: ModelClient, name: str) -> bytes:
        client.used = self._make_tube(name)
        return b"USING %b\r\n" % name.encode()

    def do_watch(self, client: ModelClient, name: str) -> bytes:
        tube = self._make_tube(name)
        if tube not in client.watched:
            client.watched.append(tube)
        return b"WATCHING %d\r\n" % len(client.watched)

    def do_ignore(self, client: ModelClient, name: str) -> bytes:
        tube = self._tube(name)
        if tube in client.watched:
            if len(client.watched) == 1:
                return b"NOT_IGNORED\r\n"
            client.watched.remove(tube)
        return b"WATCHING %d\r\n" % len(client.watched)

    def do_pause_tube(self, client: ModelClient, name: str, seconds: int) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        tube.pauses += 1
        if seconds:
            tube.pause, tube.paused_until = seconds, self.now + seconds * SECOND
        else:
            self._unpause(tube)
        return b"PAUSED\r\n"

    # -- looking --------------------------------------------------------------------------------

    def _show(self, jobs: list[ModelJob]) -> bytes:
        if not jobs:
            return b"NOT_FOUND\r\n"
        return b"FOUND %d %d\r\n%b\r\n" % (jobs[0].id, len(jobs[0].body), jobs[0].body)

    def do_peek(self, client: ModelClient, number: int) -> bytes:
        return self._show([job for job in self.jobs if job.id == number])

    def do_peek_ready(self, client: ModelClient) -> bytes:
        return self._show(self._in("ready", client.used))

    def do_peek_delayed(self, client: ModelClient) -> bytes:
        return self._show(self._in("delayed", client.used))

    def do_peek_buried(self, client: ModelClient) -> bytes:
        return self._show(self._in("buried", client.used))

    def do_list_tubes(self, client: ModelClient) -> bytes:
        return document("".join(f"- {tube.name}\n" for tube in self.tubes))

    def do_list_tubes_watched(self, client: ModelClient) -> bytes:
        return document("".join(f"- {tube.name}\n" for tube in client.watched))

    def do_list_tube_used(self, client: ModelClient) -> bytes:
        return b"USING %b\r\n" % client.used.name.encode()

    def do_stats_job(self, client: ModelClient, number: int) -> bytes:
        job = self._job(number)
        if job is None:
            return b"NOT_FOUND\r\n"
        timed = job.state in ("reserved", "delayed")
        left = max(job.deadline - self.now, 0) // SECOND if timed else 0
        return document(
            f'id: {job.id}\ntube: "{job.tube.name}"\nstate: {job.state}\npri: {job.pri}\n'
            f"age: {(self.now - job.created) // SECOND}\ndelay: {job.delay}\nttr: {job.ttr}\n"
            f"time-left: {left}\nfile: 0\nreserves: {job.reserves}\ntimeouts: {job.timeouts}\n"
            f"releases: {job.releases}\nburies: {job.buries}\nkicks: {job.kicks}\n"
        )

    def do_stats_tube(self, client: ModelClient, name: str) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        return document("".join(f"{line}\n" for line in self._tube_lines(tube)))

    def _tube_lines(self, tube: ModelTube) -> list[str]:
        urgent = [job for job in self._in("ready", tube) if job.pri < 1024]
        states = {s: len(self._in(s, tube)) for s in ("ready", "reserved", "delayed", "buried")}
        left = 0 if tube.paused_until is None else (tube.paused_until - self.now) // SECOND
        return [
            f'name: "{tube.name}"',
            f"current-jobs-urgent: {len(urgent)}",
            *(f"current-jobs-{state}: {count}" for state, count in states.items()),
            f"total-jobs: {tube.total}",
            f"current-using: {sum(client.used is tube for client in self.clients)}",
            f"current-watching: {sum(tube in client.watched for client in self.clients)}",
            f"current-waiting: {len(self._waiting(tube))}",
            f"cmd-delete: {tube.deletes}",
            f"cmd-pause-tube: {tube.pauses}",
            f"pause: {tube.pause}",
            f"pause-time-left: {left}",
        ]


def document(text: str) -> bytes:
    body = b"---\n" + text.encode()
    return b"OK %d\r\n%b\r\n" % (len(body), body)
