"""A queue by name: values in, values out, without a thought of the protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, overload

from stalkd_client import codecs, requests
from stalkd_client.client import Client
from stalkd_client.errors import (
    ERRORS,
    ExistsError,
    LeaseLostError,
    NotFoundError,
    ProtocolError,
    StalkdError,
    TimedOutError,
    UnsupportedByServerError,
)
from stalkd_client.leases import Lease
from stalkd_client.requests import DEFAULT_PRIORITY, DEFAULT_TTR

if TYPE_CHECKING:
    from stalkd_client.documents import Mapping
    from stalkd_client.jobs import Job

PIECE: Final = 10_000
"""Values of a long row that are pushed in one go: what memory holds of it at a time."""

LOOK_AGAIN_S: Final = 0.25
"""How often ``block_until_empty`` looks."""

STATES: Final = ("ready", "reserved", "delayed", "buried")


class PushError(StalkdError):
    """A value was refused in the middle of many. ``pushed`` is how many before it were taken.

    Of those behind it, some may have been taken too: the rest of its piece, of at most PIECE.
    """

    def __init__(self, message: str, pushed: int) -> None:
        super().__init__(message)
        self.pushed = pushed


@dataclass(frozen=True, slots=True)
class Options:
    """How values are put. Times in seconds; ``key`` makes the unique key of a value."""

    priority: int = DEFAULT_PRIORITY
    delay: float = 0
    ttr: float = DEFAULT_TTR
    ttl: float | None = None
    attempts: int | None = None
    dead: str | None = None
    sync: bool = False


class Queue:
    """The jobs of one tube.

        queue = Queue("mail")
        queue.push({"to": "you@example.org"})
        for lease in queue.lease(10, timeout=1):
            with lease:
                send(lease.value)

    Values are JSON by default: tuples become lists, and keys of mappings become strings. With
    codec ``bytes`` or ``text`` they stay as they are.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        codec: str = "json",
        trusted: bool = False,
        retry_for: float = 0.0,
    ) -> None:
        """Be the queue of that name on the server at ``url``; if None, on that in STALKD_URL.

        ``codec`` is ``json``, ``bytes``, ``text``, or ``pickle`` if ``trusted``. Raises ValueError.
        """
        self.name = name
        self._codec = codecs.find(codec, trusted=trusted)
        self.client = Client(url, use=name, watch=name, retry_for=retry_for)

    def __repr__(self) -> str:
        return f"<Queue {self.name} of {self.client.address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; jobs that are leased go back to the queue."""
        self.client.close()

    # -- in -------------------------------------------------------------------------------------

    def push(self, value: Any, *, key: str | None = None, **options: Any) -> int:
        """Put one value; return the job's id.

        Options are those of ``Options``. With a ``key`` that a living job of this queue has, that
        one's id is returned, and nothing is put. Raises as ``Client.put`` does.
        """
        chosen = Options(**options)
        try:
            return self.client.execute(self._put(value, chosen, key))
        except ExistsError as error:
            return error.id

    @overload
    def push_many(
        self,
        values: list[Any],
        *,
        key: Callable[[Any], str] | None = None,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> list[int]: ...

    @overload
    def push_many(
        self,
        values: Iterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> int | list[int]: ...

    def push_many(
        self,
        values: Iterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> int | list[int]:
        """Put any number of values, without waiting for each.

        Returns their ids for a list, else their number: a generator may go on for ever, in
        constant memory.

        ``key`` makes a value's key; ``progress`` is called with the number so far. Raises PushError
        at the first value that is refused.
        """
        chosen, total = Options(**options), 0
        ids: list[int] = []
        wants_ids = isinstance(values, list)
        rest = iter(values)
        while piece := list(islice(rest, PIECE)):
            found = self._push_piece(piece, chosen, key, total)
            total += len(found)
            if wants_ids:
                ids += found
            if progress is not None:
                progress(total)
        return ids if wants_ids else total

    def _push_piece(
        self, piece: list[Any], chosen: Options, key: Callable[[Any], str] | None, before: int
    ) -> list[int]:
        puts = (self._put(value, chosen, None if key is None else key(value)) for value in piece)
        lines = self.client.pour((request.data, request.extended) for request in puts)
        ids: list[int] = []
        for line in lines:
            word, _, number = line.partition(b" ")
            if word not in {b"INSERTED", b"EXISTS"}:
                raise _refused(line, before + len(ids))
            ids.append(int(number))
        return ids

    def _put(
        self,
        value: Any,
        chosen: Options,
        key: str | None,
    ) -> requests.Request[int]:
        return requests.put(
            self._codec.dumps(value),
            priority=chosen.priority,
            delay=chosen.delay,
            ttr=chosen.ttr,
            key=key,
            ttl=chosen.ttl,
            attempts=chosen.attempts,
            dead=chosen.dead,
            sync=chosen.sync,
        )

    # -- out ------------------------------------------------------------------------------------

    def lease(self, count: int = 1, timeout: float | None = 0) -> list[Lease]:
        """Reserve up to so many jobs; wait for the first so many seconds at most, None for ever.

        Returns an empty list when there is none.
        """
        try:
            jobs = self._reserve(count, timeout)
        except TimedOutError:
            return []
        return [Lease(self.client, self._codec, job) for job in jobs]

    def _reserve(self, count: int, timeout: float | None) -> list[Job]:
        try:
            return self.client.reserve_batch(count, timeout)
        except UnsupportedByServerError:
            jobs = [self.client.reserve(timeout)]
        while len(jobs) < count:  # A plain beanstalkd gives them one by one.
            try:
                jobs.append(self.client.reserve(0))
            except StalkdError:
                break
        return jobs

    def pop(self, count: int = 1, timeout: float | None = 0) -> list[Any]:
        """Take up to so many values out for good: what happens to them then, is your business."""
        leases = self.lease(count, timeout)
        values = [lease.value for lease in leases]
        self.ack(leases)
        return values

    def ack(self, leases: Iterable[Lease]) -> int:
        """Acknowledge many with one exchange; return how many were still leased."""
        open_ones = [lease for lease in leases if not lease.is_over]
        held = [lease.id for lease in open_ones if self.client.holds(lease.job)]
        for lease in open_ones:
            lease.is_over = True
        try:
            done = self.client.execute_all([requests.delete(number) for number in held])
        except LeaseLostError:  # The connection broke before anything was sent on it.
            return 0
        return sum(result is None for result in done)

    def __iter__(self) -> Iterator[Lease]:
        """Give one leased job after the other, for ever; each is to be ended before the next."""
        while True:
            yield from self.lease(1, None)

    # -- looking and mending --------------------------------------------------------------------

    def info(self) -> Mapping:
        """Return what the server tells of this queue; zeros if there is nothing in it."""
        try:
            return self.client.stats_tube(self.name)
        except NotFoundError:
            return {"name": self.name, **{f"current-jobs-{state}": 0 for state in STATES}}

    def count(self, *states: str) -> int:
        """Return how many jobs there are, in all states or in these."""
        told = self.info()
        return sum(int(str(told[f"current-jobs-{state}"])) for state in states or STATES)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # A queue is something, also when it is empty.

    def block_until_empty(self, timeout: float | None = None) -> bool:
        """Wait until no job is left, in any state but buried; tell whether that came in time."""
        ends = None if timeout is None else time.monotonic() + timeout
        while self.count("ready", "reserved", "delayed"):
            if ends is not None and time.monotonic() >= ends:
                return False
            time.sleep(LOOK_AGAIN_S)
        return True

    def purge(self, state: str = "all") -> int:
        """Delete all jobs, or those in a state; return how many. Needs stalkd."""
        try:
            return self.client.purge_tube(self.name, state)
        except NotFoundError:
            return 0

    def release_all(self) -> int:
        """Take back all jobs that are leased, by whomever; return how many. Needs stalkd."""
        try:
            return self.client.release_tube(self.name)
        except NotFoundError:
            return 0

    def kick(self, count: int) -> int:
        """Make up to so many buried jobs ready, or delayed ones if none is; return the count."""
        return self.client.kick(count)

    def pause(self, seconds: float) -> None:
        """Let nobody lease jobs for some seconds."""
        self.client.pause_tube(self.name, seconds)

    def resume(self) -> None:
        """End a pause."""
        self.client.pause_tube(self.name, 0)

    @staticmethod
    def list(pattern: str = "*", url: str | None = None) -> list[str]:
        """Return the names of all queues that match a pattern as shells have it."""
        with Client(url) as client:
            return [name for name in client.list_tubes() if fnmatchcase(name, pattern)]


def _refused(line: bytes, pushed: int) -> Exception:
    if line.partition(b" ")[0] not in ERRORS:
        return ProtocolError(f"put: the server answered {line[:100]!r}")
    return PushError(f"after {pushed} values: {line.decode('latin-1')}", pushed)
