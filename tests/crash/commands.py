"""Random commands of several clients, through the broker's methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from stalkd.broker import chores, policies
from stalkd.broker.broker import Broker
from stalkd.broker.choice import take_more
from stalkd.broker.client import Client
from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, Job
from stalkd.broker.limits import ID_MASK, NEVER
from stalkd.broker.policy import NO_POLICY
from stalkd.broker.terms import Terms

TUBES = ("default", "a", "b", "tube-with-a-long-name" * 4)
CLIENTS = 3
MS = 1_000_000
ENOUGH = 60_000
"""Bytes of bodies beyond which jobs are deleted more often than put."""


class Commands:
    """Runs one command after the other; ``admits`` tells whether a put finds room."""

    def __init__(self, broker: Broker, admits: Callable[[int], bool], rng: Random) -> None:
        self._broker = broker
        self._admits = admits
        self._rng = rng
        self.refused = 0
        self.largest = rng.choice([200, 3_000, 9_000])
        self.clients = [self._enter() for _ in range(CLIENTS)]
        self._mix = [
            (self._put, 30),
            (self._reserve, 20),
            (self._delete, 18),
            (self._release, 12),
            (self._bury, 8),
            (self._kick, 3),
            (self._kick_job, 3),
            (self._reserve_job, 3),
            (self._pause, 3),
            (self._touch, 2),
            (self._leave, 1),
            (self._put_with, 15),
            (self._batch, 5),
            (self._move, 4),
            (self._set_policy, 3),
            (self._touch_for, 1),
            (self._release_tube, 1),
            (self._purge, 1),
        ]

    def _enter(self) -> Client:
        directory = self._broker.directory
        client = directory.enter()
        for name in self._rng.sample(TUBES, 2):
            directory.watch(client, name)
        directory.use(client, self._rng.choice(TUBES))
        return client

    def run(self, now: int) -> None:
        """Run a command of some client that does not wait."""
        free = [client for client in self.clients if client.wait_until is None]
        if not free:
            return
        client = self._rng.choice(free)
        if self._broker.memory > ENOUGH and self._rng.random() < 0.6:
            self._delete_any(client, now)
            return
        command = self._rng.choices(*zip(*self._mix, strict=True))[0]
        command(client, now)

    def _put(self, client: Client, now: int) -> None:
        broker, rng = self._broker, self._rng
        body = rng.randbytes(rng.randrange(self.largest) if rng.random() < 0.9 else 40_000)
        delay = rng.choice([0, 0, 0, 1, 3])
        job_id = broker.new_id()
        if self._admits(len(body)):
            pri, ttr = rng.choice([0, 5, 2000]), rng.choice([1, 2, 60])
            broker.put(Job(job_id, client.used, pri, delay, ttr, body, now), now)
        else:
            self.refused += 1

    def _put_with(self, client: Client, now: int) -> None:
        broker, rng = self._broker, self._rng
        body, tube = rng.randbytes(rng.randrange(self.largest)), client.used
        job = Job(broker.new_id(), tube, rng.choice([0, 5]), rng.choice([0, 0, 1]), 1, body, now)
        terms = job.terms = Terms(rng.choice([1, 700, 1000, 5000]) * MS)
        terms.key = rng.choice(["", "one", "two", "three"])
        terms.attempts, terms.dead = rng.choice([0, 1, 2]), rng.choice(["", *TUBES])
        if rng.random() < 0.5:
            terms.expires = now + rng.choice([300, 2000, 60_000]) * MS
        if terms.key in tube.keys or tube.is_full():
            return
        if self._admits(len(body) + len(terms.key) + len(terms.dead)):
            broker.put(job, now, now + rng.choice([1, 400, 1000]) * MS)
        else:
            self.refused += 1

    def _batch(self, client: Client, now: int) -> None:
        if isinstance(self._broker.reserve(client, 0, now), Job):
            take_more(self._broker, client, 3, ENOUGH, now)

    def _move(self, client: Client, now: int) -> None:
        rng = self._rng
        source, target = rng.choice(TUBES), rng.choice(TUBES)
        state = rng.choice([READY, DELAYED, BURIED, BURIED])
        chores.move(self._broker, client, source, state, target, rng.choice([1, 4]), now)

    def _set_policy(self, _client: Client, now: int) -> None:
        rng = self._rng
        rules: dict[str, Any] = {
            "attempts": rng.choice([1, 2, 3]),
            "dead": rng.choice(TUBES),
            "ttl": rng.choice([500, 60_000]) * MS,
            "max_jobs": rng.choice([5, 50]),
            "rate": rng.choice([1000, 50_000]),
            "concurrency": rng.choice([1, 3]),
            "ageing": rng.choice([1, 10_000]),
        }
        chosen = rng.sample(list(rules.items()), rng.choice([0, 1, 2]))
        policies.decide(self._broker, rng.choice(TUBES), replace(NO_POLICY, **dict(chosen)), now)

    def _touch_for(self, client: Client, now: int) -> None:
        lease_ends = now + self._rng.choice([0, 1, 900, 9000]) * MS
        self._broker.touch_for(client, self._held(client), lease_ends)

    def _release_tube(self, client: Client, now: int) -> None:
        chores.release(self._broker, client, self._rng.choice(TUBES), now)

    def _purge(self, client: Client, now: int) -> None:
        state = self._rng.choice([READY, DELAYED, BURIED, RESERVED])
        chores.purge(self._broker, client, self._rng.choice(TUBES), (state,), now)

    def _reserve(self, client: Client, now: int) -> None:
        wait_until = NEVER if self._rng.random() < 0.1 else 0
        self._broker.reserve(client, wait_until, now)

    def _reserve_job(self, client: Client, now: int) -> None:
        if self._broker.jobs:
            self._broker.reserve_job(client, self._rng.choice(list(self._broker.jobs)), now)

    def _held(self, client: Client) -> int:
        held = [key & ID_MASK for key in client.leases]
        return self._rng.choice(held) if held else 0

    def _delete(self, client: Client, now: int) -> None:
        job_id = self._held(client)
        if job_id:
            self._broker.delete(client, job_id, now)
        else:
            self._delete_any(client, now)

    def _delete_any(self, client: Client, now: int) -> None:
        if self._broker.jobs:
            self._broker.delete(client, self._rng.choice(list(self._broker.jobs)), now)

    def _release(self, client: Client, now: int) -> None:
        pri, delay = self._rng.choice([0, 7, 3000]), self._rng.choice([0, 0, 1, 5])
        self._broker.release(client, self._held(client), pri, delay, now)

    def _bury(self, client: Client, now: int) -> None:
        self._broker.bury(client, self._held(client), self._rng.choice([0, 9]), now)

    def _kick(self, client: Client, now: int) -> None:
        self._broker.kick(client.used, self._rng.choice([1, 3]), now)

    def _kick_job(self, _client: Client, now: int) -> None:
        if self._broker.jobs:
            self._broker.kick_job(self._rng.choice(list(self._broker.jobs)), now)

    def _pause(self, _client: Client, now: int) -> None:
        self._broker.pause(self._rng.choice(TUBES), self._rng.choice([0, 1, 4]), now)

    def _touch(self, client: Client, now: int) -> None:
        self._broker.touch(client, self._held(client), now)

    def _leave(self, client: Client, now: int) -> None:
        self._broker.disconnect(client, now)
        self.clients.remove(client)
        self.clients.append(self._enter())
