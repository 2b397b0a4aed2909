"""The blocking client."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from stalkd_client import requests
from stalkd_client.address import Address, parse
from stalkd_client.conversation import (
    DEFAULT_TUBE,
    Clock,
    Close,
    Connect,
    Conversation,
    Operation,
    Receive,
    ReceiveLines,
    Send,
    Sleep,
    Talker,
)
from stalkd_client.errors import StalkdError, WrongUseError
from stalkd_client.jobs import Job, Page
from stalkd_client.requests import DEFAULT_PRIORITY, DEFAULT_TTR, Request
from stalkd_client.stream import Stream

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from stalkd_client.documents import Mapping

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10.0
"""How long one attempt to connect may take."""

PATIENCE_S: Final = 30.0
"""How long an answer may take that the server gives at once: it may be starting, its disk slow."""


def to_bytes(body: bytes | bytearray | memoryview | str) -> bytes:
    """Return a body as bytes; text as UTF-8."""
    return body.encode() if isinstance(body, str) else bytes(body)


def id_of(job: Job | int) -> int:
    """Return a job's id."""
    return job if isinstance(job, int) else job.id


class Client:
    """One connection to a server, made when it is needed.

        with Client() as client:
            client.put(b"hello", tube="mail")

    For one thread at a time, and not across a fork: both raise WrongUseError. A command that is
    interrupted (Ctrl-C, a signal handler that raises) costs no job, and the client stays usable.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        use: str = DEFAULT_TUBE,
        watch: Iterable[str] | str = (DEFAULT_TUBE,),
        connect_timeout: float = CONNECT_TIMEOUT_S,
        patience: float = PATIENCE_S,
        retry_for: float = 0.0,
        sock: socket.socket | None = None,
    ) -> None:
        """Be a client of the server at ``url``; if None, of the one in STALKD_URL.

        ``retry_for`` is how many seconds commands go on trying when the server is away, as far as
        that is safe; a put is only sent again if it has a key. ``sock`` is a connected socket to be
        used instead of making a connection. Raises ValueError for a bad address or tube.
        """
        self.address: Address = parse(url)
        watched = [watch] if isinstance(watch, str) else watch
        self._talker = Talker(use, watched, retry_for, patience)
        self._connect_timeout = connect_timeout
        self._given = sock
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __repr__(self) -> str:
        state = "connected" if self._stream is not None else "not connected"
        return (
            f"<{type(self).__name__} {self.address}, {state}, holds {len(self._talker.held)} jobs>"
        )

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
        """Hang up; the server takes back the jobs that are held. The client can be used again."""
        if self._stream is not None:
            self._do(self._talker.close())

    # -- doing what a conversation asks for -----------------------------------------------------

    def execute(self, request: Request[T]) -> T:
        """Do a command. Raises StalkdError, ConnectionError."""
        return self._do(self._talker.run(request))

    def execute_all(self, asked: Sequence[Request[T]]) -> list[T | StalkdError]:
        """Do commands with one exchange; a refusal stands for its result."""
        return self._do(self._talker.run_all(asked))

    def pour(self, puts: Iterable[tuple[bytes, bool]]) -> list[bytes]:
        """Do many puts, as ``conversation.pour`` has it; return the lines of reply."""
        return self._do(self._talker.pour(puts))

    def _do(self, conversation: Conversation[T]) -> T:
        with self._alone():
            try:
                operation = next(conversation)
                while True:
                    try:
                        result = self._perform(operation)
                    except BaseException as error:  # noqa: BLE001 - the conversation cleans up
                        self._talker.lost_nothing = (
                            self._stream is not None and self._stream.is_waiting
                        )
                        operation = conversation.throw(error)
                        self._talker.lost_nothing = False
                    else:
                        operation = conversation.send(result)
            except StopIteration as stop:
                value: T = stop.value
                return value
            finally:
                self._talker.lost_nothing = False
                if getattr(conversation, "gi_frame", None) is not None:
                    self._abandon()

    def _abandon(self) -> None:
        """Hang up: a handler raised between two operations, and nobody knows what is lost."""
        stream, self._stream = self._stream, None
        self._talker.forget()
        if stream is not None:
            stream.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if os.getpid() != self._pid:
            raise WrongUseError(
                "this client was made before a fork: both processes would read each other's"
                " replies; make a new client in the child"
            )
        if not self._lock.acquire(blocking=False):
            raise WrongUseError(
                "this client is in use by another thread: replies would be mixed up; give each"
                " thread a client of its own"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _perform(self, operation: Operation) -> Any:  # noqa: ANN401 - each has its own result
        stream = self._stream
        match operation:
            case Receive(size) if stream is not None:
                return stream.receive(size)
            case Send(data, patience) if stream is not None:
                return stream.send(data, patience)
            case ReceiveLines(count) if stream is not None:
                return stream.receive_lines(count)
            case Clock():
                return time.monotonic()
            case Connect():
                self._stream = self._connect()
            case Sleep(seconds):
                time.sleep(seconds)
            case Close():
                self._stream = None
                if stream is not None:
                    stream.close()
        return None

    def _connect(self) -> Stream:
        sock, self._given = self._given, None
        if sock is not None:
            return Stream(sock)
        try:
            return Stream.connect(self.address, self._connect_timeout)
        except OSError as error:
            raise ConnectionError(f"cannot connect to {self.address}: {error}") from error

    def holds(self, job: Job) -> bool:
        """Tell whether a job was reserved on the present connection, and not ended since."""
        return self._talker.is_held(job)

    def _reserved(self, job: Job) -> Job:
        return replace(job, connection=self._talker.connection)

    # -- producers ------------------------------------------------------------------------------

    def put(  # noqa: PLR0913 - these are the command's arguments
        self,
        body: bytes | str,
        *,
        priority: int = DEFAULT_PRIORITY,
        delay: float = 0,
        ttr: float = DEFAULT_TTR,
        tube: str | None = None,
        key: str | None = None,
        ttl: float | None = None,
        attempts: int | None = None,
        dead: str | None = None,
        sync: bool = False,
    ) -> int:
        """Put a job into the tube in use, or another; return its id.

        ``delay``, ``ttr`` and ``ttl`` in seconds. All from ``tube`` on, and fractions of seconds,
        need stalkd. Raises JobTooBigError, OutOfMemoryError, DrainingError; ExistsError if a job
        with that ``key`` is there; TubeFullError; NotDurableError for ``sync`` without a log.
        """
        return self.execute(
            requests.put(
                to_bytes(body),
                priority=priority,
                delay=delay,
                ttr=ttr,
                tube=tube,
                key=key,
                ttl=ttl,
                attempts=attempts,
                dead=dead,
                sync=sync,
            )
        )

    def use(self, tube: str) -> None:
        """Put into another tube from now on."""
        self._talker.used = self.execute(requests.use(tube))

    # -- consumers ------------------------------------------------------------------------------

    def reserve(self, timeout: float | None = None) -> Job:
        """Take the most urgent job; wait for one so many seconds at most, None for ever.

        Raises TimedOutError, DeadlineSoonError.
        """
        return self._reserved(self._do(self._talker.wait_for(requests.reserve, timeout)))

    def reserve_job(self, job: Job | int) -> Job:
        """Take this very job, whatever its state and tube. Raises NotFoundError."""
        return self._reserved(self.execute(requests.reserve_job(id_of(job))))

    def reserve_batch(self, most: int, timeout: float | None = 0) -> list[Job]:
        """Take up to so many of the most urgent jobs; wait for the first so many seconds at most.

        Needs stalkd. Raises TimedOutError, DeadlineSoonError.
        """
        ask = partial(requests.reserve_batch, most)
        jobs = self._do(self._talker.wait_for(ask, timeout))
        return [self._reserved(job) for job in jobs]

    def delete(self, job: Job | int) -> None:
        """Delete a job. Raises NotFoundError, LeaseLostError."""
        self.execute(requests.delete(self._talker.check_held(job)))

    def release(
        self, job: Job | int, *, priority: int = DEFAULT_PRIORITY, delay: float = 0
    ) -> None:
        """Give a job back, ready after ``delay`` seconds. Raises NotFoundError, LeaseLostError."""
        held = self._talker.check_held(job)
        self.execute(requests.release(held, priority=priority, delay=delay))

    def bury(self, job: Job | int, *, priority: int = DEFAULT_PRIORITY) -> None:
        """Put a job aside until it is kicked. Raises NotFoundError, LeaseLostError."""
        self.execute(requests.bury(self._talker.check_held(job), priority=priority))

    def touch(self, job: Job | int, seconds: float | None = None) -> None:
        """Start a job's time-to-run anew; or let its lease end so many seconds from now.

        ``seconds`` needs stalkd. Raises NotFoundError, LeaseLostError.
        """
        self.execute(requests.touch(self._talker.check_held(job), seconds))

    def watch(self, tube: str) -> int:
        """Reserve also from a tube; return how many are watched."""
        count = self.execute(requests.watch(tube))
        self._talker.watches(tube)
        return count

    def ignore(self, tube: str) -> int:
        """Reserve no more from a tube; return how many are watched. Raises NotIgnoredError."""
        count = self.execute(requests.ignore(tube))
        self._talker.ignores(tube)
        return count

    def wait_job(self, job: Job | int, timeout: float | None = None) -> str:
        """Wait for the end of a job; return ``deleted`` or ``buried``.

        ``timeout`` in seconds, None for no limit. Needs stalkd. Raises TimedOutError; NotFoundError
        when there is no such job, or it expired.
        """
        ask = partial(requests.wait_job, id_of(job))
        return self._do(self._talker.wait_for(ask, timeout))

    # -- everybody ------------------------------------------------------------------------------

    def kick(self, count: int) -> int:
        """Make buried jobs of the tube in use ready, or delayed ones if none is."""
        return self.execute(requests.kick(count))

    def kick_job(self, job: Job | int) -> None:
        """Make one buried or delayed job ready. Raises NotFoundError."""
        self.execute(requests.kick_job(id_of(job)))

    def pause_tube(self, tube: str, seconds: float) -> None:
        """Let nobody reserve from a tube for some seconds; 0 ends that. Raises NotFoundError."""
        self.execute(requests.pause_tube(tube, seconds))

    def peek(self, job: Job | int) -> Job:
        """Show a job. Raises NotFoundError."""
        return self.execute(requests.peek(id_of(job)))

    def peek_ready(self) -> Job:
        """Show the next job of the tube in use. Raises NotFoundError."""
        return self.execute(requests.peek_ready())

    def peek_delayed(self) -> Job:
        """Show the job of the tube in use whose delay ends first. Raises NotFoundError."""
        return self.execute(requests.peek_delayed())

    def peek_buried(self) -> Job:
        """Show the job of the tube in use that was buried first. Raises NotFoundError."""
        return self.execute(requests.peek_buried())

    def stats(self) -> Mapping:
        """Tell about the server."""
        return self.execute(requests.stats())

    def stats_job(self, job: Job | int) -> Mapping:
        """Tell about a job. Raises NotFoundError."""
        return self.execute(requests.stats_job(id_of(job)))

    def stats_tube(self, tube: str) -> Mapping:
        """Tell about a tube. Raises NotFoundError."""
        return self.execute(requests.stats_tube(tube))

    def list_tubes(self) -> list[str]:
        """List all tubes."""
        return self.execute(requests.list_tubes())

    def list_tubes_watched(self) -> list[str]:
        """List the tubes that are watched."""
        return self.execute(requests.list_tubes_watched())

    def list_tube_used(self) -> str:
        """Name the tube in use."""
        return self.execute(requests.list_tube_used())

    # -- what only stalkd can: beanstalkd raises UnsupportedByServerError -----------------------

    def list_jobs(self, tube: str, state: str = "all", *, after: int = 0, limit: int = 100) -> Page:
        """List jobs of a tube by id, behind ``after``. Raises NotFoundError.

        In a large tube a page may be short, or empty, before the end: go on at ``next``.
        """
        return self.execute(requests.list_jobs(tube, state, after=after, limit=limit))

    def explain_job(self, job: Job | int) -> tuple[Mapping, list[str]]:
        """Return all about a job, and the reasons why it does not run. Raises NotFoundError."""
        return self.execute(requests.explain_job(id_of(job)))

    def purge_tube(self, tube: str, state: str = "all") -> int:
        """Delete all jobs of a tube, or those in a state; return how many. Raises NotFoundError."""
        return self.execute(requests.purge_tube(tube, state))

    def release_tube(self, tube: str) -> int:
        """End all leases of a tube's jobs; return how many. Raises NotFoundError."""
        return self.execute(requests.release_tube(tube))

    def move_jobs(self, tube: str, state: str, target: str, count: int) -> int:
        """Put up to so many jobs of a tube into another, alive; return how many.

        Raises NotFoundError.
        """
        return self.execute(requests.move_jobs(tube, state, target, count))

    def set_policy(  # noqa: PLR0913 - these are the command's arguments
        self,
        tube: str,
        *,
        attempts: int | None = None,
        dead: str | None = None,
        ttl: float | None = None,
        max_jobs: int | None = None,
        rate: float | None = None,
        concurrency: int | None = None,
        ageing: float | None = None,
    ) -> None:
        """Change what holds for a tube; 0 or "" takes a rule away, None leaves it as it is."""
        self.execute(
            requests.set_policy(
                tube,
                attempts=attempts,
                dead=dead,
                ttl=ttl,
                max_jobs=max_jobs,
                rate=rate,
                concurrency=concurrency,
                ageing=ageing,
            )
        )

    def get_policy(self, tube: str) -> Mapping:
        """Show what holds for a tube. Raises NotFoundError."""
        return self.execute(requests.get_policy(tube))

    def stats_tubes(self) -> list[Mapping]:
        """Tell about all tubes."""
        return self.execute(requests.stats_tubes())

    def list_clients(self) -> list[Mapping]:
        """Tell about all connections."""
        return self.execute(requests.list_clients())

    def drain(self, *, on: bool = True) -> bool:
        """Let the server take no more jobs, or take them again; return whether it is draining."""
        return self.execute(requests.drain(on=on))
