"""What a client says and hears, without any I/O: both clients only do what is asked for here.

A conversation is a generator. It yields operations and is sent their results; an exception of an
operation is thrown into it. So connecting, retrying, restoring what was used and watched, and
cleaning up after an interruption stand once, for blocking and for async programs.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from stalkd_client import requests
from stalkd_client.errors import (
    LeaseLostError,
    ProtocolError,
    StalkdError,
    TimedOutError,
    UnsupportedByServerError,
)
from stalkd_client.jobs import Job
from stalkd_client.requests import Request

T = TypeVar("T")

DEFAULT_TUBE: Final = "default"

FIRST_PAUSE_S: Final = 0.05
"""Before the second attempt to connect; each further pause is twice as long, within limits."""

LONGEST_PAUSE_S: Final = 2.0
"""A server that comes back is found within so many seconds."""

SLICE_S: Final = 5.0
"""How long a command waits at a time while jobs are held."""

WINDOW: Final = 500
"""Puts sent together: their replies fit into the system's buffers many times over."""

WINDOW_BYTES: Final = 256 * 1024
"""... and at most so many bytes, but for one large body."""

WINDOWS: Final = 2
"""Windows on their way: while the server works on one, the next is made."""

MOST_DOUBLINGS: Final = 10
"""Beyond these, the longest pause is reached for sure."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send all of this; then let replies take so many seconds, None: as long as they like."""

    data: bytes
    patience: float | None


@dataclass(frozen=True, slots=True)
class Receive:
    """Return so many bytes; None: a line, without its CR LF."""

    size: int | None


