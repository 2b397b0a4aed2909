"""Clients who do at random what the extended commands allow, to a core with a log."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from support.crowd import Crowd
from support.journal import LogCore

TUBES = (b"default", b"a", b"b", b"c" * 200)
SECONDS = (b"0", b"0.001", b"0.5", b"1", b"2.25", b"60", b"4294967294.999")
RULES = {
    b"attempts": (b"0", b"1", b"2", b"3"),
    b"dead": (b"", b"a", b"b", b"d" * 200),
    b"ttl": (b"0", b"0.5", b"3", b"60"),
    b"max-jobs": (b"0", b"5", b"50"),
    b"rate": (b"0", b"0.5", b"3.3", b"1000"),
    b"concurrency": (b"0", b"1", b"3"),
    b"ageing": (b"0", b"0.001", b"1", b"1000"),
}
TERMS = {
    b"tube": (*TUBES, b"e"),
    b"key": (b"one", b"two", b"k" * 250),
    b"ttl": (b"0.25", b"2", b"60"),
    b"attempts": (b"1", b"2", b"3"),
    b"dead": (b"a", b"b", b"d" * 200),
}


class ExtendedCrowd(Crowd):
    """Half of what they do is extended."""

    def __init__(self, core: LogCore, random: Random) -> None:
        super().__init__(core, random)
        self._kinds: list[Callable[[], bytes]] = [
            *[self._put_with] * 6,
            *[self._reserve_batch] * 3,
            *[self._move] * 2,
            self._set_policy,
            self._touch_for,
            self._release_tube,
            self._purge,
        ]

    def command(self) -> bytes:
        if self.random.random() < 0.5:
            return super().command()
        return self.random.choice(self._kinds)()

    def _options(self, table: dict[bytes, tuple[bytes, ...]], most: int) -> bytes:
        names = self.random.sample(list(table), self.random.randint(1, most))
        return b" ".join(b"%b=%b" % (name, self.random.choice(table[name])) for name in names)

    def _put_with(self) -> bytes:
        choice, body = self.random.choice, self.random.randbytes(self.size())
        delay, ttr = choice([b"0", b"0", *SECONDS]), choice(SECONDS)
        numbers = b"%d %b %b %d" % (choice([0, 5, 2**32 - 1]), delay, ttr, len(body))
        return b"put-with %b %b\r\n%b\r\n" % (numbers, self._options(TERMS, 3), body)

    def _reserve_batch(self) -> bytes:
        timeout = self.random.choice([b"0", b"0", b"0.5"])
        return b"reserve-batch %d %b\r\n" % (self.random.randint(1, 4), timeout)

    def _move(self) -> bytes:
        choice = self.random.choice
        state = choice([b"ready", b"delayed", b"buried", b"buried"])
        return b"move-jobs %b %b %b %d\r\n" % (choice(TUBES), state, choice(TUBES), choice([1, 5]))

    def _set_policy(self) -> bytes:
        return b"set-policy %b %b\r\n" % (self.random.choice(TUBES), self._options(RULES, 2))

    def _touch_for(self) -> bytes:
        jobs = self.core.broker.jobs.values()
        held = [job.id for job in jobs if job.holder is not None] or [77]
        return b"touch-for %d %b\r\n" % (self.random.choice(held), self.random.choice(SECONDS))

    def _release_tube(self) -> bytes:
        return b"release-tube %b\r\n" % self.random.choice(TUBES)

    def _purge(self) -> bytes:
        states = [b"ready", b"delayed", b"buried", b"reserved"]
        return b"purge-tube %b %b\r\n" % (self.random.choice(TUBES), self.random.choice(states))
