"""One connection as the protocol sees it, and what all connections share."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stalkd.broker.limits import JOB_COST
from stalkd.config import DEFAULT_MAX_JOB_SIZE, DEFAULT_SEGMENT_BYTES
from stalkd.protocol.limits import COMMANDS_PER_ROUND, OUTPUT_HIGH_WATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalkd.broker.broker import Broker
    from stalkd.broker.client import Client
    from stalkd.protocol.commands import Give
    from stalkd.protocol.upload import Discard, Upload

EXTENDED: Final = (
    "cmd-put-with",
    "cmd-reserve-batch",
    "cmd-touch-for",
    "cmd-wait-job",
    "cmd-list-jobs",
    "cmd-explain-job",
    "cmd-purge-tube",
    "cmd-release-tube",
    "cmd-move-jobs",
    "cmd-set-policy",
    "cmd-get-policy",
    "cmd-stats-tubes",
    "cmd-list-clients",
    "cmd-drain",
)
"""The commands beyond Beanstalk's, counted at the end of ``stats``."""

COUNTED: Final = (
    "cmd-put",
    "cmd-peek",
    "cmd-peek-ready",
    "cmd-peek-delayed",
    "cmd-peek-buried",
    "cmd-reserve",
    "cmd-reserve-with-timeout",
    "cmd-delete",
    "cmd-release",
    "cmd-use",
    "cmd-watch",
    "cmd-ignore",
    "cmd-bury",
    "cmd-kick",
    "cmd-touch",
    "cmd-stats",
    "cmd-stats-job",
    "cmd-stats-tube",
    "cmd-list-tubes",
    "cmd-list-tube-used",
    "cmd-list-tubes-watched",
    "cmd-pause-tube",
)
"""The commands that ``stats`` counts, in its order."""


class Journal(Protocol):
    """What commands ask of the log, where there is one."""

    def admits(self, body: int, /) -> bool:
        """Tell whether a put with so large a body finds room on the disk."""

    def demand_sync(self) -> None:
        """Let no reply leave that is made now before all is on the disk."""

    def statistics(self) -> dict[str, str | int]:
        """Return what ``stats`` shows of the log."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose. Sizes in bytes; ``max_memory`` None means no limit."""

    max_job_size: int = DEFAULT_MAX_JOB_SIZE
    max_memory: int | None = None
    segment_bytes: int = DEFAULT_SEGMENT_BYTES


class Shared:
    """What all sessions share.

    ``dirty`` lists the sessions that have output, ``runnable`` those whose backlog can go on, in
    the order of their turns. ``allowance`` is how many commands may still run in this round.
    ``uploading`` is the bytes of bodies that have arrived in part. ``surroundings`` returns what
    ``stats`` shows of the process and of the machine. ``log_lost`` says that there was a log, and
    that what happens now is forgotten at the next start.
    """

    def __init__(
        self,
        broker: Broker,
        settings: Settings,
        surroundings: Callable[[], tuple[dict[str, str | int], dict[str, str | int]]],
        started: int,
    ) -> None:
        """Start with no session; ``started`` is the time ``uptime`` counts from."""
        self.broker = broker
        self.max_job_size = settings.max_job_size
        self.max_memory = settings.max_memory
        self.segment_bytes = settings.segment_bytes
        self.surroundings = surroundings
        self.started = started
        self.draining = False
        self.journal: Journal | None = None
        self.log_lost = False
        self.counts = dict.fromkeys(COUNTED, 0)
        self.extended_counts = dict.fromkeys(EXTENDED, 0)
        self.dirty: list[Session] = []
        self.runnable: deque[Session] = deque()
        self.allowance = COMMANDS_PER_ROUND
        self.uploading = 0

    def start_round(self) -> Iterator[Session]:
        """Allow further commands; give the sessions that can go on, while the allowance lasts."""
        self.allowance = COMMANDS_PER_ROUND
        for _ in range(len(self.runnable)):
            if self.allowance <= 0:
                return
            session = self.runnable.popleft()
            session.queued = False
            yield session

    def take_dirty(self) -> list[Session]:
        """Return the sessions that have output, and forget that they have."""
        dirty, self.dirty = self.dirty, []
        return dirty

    def admits(self, body: int) -> bool:
        """Tell whether a job with so large a body finds room, in memory and in the log."""
        if self.max_memory is not None and not self.has_room(body + JOB_COST):
            return False
        return self.journal is None or self.journal.admits(body)

    def log_has_room(self) -> bool:
        """Tell whether the log can grow at this very moment, or there is none any more.

        ``broker.is_full`` is as old as the round, in which very many commands may have grown it.
        """
        return self.journal is None or self.log_lost or self.journal.admits(0)

    def has_room(self, size: int) -> bool:
        """Tell whether the memory limit admits ``size`` bytes more."""
        limit = self.max_memory
        return limit is None or self.broker.memory + self.uploading + size <= limit


