"""Rounds of torture: start, compare with the ledger, load, kill; again and again on one log."""

from __future__ import annotations

import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from support.command import FREE, STALKD, running
from support.daemon import START_SECONDS, Daemon, Wire
from support.ledger import DELAYED, Facts, Ledger, Step
from torture.client import Client
from torture.crew import ANCHOR_S, SHARED, SOLO, Mood, Nuisance, assemble
from torture.faults import with_faults
from torture.inspector import Inspector

LAST_WORDS_S = 10.0
"""How long a daemon that was told to stop may take to answer what it has received."""

MOST_ANSWERS = 6_000
"""Answers after which a round ends: the load is bounded in time and in number."""

TUBES = (*SHARED, *SOLO)

FLIGHTS_S = (0, 0.001, 0.004)
"""How long the last commands before a KILL may have: some of them get done."""

CHECK_S = 30.0

SYNCS = (("-f", "0"), ("-f", "5"), ("-f", "50"), ("-F",))
SEGMENTS = (32_768, 65_536, 200_000)
LARGEST = (20_000, 65_535, 250_000)
"""Bodies' sizes: the last is larger than most segments."""


@dataclass(frozen=True)
class Plan:
    """What one round is like; all that chance decides but the instants."""

    options: tuple[str, ...]
    mood: Mood
    false_starts: tuple[tuple[bool, float], ...]
    seconds: float
    gently: bool
    kicks: tuple[str, ...]
    deletes: tuple[str, ...]
    command: tuple[str, ...] = tuple(STALKD)

    def __str__(self) -> str:
        how = "TERM" if self.gently else "KILL"
        return (
            f"{' '.join(self.options)}, {len(self.false_starts)} false starts, up to"
            f" {self.mood.depth} commands at once, {how} after {self.seconds:.3f} s"
        )


def plan(rng: Random, largest: int) -> Plan:
    """Roll the dice for one round; ``largest`` is the largest body that there may be already."""
    size = rng.choice(LARGEST)
    limit = rng.choice((size, max(size, largest)))  # A restart may allow less than there is.
    options = (*rng.choice(SYNCS), "-s", str(rng.choice(SEGMENTS)), "-z", str(limit))
    mood = Mood(
        depth=rng.choice((1, 5, 30, 100)),
        largest=size,
        puts=rng.uniform(0.3, 0.9),
        deletes=rng.uniform(0.1, 0.7),
    )
    empties = rng.random() < 0.1
    return Plan(
        options=options,
        mood=mood,
        false_starts=tuple(_false_start(rng) for _ in range(rng.choice((0, 0, 1, 2)))),
        seconds=0.0 if empties else rng.uniform(0, rng.choice((0.05, 0.5, 0.5, 1.5))),
        gently=rng.random() < 0.2,
        kicks=tuple(tube for tube in TUBES if rng.random() < 0.2),
        deletes=TUBES if empties else (),
    )


def _false_start(rng: Random) -> tuple[bool, float]:
    """Choose whether to wait until it listens, and how long to wait then."""
    listens = rng.random() < 0.7
    return listens, rng.uniform(0, 0.1 if listens else 0.2)


