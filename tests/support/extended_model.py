"""The naive model with the extended commands. Times are milliseconds, rates thousandths."""

from __future__ import annotations

from math import ceil

from support.extended_rules import BURST, MILLION, ExtendedRules
from support.model import document
from support.model_state import FOREVER, SECOND, ModelClient, ModelJob, ModelTube

Options = dict[str, int | str]

POLICY = ("attempts", "dead", "ttl", "max-jobs", "rate", "concurrency", "ageing")
IN_THOUSANDTHS = {"ttl", "rate", "ageing"}
STATES = ("ready", "delayed", "buried", "reserved")


def decimal(thousandths: int) -> str:
    """A number with three decimals."""
    whole, rest = divmod(max(thousandths, 0), 1000)
    return f"{whole}.{rest:03}"


class ExtendedModel(ExtendedRules):
    """All commands but those that only tell about clients or reasons."""

    # -- producers ------------------------------------------------------------------------------

    def do_put_with(
        self, client: ModelClient, pri: int, delay: int, ttr: int, options: Options, body: bytes
    ) -> bytes:
        tube = self._make_tube(str(options.get("tube", client.used.name)))
        key = str(options.get("key", ""))
        twins = [job for job in self.jobs if job.tube is tube and key and job.key == key]
        if twins:
            return b"EXISTS %d\r\n" % twins[0].id
        if self._is_full(tube):
            return b"TUBE_FULL\r\n"
        self.last_id += 1
        lease = ttr or SECOND
        seconds, ttr_seconds = ceil(delay / SECOND), ceil(lease / SECOND)
        job = ModelJob(self.last_id, tube, pri, seconds, ttr_seconds, body, self.now)
        job.lease, job.key = lease, key
        job.attempts, job.dead = int(options.get("attempts", 0)), str(options.get("dead", ""))
        ttl = int(options.get("ttl", 0))
        job.expires = self.now + ttl if ttl else FOREVER
        has_decimals = delay % SECOND or lease % SECOND
        job.has_terms = bool(has_decimals or key or ttl or job.attempts or job.dead)
        self._add(job, delay)
        return b"INSERTED %d\r\n" % job.id

    # -- consumers ------------------------------------------------------------------------------

    def do_reserve_batch(self, client: ModelClient, most: int, timeout: int) -> bytes | None:
        client.batch = most
        first = self._best(client)
        if first is None:
            return self._wait(client, self.now + timeout)
        self._lease(first, client)
        return self._batch(client, first)

    def _wait(self, client: ModelClient, until: int) -> bytes | None:
        reply = super()._wait(client, until)
        if reply is not None:
            client.batch = 0
        return reply

    def _batch(self, client: ModelClient, first: ModelJob) -> bytes:
        """One whose lease has ended meanwhile comes alone."""
        jobs, most = [first], client.batch
        client.batch = 0
        while len(jobs) < most and first.holder is client:
            job = self._best(client)
            if job is None:
                break
            self._lease(job, client)
            jobs.append(job)
        return b"RESERVED_BATCH %d\r\n" % len(jobs) + b"".join(map(self._job_line, jobs))

    def _job_line(self, job: ModelJob) -> bytes:
        ttr = decimal(job.lease) if job.lease % SECOND else str(job.ttr)
        attempt = job.reserves - job.used_before
        words = (job.id, len(job.body), job.pri, ttr, attempt, job.tube.name)
        return " ".join(map(str, ("JOB", *words))).encode() + b"\r\n" + job.body + b"\r\n"

    def do_touch_for(self, client: ModelClient, number: int, time: int) -> bytes:
        job = self._held(client, number)
        if job is None:
            return b"NOT_FOUND\r\n"
        job.deadline = self.now + time
        return b"TOUCHED\r\n"

    def do_wait_job(self, client: ModelClient, number: int, timeout: int) -> bytes | None:
        job = self._job(number)
        if job is None:
            return b"NOT_FOUND\r\n"
        if job.state == "buried" or job.death is not None:
            return b"BURIED\r\n"
        if not timeout:
            return b"TIMED_OUT\r\n"
        client.awaits, client.waits_until = number, self.now + timeout
        client.waits_since = self._next()
        return None

    # -- many jobs at once ----------------------------------------------------------------------

    def _held_in(self, tube: ModelTube) -> list[ModelJob]:
        def order(job: ModelJob) -> tuple[int, int, int]:
            assert job.holder is not None
            return job.holder.serial, job.deadline, job.id

        return sorted(self._in("reserved", tube), key=order)

    def do_purge_tube(self, client: ModelClient, name: str, states: str) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        chosen = [state for state in STATES if states in {state, "all"}]
        held = self._held_in(tube) if "reserved" in chosen else []
        idle = [job for state in chosen if state != "reserved" for job in self._in(state, tube)]
        for job in [*idle, *held]:
            self._remove(job, b"NOT_FOUND\r\n")
            self._serve(tube)
        return b"PURGED %d\r\n" % (len(idle) + len(held))

    def do_release_tube(self, client: ModelClient, name: str) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        held = self._held_in(tube)
        for job in held:
            self._end_lease(job, "taken back")
        return b"RELEASED %d\r\n" % len(held)

    def do_move_jobs(
        self, client: ModelClient, name: str, state: str, target: str, most: int
    ) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        jobs = self._in(state, tube)[:most]
        for job in jobs:
            job.key, job.state = "", "nowhere"
            self._enter(job, target)
            job.has_terms = job.has_terms or job.reserves > 0
            self._revive(job)
            if state == "delayed":
                job.state = state
            else:
                self._ready(job)
            self._drop_tubes()
        return b"MOVED %d\r\n" % len(jobs)

    # -- policies -------------------------------------------------------------------------------

    def do_set_policy(self, client: ModelClient, name: str, options: Options) -> bytes:
        tube = self._make_tube(name)
        ageing = self._rule(tube, "ageing")
        tube.policy = {key: value for key, value in {**tube.policy, **options}.items() if value}
        if self._rule(tube, "ageing") != ageing:
            for job in self._in("ready", tube):
                self._start_waiting(job)
        rate = self._rule(tube, "rate")
        if rate:  # A new one holds at once.
            tube.next_due = min(tube.next_due, self.now + max(MILLION // rate, BURST))
        self._restrict(tube)
        self._serve(tube)
        return b"POLICY_SET\r\n"

    def do_get_policy(self, client: ModelClient, name: str) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        return document("".join(f"{key}: {self._show_rule(tube, key)}\n" for key in POLICY))

    def _show_rule(self, tube: ModelTube, key: str) -> str:
        if key == "dead":
            return f'"{tube.policy.get(key, "")}"'
        value = self._rule(tube, key)
        return decimal(value) if key in IN_THOUSANDTHS else str(value)

    # -- looking --------------------------------------------------------------------------------

    def do_list_jobs(
        self, client: ModelClient, name: str, states: str, after: int, limit: int
    ) -> bytes:
        tube = self._tube(name)
        if tube is None:
            return b"NOT_FOUND\r\n"
        chosen = [job for job in self.jobs if job.tube is tube and states in {job.state, "all"}]
        found = sorted((job for job in chosen if job.id > after), key=lambda job: job.id)
        more = found[limit - 1].id if len(found) > limit else 0
        listed = "".join(map(self._describe, found[:limit]))
        return document(f"next: {more}\n" + (f"jobs:\n{listed}" if listed else "jobs: []\n"))

    def _describe(self, job: ModelJob) -> str:
        text = (
            f'- id: {job.id}\n  state: "{job.state}"\n  pri: {job.pri}\n'
            f"  age: {decimal(self.now - job.created)}\n  bytes: {len(job.body)}\n"
            f"  ttr: {decimal(job.lease)}\n  reserves: {job.reserves}\n"
        )
        if job.state in {"reserved", "delayed"}:
            text += f"  time-left: {decimal(job.deadline - self.now)}\n"
        if job.key:
            text += f'  key: "{job.key}"\n'
        if job.expires != FOREVER:
            text += f"  expires-in: {decimal(job.expires - self.now)}\n"
        if job.attempts:
            text += f"  attempts: {job.attempts}\n"
        if job.dead:
            text += f'  dead: "{job.dead}"\n'
        if job.death is not None:
            when, origin, reason = job.death
            text += f'  died: {decimal(self.now - when)}\n  died-in: "{origin}"\n'
            text += f'  died-because: "{reason}"\n'
        return text

    def do_stats_tubes(self, client: ModelClient) -> bytes:
        return document("tubes:\n" + "".join(map(self._summary, self.tubes)))

    def _summary(self, tube: ModelTube) -> str:
        created = [job.created for job in self._in("ready", tube)]
        oldest = (self.now - min(created)) // SECOND if created else 0
        lines = [
            *self._tube_lines(tube),
            f"jobs-expired: {tube.expired}",
            f"jobs-dead: {tube.died}",
            f"jobs-rejected: {tube.rejected}",
            f"oldest-ready-age: {oldest}",
        ]
        return "- " + "\n  ".join(lines) + "\n"
