"""Several lives of a daemon on one disk, and a look at it after a power cut at every point."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from crash.ledger import MS, Ledger, Snapshot, Violation, snapshot
from crash.life import Life
from crash.powercut import crash_states
from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.journal.errors import JournalError
from stalkd.journal.log import Log
from stalkd.journal.options import LogOptions
from stalkd.journal.replay import Recovered, Replay
from support.disk import Disk, Fault, Killed, Kind, SimDirectory

WRITTEN_BACK_NS = 35 * NS_PER_S
"""How long Linux keeps what is written from the disk, at most."""

KIB = 1024

NOT_YET = 1 << 60

totals: Counter[str] = Counter()
"""What has been looked at in this process."""


@dataclass
class Plan:
    """What to do.

    ``samples`` are the states looked at after a power cut, at a point chosen with ``density``;
    ``again`` is how often the power is cut while such a state is recovered, too. ``pace`` makes
    time pass faster. The disk may be small (``capacity``), unable to reserve space, or write
    nothing by itself, as no system does for long.
    """

    seed: int
    sync_ms: int | None = 0
    lives: int = 3
    rounds: int = 40
    samples: int = 4
    density: float = 1.0
    again: float = 0.01
    pace: int = 1
    capacity: int | None = None
    can_allocate: bool = True
    writes_back: bool = True
    endings: tuple[str, ...] = ("end", "kill", "cut")

    @property
    def interval(self) -> int | None:
        return None if self.sync_ms is None else self.sync_ms * MS


class RefusedLogError(Violation):
    """The log is said to be damaged."""


class Refused(Exception):
    """The log could not be used, for an error of the system."""


class Told:
    """What the operator was told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def tell(self, event: str, **_fields: object) -> None:
        self.events.append(event)
        totals[event] += 1


