"""A queue by name: values in, values out, without a thought of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, overload

from stalkd_client import codecs
from stalkd_client.errors import (
    ERRORS,
    ExistsError,
    LeaseLostError,
    ProtocolError,
    StalkdError,
    TimedOutError,
    UnsupportedByServerError,
)
from stalkd_client.leases import Lease
from stalkd_client.requests import PutForm, delete, put_form
from stalkd_client.tubes import Tube

if TYPE_CHECKING:
    from stalkd_client.jobs import Job

PIECE: Final = 10_000
"""Values of a long row that are pushed in one go: what memory holds of it at a time."""


class PushError(StalkdError):
    """A value was refused in the middle of many. ``pushed`` is how many before it were taken.

    Of those behind it, some may have been taken too: the rest of its piece, of at most PIECE.
    """

    def __init__(self, message: str, pushed: int) -> None:
        super().__init__(message)
        self.pushed = pushed


class Queue(Tube):
    """The jobs of one tube, as values.

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
        super().__init__(name, url, retry_for=retry_for)
        self._codec = codecs.find(codec, trusted=trusted)

    # -- in -------------------------------------------------------------------------------------

    def push(self, value: Any, *, key: str | None = None, **options: Any) -> int:
        """Put one value; return the job's id.

        Options are those of ``Client.put`` but for ``tube``. With a ``key`` that a living job of
        this queue has, that one's id is returned, and nothing is put. Raises as ``Client.put``.
        """
        form = put_form(**options, keyed=key is not None)
        try:
            return self.client.execute(form.request(self._codec.dumps(value), key))
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
        form, total = put_form(**options, keyed=key is not None), 0
        ids: list[int] = []
        wants_ids = isinstance(values, list)
        rest = iter(values)
        while piece := list(islice(rest, PIECE)):
            found = self._push_piece(piece, form, key, total)
            total += len(found)
            if wants_ids:
                ids += found
            if progress is not None:
                progress(total)
        return ids if wants_ids else total

    def _push_piece(
        self, piece: list[Any], form: PutForm, key: Callable[[Any], str] | None, before: int
    ) -> list[int]:
        dumps, fill = self._codec.dumps, form.fill
        # All of them before the first is sent: what raises here must not raise in the middle.
        if key is None:
            puts = [fill(dumps(value)) for value in piece]
        else:
            puts = [fill(dumps(value), key(value)) for value in piece]
        lines = self.client.pour(puts, extended=form.extended)
        ids: list[int] = []
        for line in lines:
            word, _, number = line.partition(b" ")
            if word not in {b"INSERTED", b"EXISTS"}:
                raise _refused(line, before + len(ids))
            ids.append(int(number))
        return ids

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
        held = [lease.job for lease in open_ones if self.client.holds(lease.job)]
        for lease in open_ones:
            lease.is_over = True
        try:
            done = self.client.execute_all([delete(job) for job in held])
        except LeaseLostError:  # The connection broke before anything was sent on it.
            return 0
        return sum(result is None for result in done)

    def __iter__(self) -> Iterator[Lease]:
        """Give one leased job after the other, for ever; each is to be ended before the next."""
        while True:
            yield from self.lease(1, None)


def _refused(line: bytes, pushed: int) -> Exception:
    if line.partition(b" ")[0] not in ERRORS:
        return ProtocolError(f"put: the server answered {line[:100]!r}")
    return PushError(f"after {pushed} values: {line.decode('latin-1')}", pushed)
