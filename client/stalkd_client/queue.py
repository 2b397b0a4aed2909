"""A queue by name: values in, values out, without a thought of the protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, overload

from stalkd_client import codecs
from stalkd_client.bodies import Bodies
from stalkd_client.errors import (
    ExistsError,
    JobTooBigError,
    LeaseLostError,
    NotFoundError,
    StalkdError,
    TimedOutError,
    UnsupportedByServerError,
)
from stalkd_client.leases import Lease
from stalkd_client.operations import WINDOW
from stalkd_client.progress import Report, reporting
from stalkd_client.pushing import Keys, Pusher, Ranges, too_big
from stalkd_client.requests import delete, put_form
from stalkd_client.spill import Spill
from stalkd_client.tasks import inlining
from stalkd_client.tubes import Tube

if TYPE_CHECKING:
    from stalkd_client.jobs import Job
    from stalkd_client.worker.attaching.attach import Attachment, Outputs


MOST: Final = 1_000
"""Jobs that stalkd gives at once."""


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
        spill: str | os.PathLike[str] | None = None,
        retry_for: float = 0.0,
    ) -> None:
        """Be the queue of that name on the server at ``url``; if None, on that in STALKD_URL.

        ``codec`` is ``json``, ``bytes``, ``text``, or ``pickle`` if ``trusted``. ``spill`` is a
        directory for bodies that are larger than the server takes; who reads them must have it,
        too. Raises ValueError.
        """
        super().__init__(name, url, retry_for=retry_for)
        self._retry_for = retry_for
        parked = None if spill is None else Spill(spill)
        self._bodies = Bodies(codecs.find(codec, trusted=trusted), parked, self._largest_body)

    def _largest_body(self) -> int:
        return int(str(self.client.stats()["max-job-size"]))

    # -- in -------------------------------------------------------------------------------------

    def push(self, value: Any, *, key: str | None = None, **options: Any) -> int:
        """Put one value; return the job's id.

        Options are those of ``Client.put`` but for ``tube``. With a ``key`` that a living job of
        this queue has, that one's id is returned, and nothing is put. Raises as ``Client.put``.
        """
        form = put_form(**options, keyed=key is not None)
        mode = inlining.current()
        if mode is not None:
            return mode.take(self.name, value, self._bodies.codec)
        body = self._bodies.dumps(value)
        try:
            return self.client.execute(form.request(body, key))
        except ExistsError as error:
            if not self._is_body_of(error.id, body):
                self._bodies.forget(body)
            return error.id
        except StalkdError as error:
            self._bodies.forget(body)
            if isinstance(error, JobTooBigError):
                text = f"{error} ({len(body)} bytes): {too_big(self._bodies.limit)}"
                raise JobTooBigError(text) from None
            raise

    def _is_body_of(self, job_id: int, body: bytes) -> bool:
        """Tell whether a job is there by a put of our own, that was sent again without need.

        Its file must then stay, and also if nobody knows.
        """
        if self._bodies.spill is None:
            return True
        try:
            return self.client.peek(job_id).body == body
        except NotFoundError:
            return False
        except OSError:
            return True

    @overload
    def push_many(
        self,
        values: list[Any],
        *,
        key: Keys | None = None,
        progress: Report | bool = False,
        total: int | None = None,
        parallel: int = 1,
        **options: Any,
    ) -> list[int]: ...

    @overload
    def push_many(
        self,
        values: Iterable[Any] | Ranges,
        *,
        key: Keys | None = None,
        progress: Report | bool = False,
        total: int | None = None,
        parallel: int = 1,
        **options: Any,
    ) -> int | list[int]: ...

    def push_many(
        self,
        values: Iterable[Any] | Ranges,
        *,
        key: Keys | None = None,
        progress: Report | bool = False,
        total: int | None = None,
        parallel: int = 1,
        **options: Any,
    ) -> int | list[int]:
        """Put any number of values, without waiting for each.

        Returns their ids for a list, else their number: a generator may go on for ever, in constant
        memory.

        ``key`` makes a value's key. ``progress`` is called with the number so far; True draws a bar
        on standard error, for ``total`` values if that is known. ``parallel`` processes share the
        work if ``values`` can be sliced, or is a function that makes the values of a range: see
        ``stalkd_client.parallel.share``. Raises PushError at the first value that is refused.
        """
        if total is None and isinstance(values, Sized):
            total = len(values)
        done, ids = 0, list[int]()
        with reporting(progress, total) as report:
            for piece in self._pieces(values, key, total, parallel, options):
                done += len(piece)
                if isinstance(values, list):
                    ids += piece
                report(done)
        return ids if isinstance(values, list) else done

    def _pieces(
        self,
        values: Iterable[Any] | Ranges,
        key: Keys | None,
        total: int | None,
        parallel: int,
        options: dict[str, Any],
    ) -> Iterator[list[int]]:
        """Push, and give the ids of each piece."""
        mode = inlining.current()
        if mode is not None:
            return mode.take_all(self.name, values, total, self._bodies.codec)
        if parallel == 1 and not callable(values):
            return self._pusher(key, options).push(values)
        if total is None or not (callable(values) or hasattr(values, "__getitem__")):
            raise TypeError(
                "pushing in parallel takes what can be sliced, or a function of ranges and total="
            )
        from stalkd_client.parallel import share  # noqa: PLC0415 - few need it

        spill = self._bodies.spill
        place = None if spill is None else str(spill.directory)
        url, codec = str(self.client.address), self._bodies.codec.name
        push = Elsewhere(self.name, url, codec, place, key, options, self._retry_for)
        return share(push, cast("Sequence[Any] | Ranges", values), total, parallel)

    def _pusher(self, key: Keys | None, options: dict[str, Any]) -> Pusher:
        form = put_form(**options, keyed=key is not None)
        return Pusher(self.client, self._bodies, form, key)

    # -- out ------------------------------------------------------------------------------------

    def lease(self, count: int = 1, timeout: float | None = 0) -> list[Lease]:
        """Reserve up to so many jobs; wait for the first so many seconds at most, None for ever.

        Returns an empty list when there is none, and at most MOST jobs. Raises ValueError for a
        count below 1.
        """
        try:
            jobs = self._reserve(min(count, MOST), timeout)
        except TimedOutError:
            return []
        return [Lease(self.client, self._bodies, job) for job in jobs]

    def _reserve(self, count: int, timeout: float | None) -> list[Job]:
        try:
            return self.client.reserve_batch(count, timeout)
        except UnsupportedByServerError:
            return self._reserve_singly(count, timeout)

    def _reserve_singly(self, count: int, timeout: float | None) -> list[Job]:
        """Reserve jobs of a plain beanstalkd, one after the other."""
        jobs = [self.client.reserve(timeout)]
        try:
            while len(jobs) < count:
                jobs.append(self.client.reserve(0))
        except StalkdError:
            pass
        except BaseException:  # Nobody gets those before it, so nobody would end their leases.
            self._give_back(Lease(self.client, self._bodies, job) for job in jobs)
            raise
        return jobs

    def pop(self, count: int = 1, timeout: float | None = 0) -> list[Any]:
        """Take up to so many values out for good: what happens to them then, is your business.

        Those whose lease ended before they were out are left to whoever has them by then. Raises
        ValueError if a body is not what the codec writes; then all of them stay.
        """
        leases = self.lease(count, timeout)
        try:
            values = [lease.value for lease in leases]
        except BaseException:  # A pickle may raise anything.
            self._give_back(leases)
            raise
        done = {lease.id for lease in self._acknowledge(leases)}
        return [value for lease, value in zip(leases, values, strict=True) if lease.id in done]

    def _give_back(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            with suppress(StalkdError, OSError):  # It goes back by itself when its lease ends.
                lease.retry()

    def ack(self, leases: Iterable[Lease]) -> int:
        """Acknowledge many, hundreds with one exchange; return how many were still leased."""
        return len(self._acknowledge(leases))

    def _acknowledge(self, leases: Iterable[Lease]) -> list[Lease]:
        """Acknowledge; return those that were still leased."""
        open_ones = [lease for lease in leases if not lease.is_over]
        done: list[Lease] = []
        # All at once could stop both sides: we send, and the server waits for us to read.
        for start in range(0, len(open_ones), WINDOW):
            done += self._delete(open_ones[start : start + WINDOW])
        return done

    def _delete(self, leases: list[Lease]) -> list[Lease]:
        held = [lease for lease in leases if self.client.holds(lease.job)]
        for lease in leases:
            lease.is_over = True
        try:
            results = self.client.execute_all([delete(lease.job) for lease in held])
        except LeaseLostError:  # The connection broke before anything was sent on it.
            return []
        done = [lease for lease, result in zip(held, results, strict=True) if result is None]
        if self._bodies.spill is not None:
            for lease in done:
                self._bodies.forget(lease.job.body)
        return done

    # -- workers --------------------------------------------------------------------------------

    def attach(
        self,
        function: Callable[..., Any] | str,
        output_queues: Outputs = (),
        *,
        iter_output: bool = False,
        readers_per_job: int = 1,
        max_parallel_jobs: int = 1,
        **options: Any,
    ) -> Attachment:
        """Run a handler over this queue in the background, for as long as this program runs.

        The function is found by its name by processes of its own: it is at the top of a module, or
        of the script that runs. ``readers_per_job`` of them always run; if there is more work, up
        to ``max_parallel_jobs`` times as many.

        Options are those of ``stalk-worker``, with underscores: ``retry_on`` (exceptions),
        ``retry_delay``, ``max_retries``, ``on_error`` (a mapping of exceptions to queues, Routes,
        or ``{"queue": ..., "delay": ...}``), ``concurrency``, ``burst``, ... Returns when the
        worker works. What it warns of goes to the logger ``stalkd_client.worker``.

        Raises ValueError for what is wrong with function or options; AttachError if the worker
        cannot begin; RuntimeError in a module that a worker imports.
        """
        # The program that only puts and takes needs none of it.
        from stalkd_client.worker.attaching.attach import attach, process_options  # noqa: PLC0415 - so

        if self._bodies.spill is not None:
            raise ValueError("a worker does not read bodies that are in files: leave out spill")
        codec = self._bodies.codec.name
        place: dict[str, Any] = {"queue": self.name, "url": str(self.client.address)}
        if codec != "json":
            place |= {"codec": codec, "trusted": codec == "pickle"}
        return attach(
            place,
            function,
            output_queues=output_queues,
            iter_output=iter_output,
            processes=process_options(readers_per_job, max_parallel_jobs),
            options=options,
        )

    def __iter__(self) -> Iterator[Lease]:
        """Give one leased job after the other, for ever; each is to be ended before the next."""
        while True:
            yield from self.lease(1, None)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Pushes in another process: what is needed there to be the same queue."""

    name: str
    url: str
    codec: str
    spill: str | None
    key: Keys | None
    options: dict[str, Any]
    retry_for: float = 0.0

    def __call__(self, values: Iterable[Any], before: int) -> list[int]:
        """Push a piece, with so many values before it; return the ids. Raises PushError."""
        with self._queue() as queue:
            pusher = queue._pusher(self.key, self.options)  # noqa: SLF001 - it is ours
            return [each for ids in pusher.push(values, before) for each in ids]

    def _queue(self) -> Queue:
        return Queue(
            self.name,
            self.url,
            codec=self.codec,
            trusted=True,  # Nothing is read here.
            spill=self.spill,
            retry_for=self.retry_for,
        )