class History:
    """Runs a plan. Raises Violation when a promise is broken."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = Random(plan.seed)
        self.chance = Random(plan.seed + 1)
        """For what must not change the history itself."""
        self.time = 1_700_000_000 * NS_PER_S
        self.ledger = Ledger(plan.interval, {})
        self.steps = 0
        self.told = Told()
        self.life: Life | None = None
        self.kill_at = NOT_YET
        self._looked_at = (-1, -1)
        self.disk = Disk()
        self.disk.capacity = plan.capacity
        self.disk.can_allocate = plan.can_allocate
        self._watch(self.disk)

    def _watch(self, disk: Disk) -> None:
        disk.now = self.time
        disk.on_step, disk.on_pause = self._on_step, self._on_pause

    # -- each operation -------------------------------------------------------------------------

    def _on_step(self, kind: Kind, name: str) -> Fault | None:
        self._on_pause()
        self.steps += 1
        return self.inject(self.steps, kind)

    def inject(self, _number: int, _kind: Kind) -> Fault | None:
        """Tell what goes wrong with an operation."""
        return None

    def _on_pause(self) -> None:
        thread = self.life.thread if self.life is not None else None
        if thread is not None and thread.is_inside():
            thread.pause()
        else:
            self._point()
            self._work()

    def _point(self) -> None:
        """The power may go here, or the process end."""
        if self.steps >= self.kill_at:
            raise Killed
        now = (self.disk.serial, self.ledger.acknowledged)
        if now != self._looked_at and self.chance.random() < self.plan.density:
            self._looked_at = now
            self.look()

    def _work(self, steps: int | None = None) -> None:
        """Let the task that syncs get on."""
        life = self.life
        while life is not None and life.thread is not None and not life.thread.is_done:
            if steps is None and self.rng.random() >= life.eagerness:
                break
            life.thread.step()
            self._point()

    # -- power cuts -----------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the states that a power cut may leave now."""
        totals["points"] += 1
        for state in crash_states(self.disk, self.chance, self.plan.samples):
            totals["states"] += 1
            found = self.verify(state)
            if found is not None and self.chance.random() < self.plan.again:
                self._cut_again(state, found)

    def verify(self, state: Disk) -> Snapshot | None:
        """Recover a state, and check it; None if it was refused, and may be."""
        try:
            broker, _, wall = recover(state, self.time, self.chance)
        except RefusedLogError as refusal:
            self.excuse(refusal)
            return None
        found = snapshot(broker, wall)
        self.ledger.match(found, broker.last_id, self.time)
        return found

    def excuse(self, refusal: RefusedLogError) -> None:
        """Without syncs, a log may be refused if the system wrote nothing back in a minute."""
        if self.plan.sync_ms is not None or self.plan.writes_back:
            raise refusal
        totals["refused"] += 1

    def _cut_again(self, state: Disk, found: Snapshot) -> None:
        """Cut the power at points of the recovery: the same must be found."""
        broker, recovered, wall = recover(state, self.time, self.chance)
        expected = Ledger(0, found, self.ledger.given)

        def look() -> None:
            for again in crash_states(state, self.chance, 2):
                totals["states of a recovery"] += 1
                other, _, lead = recover(again, self.time, self.chance)
                expected.match(snapshot(other, lead), other.last_id, self.time)

        def on_step(_kind: Kind, _name: str) -> None:
            look()

        state.on_step, state.on_pause = on_step, look
        try:
            log = self._new_log(SimDirectory(state), broker, recovered, wall, Told())
        except Refused:
            assert state.capacity is not None
            return
        expected.ids[0] = broker.last_id  # From now on somebody may know it.
        look()
        log.close(self.time - wall + 1)
        look()

    # -- lives ----------------------------------------------------------------------------------

    def _new_log(
        self, disk: SimDirectory, broker: Broker, recovered: Recovered, wall: int, told: Told
    ) -> Log:
        options = LogOptions(32 * KIB, self.plan.sync_ms)
        now = self.time - wall
        try:
            return Log(disk, broker, recovered, options, now, wall, told.tell)
        except OSError as error:
            raise Refused(str(error)) from error

    def run(self) -> None:
        """Live through the plan. Raises Violation."""
        try:
            for _ in range(self.plan.lives):
                self._live_once()
        except RefusedLogError as refusal:
            self.excuse(refusal)

    def _live_once(self) -> None:
        ending = self.rng.choice(self.plan.endings)
        self.kill_at = NOT_YET
        if ending != "end":
            self.kill_at = self.steps + self.rng.randrange(5, self.plan.rounds * 6)
        try:
            self.live()
        except Refused:
            totals["refused for want of space"] += 1
            if self.disk.capacity is None:
                raise
            self.disk.capacity = None  # Make room.
            self.live()
        if ending == "cut":
            self.cut()

    def live(self) -> None:
        """Start, serve, and stop or be killed."""
        directory = SimDirectory(self.disk)
        try:
            self.start(directory)
            for _ in range(self.plan.rounds):
                self.round()
            if self.life is not None:
                self.end_life(self.life)
            self._point()
        except Killed:
            totals["kills"] += 1
        finally:
            directory.kill()
            self.bury()

    def end_life(self, life: Life) -> None:
        """Stop in good order."""
        life.end()
        if self.disk.opened and not life.told:
            raise Violation(f"{[file.name for file in self.disk.opened]} were not closed")

    def bury(self) -> None:
        """Let the thread of an ended process end."""
        if self.life is not None and self.life.thread is not None:
            self.life.thread.finish()
            error = self.life.thread.error
            if isinstance(error, AssertionError):
                raise error
        self.life = None

    def start(self, directory: SimDirectory) -> None:
        """Recover and start a log. Raises Refused."""
        is_settled = self.disk.serial == 0
        try:
            broker, recovered, wall = recover(self.disk, self.time, self.rng, directory)
        except OSError as error:
            raise Refused(str(error)) from error
        found = snapshot(broker, wall)
        self.ledger.match(found, broker.last_id, self.time)
        self.told = Told()
        new = Ledger(self.plan.interval, found, self.ledger.given)
        if is_settled:
            self.ledger = new
        log = self._new_log(directory, broker, recovered, wall, self.told)
        new.ids[0] = broker.last_id  # From now on somebody may know it.
        self.ledger = new
        self.life = Life(broker, log, new, wall, self.time - wall, self.rng)
        self.life.told = self.told.events
        self._point()

    def round(self, commands: int | None = None) -> None:
        """Let some time pass, and do a round."""
        life = self.life
        assert life is not None
        self.pass_time(life)
        if commands is None:
            commands = self.rng.choice([0, 1, 1, 2, 5, 12])
        life.round(life.now, commands)
        life.check()
        self._point()
        self._work()

    def pass_time(self, life: Life) -> None:
        step = self.rng.choice([0, 1, 1, 5, 20, 60, 200, 1500]) * MS * self.plan.pace + 1000
        deadline = life.next_deadline()
        if self.rng.random() < 0.8:  # Otherwise the machine is too busy to be in time.
            step = max(1000, min(step, deadline - life.now + 1000))
        life.now += step
        self.time += step
        self.disk.now = self.time
        if self.plan.sync_ms is None and self.plan.writes_back:
            self.disk.write_back(self.time - WRITTEN_BACK_NS)

    def cut(self) -> None:
        """Cut the power, and go on with what is on the disk then."""
        totals["power cuts"] += 1
        self.disk = next(crash_states(self.disk, self.rng, 1))
        self._watch(self.disk)


def recover(
    disk: Disk, time: int, rng: Random, directory: SimDirectory | None = None
) -> tuple[Broker, Recovered, int]:
    """Read a log; return the broker, what was recovered, and the wall clock's lead."""
    broker = Broker()
    now = rng.randrange(100 * NS_PER_S)
    wall = time - now
    replay = Replay(directory or SimDirectory(disk), broker, now, wall)
    try:
        for _ in replay.run():
            pass
    except JournalError as error:
        raise RefusedLogError(f"refused: {error}") from error
    check(broker)
    if replay.recovered.next_number == 1:
        replay.recovered.log_id = rng.getrandbits(64)
    return broker, replay.recovered, wall