@dataclass(frozen=True, slots=True)
class ReceiveLines:
    """Return so many lines, without their CR LF."""

    count: int


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Return the time, in seconds from some instant on."""


Operation = Connect | Send | Receive | ReceiveLines | Sleep | Close | Clock
Conversation = Generator[Operation, Any, T]


EXTENDED_PUT: Final = requests.put(b"", sync=True)
"""Stands for puts that only stalkd knows."""


def _windows(puts: Iterable[tuple[bytes, bool]]) -> Iterator[tuple[bytes, int, bool]]:
    """Give (commands, how many, whether any is extended) in pieces that can be sent at once."""
    pieces: list[bytes] = []
    size, is_extended = 0, False
    for data, extended in puts:
        pieces.append(data)
        size += len(data)
        is_extended = is_extended or extended
        if len(pieces) == WINDOW or size >= WINDOW_BYTES:
            yield b"".join(pieces), len(pieces), is_extended
            pieces, size, is_extended = [], 0, False
    if pieces:
        yield b"".join(pieces), len(pieces), is_extended


class Reply(Generic[T]):
    """A reply that is being read. ``wanted`` is what it needs next: bytes, None for a line."""

    def __init__(self, request: Request[T]) -> None:
        """Be at its beginning."""
        self._verb = request.verb
        self._reading = request.read()
        self.wanted = next(self._reading)

    def take(self, data: bytes) -> None:
        """Take what was wanted. Raises StopIteration with the result, StalkdError, OSError."""
        try:
            self.wanted = self._reading.send(data)
        except (ValueError, LookupError) as error:
            text = f"{self._verb}: the server answered {data[:100]!r}"
            raise ProtocolError(text) from error


def _reserved_by(request: Request[Any], result: object) -> list[Job]:
    """Return the jobs that a command has reserved; a peek shows jobs too, and reserves none."""
    if not request.verb.startswith("reserve"):
        return []
    jobs = result if isinstance(result, list) else [result]
    return [job for job in jobs if isinstance(job, Job)]


def _lost(job_id: int) -> LeaseLostError:
    return LeaseLostError(
        f"job {job_id} was reserved on a connection that broke; it is ready again, or somebody"
        " else has it"
    )


Unread = deque[tuple[Request[Any], Reply[Any]]]


class Talker:
    """Knows what the server must know of this client, and says it again on each new connection.

    ``connection`` counts the connections; ``held`` are the jobs reserved on the present one.
    ``retry_for`` is how many seconds a command may go on trying, ``patience`` how long an answer
    may take that the server gives at once. ``lost_nothing`` is set by who throws an exception into
    a conversation that is none of the connection's: whether all replies can still be read.
    """

    def __init__(
        self, used: str, watched: Iterable[str], retry_for: float, patience: float
    ) -> None:
        """Be not connected yet."""
        self.used = used
        self.watched = list(dict.fromkeys(watched)) or [DEFAULT_TUBE]
        self.retry_for = retry_for
        self.patience = patience
        self.connection = 0
        self.is_open = False
        self.held: set[int] = set()
        self.lost_nothing = False
        self._failures = 0
        self._knows_extended = False
        self._unread: Unread = deque()
        self._late: deque[Job] = deque()  # Came when nobody waited for them any more.
        for name in (used, *self.watched):
            requests.check_tube(name)

    # -- one command ----------------------------------------------------------------------------

    def run(self, request: Request[T]) -> Conversation[T]:
        """Do a command.

        Raises StalkdError when the server refuses, ConnectionError when it cannot be reached or it
        is not known whether the command was done.
        """
        deadline = (yield Clock()) + self.retry_for
        needs = {request.job_id} & self.held
        while True:
            yield from self.reach(deadline)
            if not needs <= self.held:
                raise _lost(request.job_id)
            was_asked = False
            try:
                yield from self._must_know(request)
                was_asked = True
                result = yield from self._ask(request)
            except OSError as error:
                yield from self.close()
                self._failures += 1
                if was_asked and not request.again:
                    raise ConnectionError(
                        f"{request.verb}: the connection broke before the server answered, so it"
                        f" is not known whether this was done: {error}"
                    ) from error
                if (yield Clock()) >= deadline:
                    raise
            else:
                self._failures = 0
                return result

    def wait_for(
        self, ask: Callable[[float | None], Request[T]], timeout: float | None
    ) -> Conversation[T]:
        """Do a command that waits so many seconds at most, None for ever.

        While jobs are held, it waits a little at a time: a command that was interrupted must be
        over soon, or the next one could not be done without losing the jobs.
        """
        deadline = None if timeout is None else (yield Clock()) + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - (yield Clock()))
            if self.held:
                left = SLICE_S if left is None else min(left, SLICE_S)
            try:
                return (yield from self.run(ask(left)))
            except TimedOutError:
                if deadline is not None and (yield Clock()) >= deadline:
                    raise

    def reach(self, deadline: float) -> Conversation[None]:
        """Be connected, trying again until the deadline; have read what was left unread."""
        while True:
            try:
                yield from self._be_ready()
            except OSError:
                yield from self.close()
                self._failures += 1
                if (yield Clock()) + self._pause() > deadline:
                    raise
            else:
                return

    def _pause(self) -> float:
        doublings = max(0, min(self._failures - 1, MOST_DOUBLINGS))
        return min(FIRST_PAUSE_S * (1 << doublings), LONGEST_PAUSE_S)

    def _be_ready(self) -> Conversation[None]:
        if not self.is_open:
            if self._failures:  # Not all clients of a server at the same moment.
                yield Sleep(self._pause() * random.uniform(0.5, 1))  # noqa: S311 - no secret
            yield Connect()
            self.connection += 1
            self.is_open = True
            self._knows_extended = False  # It may be another server by now.
            for each in self._introduction():
                yield from self._ask(each)
        if self._unread or self._late:
            yield from self._read_the_rest()

    def _must_know(self, request: Request[Any]) -> Conversation[None]:
        """Find out whether the server knows an extended command, before it gets one."""
        if not request.extended or self._knows_extended:
            return
        try:
            yield from self._ask(requests.probe())
        except UnsupportedByServerError:
            raise UnsupportedByServerError(
                f"{request.verb}: the server does not know this command: it is no stalkd, or one"
                " that is too old"
            ) from None
        self._knows_extended = True

    def _introduction(self) -> list[Request[Any]]:
        """Return what makes a new connection like the one before."""
        said: list[Request[Any]] = []
        if self.used != DEFAULT_TUBE:
            said.append(requests.use(self.used))
        said += [requests.watch(name) for name in self.watched if name != DEFAULT_TUBE]
        if DEFAULT_TUBE not in self.watched:
            said.append(requests.ignore(DEFAULT_TUBE))
        return said

    def _ask(self, request: Request[T]) -> Conversation[T]:
        """Send a command and read its reply."""
        result = yield from self._exchange([request])
        if isinstance(result[0], StalkdError):
            raise result[0]
        return result[0]

    def patience_for(self, request: Request[Any]) -> float | None:
        """Return how long the answer may take."""
        return None if request.wait is None else request.wait + self.patience

    # -- many commands at once ------------------------------------------------------------------

    def run_all(self, asked: Sequence[Request[T]]) -> Conversation[list[T | StalkdError]]:
        """Send commands together and read their replies; a refusal stands for its result.

        Nothing is tried again but connecting: what was done when the connection broke, is unknown.
        """
        if not asked:
            return []
        needs = {request.job_id for request in asked} & self.held
        yield from self.reach((yield Clock()) + self.retry_for)
        if not needs <= self.held:
            raise _lost(min(needs - self.held))
        try:
            for request in asked:
                yield from self._must_know(request)
            return (yield from self._exchange(asked))
        except OSError:
            yield from self.close()
            raise

    def _exchange(self, asked: Sequence[Request[T]]) -> Conversation[list[T | StalkdError]]:
        """Send commands, and read their replies; be careful with what is left when that stops."""
        replies = deque((request, Reply(request)) for request in asked)
        results: list[T | StalkdError] = []
        was_sent = False
        try:
            data = b"".join(request.data for request in asked)
            yield Send(data, self.patience_for(asked[-1]))
            was_sent = True
            while replies:
                request, reply = replies[0]
                results.append((yield from self._read(request, reply)))
                replies.popleft()
        except OSError:
            raise
        except BaseException:
            yield from self._interrupted(replies, was_sent=was_sent)
            raise
        return results

    def _read(self, request: Request[T], reply: Reply[T]) -> Conversation[T | StalkdError]:
        """Read one reply; return the result, or what the server refused with."""
        try:
            while True:
                reply.take((yield Receive(reply.wanted)))
        except StalkdError as error:
            return error
        except StopIteration as stop:
            result: T = stop.value
            self.note(request, result)
            return result

    def pour(self, puts: Iterable[tuple[bytes, bool]]) -> Conversation[list[bytes]]:
        """Send puts without waiting for each reply; return the replies, one line each.

        ``puts`` gives (command with body, whether it is extended). At most two windows are on
        their way, so memory is bounded however many there are: to be called once for each piece
        of a long row. When the connection breaks, it is not known which of them were done.
        """
        yield from self.reach((yield Clock()) + self.retry_for)
        lines: list[bytes] = []
        waiting: deque[int] = deque()
        try:
            for data, count, is_extended in _windows(puts):
                if is_extended:
                    yield from self._must_know(EXTENDED_PUT)
                yield Send(data, self.patience)
                waiting.append(count)
                if len(waiting) == WINDOWS:
                    lines += yield ReceiveLines(waiting.popleft())
            while waiting:
                lines += yield ReceiveLines(waiting.popleft())
        except BaseException:
            yield from self.close()  # Some of the puts may have been done, whatever we do.
            raise
        return lines

    # -- what was interrupted -------------------------------------------------------------------

    def _interrupted(self, replies: Unread, *, was_sent: bool) -> Conversation[None]:
        """Somebody stopped waiting for replies, which may still come.

        If this connection holds no job, it is closed: the server then takes back what it may be
        giving us at this moment. Else the jobs would be lost with it, so the replies are read
        before the next command. (Half a command can only be ended by closing.)
        """
        if was_sent and self.held and self.lost_nothing:
            self._unread += replies
        else:
            yield from self.close()

    def _read_the_rest(self) -> Conversation[None]:
        """Read the replies that nobody waits for any more; give back jobs that come so."""
        while self._unread:
            request, reply = self._unread[0]
            yield Send(b"", self.patience_for(request))
            result = yield from self._read_late(request, reply)
            self._unread.popleft()
            self._late += _reserved_by(request, result)
        while self._late:  # Each stays here until it is given back, whatever happens meanwhile.
            if self._late[0].id in self.held:
                yield from self._give_back(self._late[0])
            self._late.popleft()

    def _read_late(self, request: Request[Any], reply: Reply[Any]) -> Conversation[object]:
        try:
            return (yield from self._read(request, reply))
        except OSError:
            raise
        except BaseException:
            if not self.lost_nothing:
                yield from self.close()
            raise

    def _give_back(self, job: Job) -> Conversation[None]:
        """Release a job that came too late, as it was."""
        with suppress(StalkdError):  # Its lease may have ended meanwhile.
            told = yield from self._ask(requests.stats_job(job.id))
            priority = int(str(told["pri"]))
            yield from self._ask(requests.release(job.id, priority=priority))

    # -- what is known --------------------------------------------------------------------------

    def note(self, request: Request[Any], result: object) -> None:
        """Keep in mind what a command has changed."""
        if request.job_id and request.verb not in {"touch", "touch-for"}:
            self.held.discard(request.job_id)
        else:
            self.held.update(job.id for job in _reserved_by(request, result))

    def watches(self, tube: str) -> None:
        """Keep in mind a tube that is watched."""
        if tube not in self.watched:
            self.watched.append(tube)

    def ignores(self, tube: str) -> None:
        """Keep in mind that a tube is not watched any more."""
        if tube in self.watched:
            self.watched.remove(tube)

    def is_held(self, job: Job) -> bool:
        """Tell whether a job was reserved on the present connection, and not ended since."""
        return self.is_open and job.connection == self.connection and job.id in self.held

    def check_held(self, job: Job | int) -> int:
        """Return a job's id. Raises LeaseLostError if it was reserved on an earlier connection."""
        if isinstance(job, int):
            return job
        if job.connection and (job.connection != self.connection or not self.is_open):
            self.held.discard(job.id)
            raise _lost(job.id)
        return job.id

    def close(self) -> Conversation[None]:
        """Hang up; the server takes back the jobs that are held."""
        self.forget()
        yield Close()

    def forget(self) -> None:
        """Know nothing more of a connection that is closed."""
        self.is_open = False
        self.held.clear()
        self._unread.clear()
        self._late.clear()