class Torture:
    """One log, all that is known of it, and the rounds that it goes through."""

    def __init__(self, directory: Path, seed: int, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._seed = seed
        self._say = say
        say(f"seed {seed}, log in {directory}")
        self._ledger = Ledger()
        self._in_flight: list[list[Step]] = []
        self._reserves = 0
        self._first_id = 1
        self._largest = 0
        self.answers = 0

    def round(self, number: int, *, gently: bool | None = None, fault: str = "") -> None:
        """Go through one round, with a fault of the disk. Raises AssertionError on any loss."""
        rng = Random(f"{self._seed}/{number}")
        chosen = plan(rng, self._largest)
        if gently is not None:
            chosen = replace(chosen, gently=gently)
        if fault:
            mood = replace(chosen.mood, refusals=(b"OUT_OF_MEMORY",))
            command = tuple(with_faults(fault))
            chosen = replace(chosen, mood=mood, command=command, false_starts=())
        self._say(f"round {number}: {chosen}{f', {fault}' if fault else ''}")
        self._largest = max(self._largest, chosen.mood.largest)
        for listens, seconds in chosen.false_starts:
            self._start_in_vain(chosen.options, seconds, listens=listens)
        with self._daemon(chosen.options, chosen.command) as daemon:
            self._inspect(daemon, chosen, is_first=number == 1)
            self._load(daemon, rng, chosen, number)
        self._check()

    def finish(self) -> None:
        """Look once more, at everything."""
        with self._daemon(()) as daemon:
            everything = replace(plan(Random(0), 0), kicks=TUBES, deletes=TUBES)
            self._inspect(daemon, everything, is_first=False)
            assert daemon.terminate() == 0
        self._check()

    # -- the daemon -----------------------------------------------------------------------------

    @contextmanager
    def _daemon(self, options: Sequence[str], command: Sequence[str] = STALKD) -> Iterator[Daemon]:
        with running(*FREE, "-b", str(self._directory), *options, command=command) as daemon:
            yield daemon

    def _start_in_vain(self, options: Sequence[str], seconds: float, *, listens: bool) -> None:
        """Kill a daemon while it starts: before or while it reads its log, or just after."""
        daemon = Daemon([*STALKD, *FREE, "-b", str(self._directory), *options])
        try:
            if listens:
                daemon.wait_until_listening()
            time.sleep(seconds)
            assert daemon.running, f"it did not start: {daemon.log}"
        finally:
            daemon.kill()
            daemon.close()

    def _check(self) -> None:
        command = [*STALKD, "--check", str(self._directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHECK_S)
        assert done.returncode == 0, f"--check says {done.stdout}{done.stderr}"

    # -- comparing ------------------------------------------------------------------------------

    def _inspect(self, daemon: Daemon, chosen: Plan, *, is_first: bool) -> None:
        with Wire(daemon.address, START_SECONDS) as wire:
            inspector = Inspector(self._ledger, wire)
            last_id = inspector.inspect(self._in_flight, self._first_id, self._reserves)
            self._in_flight, self._first_id, self._reserves = [], last_id + 1, 0
            for tube in chosen.kicks:
                inspector.kick_all_buried(tube)
            for tube in chosen.deletes:
                inspector.delete_all(tube)
            if is_first:
                self._anchor(wire)

    def _anchor(self, wire: Wire) -> None:
        """Put the jobs that keep the tubes alive."""
        for tube in TUBES:
            body = b"anchor of %b" % tube.encode()
            step = self._ledger.put("anchor", body, Facts(DELAYED, tube, delay=ANCHOR_S))
            assert wire.ask(b"use %b" % tube.encode()).startswith(b"USING")
            wire.send(b"put 0 %d 60 %d\r\n%b\r\n" % (ANCHOR_S, len(body), body))
            self._ledger.inserted(step.job, int(wire.read_line().split()[1]))
            self._ledger.answered(step)

    # -- loading --------------------------------------------------------------------------------

    def _load(self, daemon: Daemon, rng: Random, chosen: Plan, number: int) -> None:
        clients = (
            assemble(daemon.address, self._ledger, rng, chosen.mood, number)
            if chosen.seconds
            else []
        )
        try:
            self._work(daemon, clients, chosen)
            if chosen.gently:
                daemon.signal(signal.SIGTERM)
                _listen_to_the_end(clients)
                assert daemon.wait() == 0, daemon.log
            else:
                for client in clients:
                    client.step()
                time.sleep(rng.uniform(0, rng.choice(FLIGHTS_S)))
                daemon.kill()
                for client in clients:
                    client.listen()
        finally:
            for client in clients:
                client.close()
        self.answers += sum(client.done for client in clients)
        self._in_flight = [
            [step for command in client.in_flight for step in command.steps] for client in clients
        ]
        waiting = [command for client in clients for command in client.in_flight]
        self._reserves = sum(command.reserves for command in waiting)

    def _work(self, daemon: Daemon, clients: list[Client], chosen: Plan) -> None:
        """Let everybody say and hear what they can, for some time."""
        ends = time.monotonic() + chosen.seconds
        while time.monotonic() < ends and sum(each.done for each in clients) < MOST_ANSWERS:
            for client in clients:
                client.step()
                if client.ended:
                    assert isinstance(client, Nuisance), f"{client.name} was hung up: {daemon.log}"
            _wait_for_any(clients, ends)


def _wait_for_any(clients: Sequence[Client], ends: float) -> None:
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if not client.ended:
                selector.register(client, selectors.EVENT_READ)
        selector.select(min(0.01, max(0, ends - time.monotonic())))


def _listen_to_the_end(clients: Sequence[Client]) -> None:
    """Take the last answers of a daemon that stops."""
    deadline = time.monotonic() + LAST_WORDS_S
    while open_ones := [client for client in clients if not client.ended]:
        assert time.monotonic() < deadline, "the daemon was told to stop, and keeps connections"
        for client in open_ones:
            client.flush()
            client.listen()
        time.sleep(0.001)