class Session:
    """One connection: its client in the broker, unprocessed input, unsent output.

    ``stopped`` says that no command may run now: it waits in a reserve, has more output than
    it may (``full``), or is ``closing``; ``queued`` says that it has asked for a turn.
    ``backlog`` is input that has arrived and not been run; ``body`` is the put that the next bytes
    belong to; ``overlong`` means that the line in progress has already exceeded its limit and is
    dropped up to its end. ``impatient`` means that
    no reserve may wait, because the client has ended its side. ``last_pri`` and
    ``last_ttr`` are those of its last put: producers say the same ones again and again, and a
    million jobs can share the integers. ``give`` sends what it has waited for; None: as a reserve.
    ``heavies`` counts the commands that take long since it was last restrained for them, be that
    many turns ago.
    """

    __slots__ = (
        "backlog",
        "bad_lines",
        "body",
        "broker",
        "client",
        "closing",
        "counts",
        "full",
        "give",
        "heavies",
        "impatient",
        "input_ended",
        "large_output",
        "last_pri",
        "last_ttr",
        "output",
        "overlong",
        "queued",
        "shared",
        "stopped",
    )

    def __init__(self, shared: Shared, client: Client) -> None:
        """Start with nothing read and nothing to send."""
        self.shared = shared
        self.broker = shared.broker
        self.counts = shared.counts
        self.client = client
        self.backlog = b""
        self.body: Upload | Discard | None = None
        self.overlong = False
        self.output: list[bytes] = []
        self.large_output = 0
        self.full = False
        self.give: Give | None = None
        self.heavies = 0
        self.queued = False
        self.stopped = False
        self.closing = False
        self.impatient = False
        self.input_ended = False
        self.bad_lines = 0
        self.last_pri = 0
        self.last_ttr = 0

    def reply(self, data: bytes) -> None:
        """Send a short reply."""
        output = self.output
        if not output:
            self.shared.dirty.append(self)
        output.append(data)

    def reply_large(self, data: bytes) -> None:
        """Send a reply whose size the client's input does not bound, or stop."""
        self.reply(data)
        self.large_output += len(data)
        if self.large_output > OUTPUT_HIGH_WATER:
            self.full = self.stopped = True

    def restrain(self) -> None:
        """Run no further command until what there is has been sent."""
        if not self.stopped:
            self.full = self.stopped = True
            self.large_output += 1  # Then ``output_sent`` will be called.

    def take_output(self) -> bytes:
        """Return what is to be sent, and forget it."""
        output = self.output
        data = output.pop() if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def output_sent(self) -> None:
        """Note that what was taken has been sent: a full session may go on."""
        self.large_output = 0
        if self.output:
            self.shared.dirty.append(self)
        if self.full:
            self.full = False
            self.stopped = self.closing
        self._ask_for_turn()

    def go_on(self) -> None:
        """Run further commands: a wait is over."""
        self.stopped = self.closing
        self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        """Be queued if there is something to run, or to close after."""
        if not self.stopped and (self.backlog or self.input_ended):
            self.queue()

    def queue(self) -> None:
        """Ask for a turn."""
        if not self.queued:
            self.queued = True
            self.shared.runnable.append(self)
