"""A core with a log, without a server: a round after each batch of commands, syncs in line.

core = LogCore(Image())
core.ask(core.connect(), b"put 0 0 9 1\r\nx\r\n")
before = core.view()
core = core.restart()
assert core.view() == before
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.broker.tube import Tube
from stalkd.journal.files import Directory
from stalkd.journal.limits import LEAST_SEGMENT
from stalkd.journal.log import Log
from stalkd.journal.options import LogOptions
from stalkd.journal.recorder import job_size, pause_size, policy_size
from stalkd.journal.replay import Recovered, Replay
from stalkd.protocol.session import Session, Settings
from support.core import Core
from support.view import View, view

EPOCH = 1_750_000_000 * NS_PER_S
"""What the wall clock says when a test begins."""

MS = NS_PER_S // 1000

SYNC_NS = 1_000
"""How long a sync takes, as the log is told."""


# -- the core -------------------------------------------------------------------------------------


def read(directory: Directory, now: int, wall: int) -> tuple[Broker, Recovered]:
    """Replay a log. Raises what the replay raises."""
    broker = Broker()
    replay = Replay(directory, broker, now, wall)
    for _ in replay.run():
        pass
    check(broker)
    return broker, replay.recovered


class LogCore(Core):
    """A core whose jobs are in a log.

    ``now`` is the broker's clock, ``wall`` the wall clock's lead over it. ``told`` are the names of
    the events that the log reported.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        sync_ms: int | None = 0,
        segment_bytes: int = LEAST_SEGMENT,
        now: int = 0,
        wall: int = EPOCH,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(settings or Settings(max_job_size=1 << 24))
        self.directory = directory
        self.options = LogOptions(segment_bytes, sync_ms)
        self.now = now
        self.wall = wall
        self.told: list[str] = []
        self._told_fields: list[tuple[str, dict[str, object]]] = []
        replay = Replay(directory, self.broker, now, wall)
        for _ in replay.run():
            pass
        check(self.broker)
        self.recovered = replay.recovered
        self.log = Log(directory, self.broker, self.recovered, self.options, now, wall, self._tell)
        self.shared.journal = self.log
        self.broker.end_interrupted_leases(now)

    def _tell(self, name: str, **fields: object) -> None:
        self.told.append(name)
        self._told_fields.append((name, fields))

    # -- rounds -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run all commands, then do what the reactor does at the end of a round."""
        super().settle()
        self.round()

    def round(self) -> None:
        """Compact a little, write, and sync if it is time to."""
        self.log.compact(self.now)
        self.log.write(self.now, self.wall)
        self.sync()

    def receive(self, session: Session, data: bytes) -> None:
        """Run commands and write them, while a sync does not end."""
        self.service.receive(session, data, self.now)
        self.log.write(self.now, self.wall)

    def sync(self) -> None:
        task = self.log.begin_sync(self.now)
        if task is None:
            return
        error = None
        try:
            task.run()
        except OSError as caught:
            error = caught
        self.log.end_sync(task, error, SYNC_NS, self.now)

    def idle(self) -> None:
        """Let the log do all that it would do in the following seconds."""
        log = self.log
        for _ in range(100_000):
            self.advance(self.now + 100 * MS)
            busy = log.is_compacting or log.bounds.doomed or log.writer.has_pending()
            if not busy and log.next_deadline() > self.now + NS_PER_S:
                return
        raise AssertionError("the log does not come to rest")

    # -- ends and beginnings ----------------------------------------------------------------------

    def kill(self) -> None:
        """End without a word to the log: what was written is there, and nothing else."""
        for file in [*self.log.writer.retired, self.log.writer.file]:
            file.close()
        self.log.space.close()

    def details(self, name: str) -> list[dict[str, object]]:
        """The fields of the events of a name."""
        return [fields for each, fields in self._told_fields if each == name]

    def close(self) -> None:
        """End in good order."""
        self.log.close(self.now)

    def restart(
        self,
        *,
        kill: bool = False,
        after: int = 0,
        now: int | None = None,
        segment_bytes: int | None = None,
    ) -> Self:
        """End, and start again ``after`` nanoseconds, on a machine whose clock says ``now``."""
        if kill:
            self.kill()
        else:
            self.close()
        now = self.now if now is None else now
        return type(self)(
            self.directory,
            sync_ms=self.options.sync_ms,
            segment_bytes=segment_bytes or self.options.segment_bytes,
            now=now,
            wall=self.time + after - now,
        )

    # -- looking ----------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """What the wall clock says."""
        return self.now + self.wall

    def view(self, after: int = 0) -> View:
        """What a restart in ``after`` nanoseconds must bring back."""
        return view(self.broker, self.wall, self.time + after)

    @property
    def on_disk(self) -> int:
        """Bytes of all files, as ``stats`` says."""
        return int(self.log.statistics()["binlog-bytes-on-disk"])

    def live(self) -> int:
        """Bytes of the records that are needed: counted anew."""
        jobs = sum(map(job_size, self.broker.jobs.values()))
        tubes = self.broker.directory.tubes.values()
        pauses = sum(pause_size(tube) for tube in tubes if tube.paused_until)
        return jobs + pauses + sum(policy_size(tube) for tube in tubes if tube.policy is not None)

    def check(self) -> None:
        """Verify the broker, and that the log's accounts are what is counted anew."""
        check(self.broker)
        assert list(_faults(self.broker, self.log)) == []
        assert self.log.writer.live == self.live()


def _faults(broker: Broker, log: Log) -> Iterator[str]:
    """What is wrong with the log's accounts."""
    counted = dict.fromkeys(log.segments, 0)
    for job in broker.jobs.values():
        counted[job.file] = counted.get(job.file, 0) + job_size(job)
        if job.file not in log.segments or job.id not in log.segments[job.file].ids:
            yield f"{job} is not listed in segment {job.file}"
    for tube in broker.directory.tubes.values():
        yield from _tube_faults(tube)
        for file, size in ((tube.file, pause_size(tube)), (tube.policy_file, policy_size(tube))):
            if file:
                counted[file] += size
                if tube.name not in log.segments[file].tubes:
                    yield f"{tube} is not listed in segment {file}"
    if counted != {number: segment.live for number, segment in log.segments.items()}:
        yield f"{list(log.segments.values())} have live bytes {counted}"
    if list(log.segments) != sorted(log.segments) or log.writer.number not in log.segments:
        yield f"segments are {list(log.segments)}, written is {log.writer.number}"


def _tube_faults(tube: Tube) -> Iterator[str]:
    if bool(tube.file) != bool(tube.paused_until):
        yield f"{tube} is paused until {tube.paused_until}, in segment {tube.file}"
    if bool(tube.policy_file) != (tube.policy is not None):
        yield f"{tube} has the policy {tube.policy}, in segment {tube.policy_file}"
