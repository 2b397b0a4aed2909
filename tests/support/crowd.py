"""Clients who do at random whatever there is to be done, to a core with a log."""

from __future__ import annotations

from random import Random

from stalkd.broker.limits import NS_PER_S
from stalkd.journal.limits import LEAST_SEGMENT
from stalkd.protocol.session import Session
from support.journal import EPOCH, MS, LogCore
from support.view import ready_orders

LARGEST = 2 * LEAST_SEGMENT


class Crowd:
    """Some clients who do at random whatever there is to be done.

    ``inserted`` is the highest id that any of them was told, over all restarts.
    """

    def __init__(self, core: LogCore, random: Random) -> None:
        self.core = core
        self.random = random
        self.inserted = 0
        self._enter()

    def _enter(self) -> None:
        self.sessions = [self.core.connect() for _ in range(3)]
        for session in self.sessions:
            self.core.send(session, b"watch a\r\nwatch b\r\n")

    def work(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        random, core = self.random, self.core
        if random.random() < 0.3:
            pause = random.choice([1, MS, 60 * MS, 700 * MS, 3 * NS_PER_S])
            core.advance(core.now + random.randrange(pause))
        session = random.choice(self.sessions)
        self.ask(session, b"".join(self.command() for _ in range(random.randint(1, 4))))

    def ask(self, session: Session, commands: bytes) -> None:
        core = self.core
        if session.stopped:  # It waits; ask for the next thing when it has got something.
            core.disconnect(session)
            self.sessions.remove(session)
            self._enter_one()
            session = self.sessions[-1]
        for line in core.ask(session, commands).split(b"\r\n"):
            if line.startswith(b"INSERTED "):
                self.inserted = max(self.inserted, int(line.split()[1]))

    def _enter_one(self) -> None:
        self.sessions.append(self.core.connect())
        self.core.send(self.sessions[-1], b"watch a\r\nwatch b\r\n")

    def command(self) -> bytes:
        random, jobs = self.random, self.core.broker.jobs
        job_id = random.choice(list(jobs)) if jobs and random.random() < 0.9 else 77
        if len(jobs) > 40 and random.random() < 0.5:
            return b"delete %d\r\n" % job_id
        held = [job.id for job in jobs.values() if job.holder is not None]
        held_id = random.choice(held) if held else 77
        tube = random.choice([b"default", b"a", b"b", b"c" * 200])
        numbers = (
            random.choice([0, 5, 1023, 2**32 - 1]),
            random.choice([0, 0, 0, 1, 3, 2**32 - 1]),
        )
        kind = random.choice(KINDS)
        if kind == "put":
            body = random.randbytes(self.size())
            return b"put %d %d %d %d\r\n%b\r\n" % (
                *numbers,
                random.choice([1, 2, 99]),
                len(body),
                body,
            )
        return {
            "reserve": b"reserve-with-timeout %d\r\n" % random.choice([0, 0, 0, 1]),
            "reserve-job": b"reserve-job %d\r\n" % job_id,
            "release": b"release %d %d %d\r\n" % (held_id, *numbers),
            "bury": b"bury %d %d\r\n" % (held_id, numbers[0]),
            "kick": b"kick %d\r\n" % random.choice([1, 1, 1, 3]),
            "kick-job": b"kick-job %d\r\n" % job_id,
            "touch": b"touch %d\r\n" % held_id,
            "delete": b"delete %d\r\n" % random.choice([job_id, held_id]),
            "use": b"use %b\r\n" % tube,
            "watch": b"watch %b\r\n" % tube,
            "ignore": b"ignore %b\r\n" % tube,
            "pause": b"pause-tube %b %d\r\n" % (tube, random.choice([0, 1, 5, 2**32 - 1])),
        }[kind]

    def size(self) -> int:
        """Mostly small; now and then as large as a segment, or larger."""
        random = self.random
        top = random.choice([0, 10, 100, 1000, 1000, 5000])
        return random.randrange(LARGEST) if random.random() < 0.01 else random.randint(0, top)

    def restart(self) -> None:
        """Start again, a while later, on a machine with another clock."""
        random, core = self.random, self.core
        after = random.choice([0, 1, 800 * MS, 5 * NS_PER_S])
        core.check()
        expected = core.view(after)
        last_id = core.broker.last_id
        self.core = core = core.restart(
            kill=random.random() < 0.5, after=after, now=random.choice([0, 17, core.now, EPOCH])
        )
        assert core.view() == expected
        assert ready_orders(core.broker) == expected.ready
        assert self.inserted <= core.broker.last_id <= last_id
        assert core.recovered.notes == []
        core.check()
        self._enter()


KINDS = [
    *["put"] * 6,
    *["reserve"] * 4,
    *["release", "bury", "delete"] * 3,
    *["reserve-job", "kick", "kick-job", "use", "watch"],
    *["touch", "ignore", "pause"],
]
