"""What a client says and hears, without any I/O: both clients only do what is asked for here.

A conversation is a generator. It yields operations and is sent their results; an exception of an
operation is thrown into it. So connecting, retrying, restoring what was used and watched, and
cleaning up after an interruption stand once, for blocking and for async programs.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from stalkd_client import beyond, requests
from stalkd_client.errors import StalkdError, TimedOutError, UnsupportedByServerError
from stalkd_client.exchange import Exchange, Reply, Request
from stalkd_client.jobs import Job
from stalkd_client.operations import (
    Clock,
    Close,
    Connect,
    Conversation,
    ReceiveLines,
    Send,
    Sleep,
    windows,
)
from stalkd_client.standing import EFFECTS, Standing, lost, reserved_by

T = TypeVar("T")

FIRST_PAUSE_S: Final = 0.05
"""Before the second attempt to connect; each further pause is twice as long, within limits."""

LONGEST_PAUSE_S: Final = 2.0
"""A server that comes back is found within so many seconds."""

MOST_DOUBLINGS: Final = 10
"""Beyond these, the longest pause is reached for sure."""

SLICE_S: Final = 5.0
"""How long a command waits at a time while jobs are held."""

WINDOWS: Final = 2
"""Windows on their way: while the server works on one, the next is made."""

LEAVING: Final = (OSError, GeneratorExit)
"""After these nothing can be asked for any more: the connection is broken, or has been left."""

EXTENDED_PUT: Final = requests.put(b"", sync=True)
"""Stands for puts that only stalkd knows."""


class Talker:
    """Has the conversations of one client, one at a time.

    ``known`` is what the server must be told again on each new connection. ``retry_for`` is how
    many seconds a command may go on trying, ``patience`` how long an answer may take that the
    server gives at once. ``lost_nothing`` is set by who throws an exception into a conversation
    that is none of the connection's: whether all replies can still be read.
    """

    def __init__(
        self, used: str, watched: Iterable[str], retry_for: float, patience: float
    ) -> None:
        """Be not connected yet. Raises ValueError for a bad tube."""
        self.known: Standing = Standing(used, watched)
        self.retry_for = retry_for
        self.patience = patience
        self.lost_nothing = False
        self._failures = 0
        self._knows_extended = False
        self._unread: Exchange | None = None  # It was interrupted, and its replies still come.
        self._late: deque[Job] = deque()  # Came when nobody waited for them any more.

    # -- one command ----------------------------------------------------------------------------

    def may_go_straight(self, request: Request[Any]) -> bool:
        """Tell whether the conversation of a command is nothing but its exchange.

        A client may then do that without a conversation, and ``finish`` it; only when it goes
        wrong, the conversation is begun, at this exchange, and told. That is cheaper: most commands
        go so. Raises LeaseLostError.
        """
        known = self.known
        if not known.is_open or self._unread is not None or self._late:
            return False
        if request.extended and not self._knows_extended:
            return False
        if request.sliced is not None and known.held:
            return False
        if request.job:
            known.check(request)
        return True

    def finish(self, reply: Reply[Any]) -> Any:  # noqa: ANN401 - as its request has it
        """Return the result of a command whose reply has been read. Raises StalkdError."""
        request = reply.request
        if request.verb in EFFECTS or request.job:
            self.known.note(reply)
        return result_of(reply.result)

    def begun(self, request: Request[Any], reply: Reply[Any] | None) -> Exchange:
        """Return the exchange of a command that went straight, as far as it came."""
        exchange = Exchange([request], self._patience_for([request]))
        if reply is not None:
            exchange.was_sent, exchange.replies = True, [reply]
        return exchange

    def run(self, request: Request[T], begun: Exchange | None = None) -> Conversation[T]:
        """Do a command; beginning with an exchange that was ``begun``, if nothing is before that.

        Raises StalkdError when the server refuses, ConnectionError when it cannot be reached or it
        is not known whether the command was done, LeaseLostError when its job is not held any more.
        """
        if request.sliced is not None and self.known.held:
            return self._run_in_slices(request.sliced, request.wait)
        return self._run(request, begun)

    def _run(self, request: Request[T], begun: Exchange | None = None) -> Conversation[T]:
        """Do a command, once or until it is certain that it was done."""
        needs, connection = self.known.needs([request]), self.known.connection
        deadline = None
        while True:
            if not self.is_ready:
                deadline = deadline or (yield Clock()) + self.retry_for
                yield from self.reach(deadline)
                self._check(needs, connection)
            was_asked = False
            try:
                if request.extended and not self._knows_extended:
                    yield from self._get_to_know(request)
                was_asked = True
                (result,) = yield from self._exchange([request], begun)
            except OSError as error:
                yield from self.close()
                self._failures, begun = self._failures + 1, None
                if was_asked and not request.again:
                    raise _unknown(request.verb, error) from error
                deadline = deadline or (yield Clock()) + self.retry_for
                if (yield Clock()) >= deadline:
                    raise
            else:
                self._failures = 0
                return result_of(result)

    def _run_in_slices(
        self, ask: Callable[[float | None], Request[T]], timeout: float | None
    ) -> Conversation[T]:
        """Do a command that waits, a little at a time.

        A command that was interrupted must be over soon, or the next one could not be done without
        losing the jobs that are held.
        """
        deadline = None if timeout is None else (yield Clock()) + timeout
        while True:
            left = SLICE_S
            if deadline is not None:
                left = min(left, max(0.0, deadline - (yield Clock())))
            try:
                return (yield from self._run(ask(left)))
            except TimedOutError:
                if deadline is not None and (yield Clock()) >= deadline:
                    raise

    # -- being connected ------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Tell whether a command can be sent at once."""
        return self.known.is_open and self._unread is None and not self._late

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
        if not self.known.is_open:
            if self._failures:  # Not all clients of a server at the same moment.
                yield Sleep(self._pause() * random.uniform(0.5, 1))  # noqa: S311 - no secret
            yield Connect()
            self.known.begin()
            self._knows_extended = False  # It may be another server by now.
            for each in self.known.introduction():
                yield from self._ask(each)
        if not self.is_ready:
            yield from self._read_the_rest()

    def _get_to_know(self, request: Request[Any]) -> Conversation[None]:
        """Find out whether the server knows an extended command, before it gets one."""
        try:
            yield from self._ask(beyond.probe())
        except UnsupportedByServerError:
            raise UnsupportedByServerError(
                f"{request.verb}: the server does not know this command: it is no stalkd, or one"
                " that is too old"
            ) from None
        self._knows_extended = True

    def _ask(self, request: Request[T]) -> Conversation[T]:
        """Send a command and read its reply."""
        (result,) = yield from self._exchange([request])
        return result_of(result)

    def _check(self, needs: set[int], connection: int) -> None:
        """Raise LeaseLostError if a connection has broken, and with it jobs that are needed."""
        if needs and self.known.connection != connection:
            raise lost(min(needs))

    def close(self) -> Conversation[None]:
        """Hang up; the server takes back the jobs that are held."""
        self.forget()
        yield Close()

    def forget(self) -> None:
        """Know nothing more of a connection that is closed."""
        self.known.end()
        self._unread = None
        self._late.clear()

    # -- many commands at once ------------------------------------------------------------------

    def run_all(self, asked: Sequence[Request[T]]) -> Conversation[list[T | StalkdError]]:
        """Send commands together and read their replies; a refusal stands for its result.

        Nothing is tried again but connecting: what was done when the connection broke, is unknown.
        """
        if not asked:
            return []
        needs, connection = self.known.needs(asked), self.known.connection
        if not self.is_ready:
            yield from self.reach((yield Clock()) + self.retry_for)
            self._check(needs, connection)
        try:
            if not self._knows_extended and any(request.extended for request in asked):
                yield from self._get_to_know(next(filter(_is_extended, asked)))
            return (yield from self._exchange(asked))
        except OSError:
            yield from self.close()
            raise

    def _exchange(
        self, asked: Sequence[Request[T]], begun: Exchange | None = None
    ) -> Conversation[list[T | StalkdError]]:
        """Send commands, and read their replies; be careful with what is left when that stops."""
        exchange = begun or Exchange(asked, self._patience_for(asked))
        try:
            yield exchange
        except LEAVING:
            raise
        except BaseException:
            yield from self._interrupted(exchange)
            raise
        for reply in exchange.replies:
            self.known.note(reply)
        return [reply.result for reply in exchange.replies]

    def _patience_for(self, asked: Sequence[Request[Any]]) -> float | None:
        longest = 0.0
        for request in asked:
            if request.wait is None:
                return None
            longest = max(longest, request.wait)
        return longest + self.patience

    def pour(self, puts: Iterable[bytes], *, extended: bool) -> Conversation[list[bytes]]:
        """Send puts without waiting for each reply; return the replies, one line each.

        ``puts`` are commands with their bodies. At most two windows are on their way; the replies
        stay in memory: to be called once for each piece of a long row. When the connection breaks,
        it is not known which of them were done.
        """
        if not self.is_ready:
            yield from self.reach((yield Clock()) + self.retry_for)
        lines: list[bytes] = []
        waiting: deque[int] = deque()
        try:
            if extended and not self._knows_extended:
                yield from self._get_to_know(EXTENDED_PUT)
            for data, count in windows(puts):
                yield Send(data, self.patience)
                waiting.append(count)
                if len(waiting) == WINDOWS:
                    lines += yield ReceiveLines(waiting.popleft())
            while waiting:
                lines += yield ReceiveLines(waiting.popleft())
        except GeneratorExit:
            raise
        except BaseException:
            yield from self.close()  # Some of the puts may have been done, whatever we do.
            raise
        return lines

    # -- what was interrupted -------------------------------------------------------------------

    def _interrupted(self, exchange: Exchange) -> Conversation[None]:
        """Somebody stopped waiting for replies, which may still come.

        If this connection holds no job, it is closed: the server then takes back what it may be
        giving us at this moment. Else the jobs would be lost with it, so the replies are read
        before the next command. (Half a command can only be ended by closing.)
        """
        if exchange.was_sent and self.known.held and self.lost_nothing:
            self._unread = exchange
        else:
            yield from self.close()

    def _read_the_rest(self) -> Conversation[None]:
        """Read the replies that nobody waits for any more; give back jobs that come so."""
        if self._unread is not None:
            yield from self._read_late(self._unread)
            for reply in self._unread.replies:
                self._late += reserved_by(reply)
                self.known.note(reply)
            self._unread = None
        while self._late:  # Each stays here until it is given back, whatever happens meanwhile.
            if self._late[0].id in self.known.held:
                yield from self._give_back(self._late[0])
            self._late.popleft()

    def _read_late(self, exchange: Exchange) -> Conversation[None]:
        try:
            yield exchange
        except LEAVING:
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


def result_of(result: T | StalkdError) -> T:
    """Return a result, or raise what the server refused with."""
    if isinstance(result, StalkdError):
        raise result
    return result


def _is_extended(request: Request[Any]) -> bool:
    return request.extended


def _unknown(verb: str, error: OSError) -> ConnectionError:
    return ConnectionError(
        f"{verb}: the connection broke before the server answered, so it is not known whether this"
        f" was done: {error}"
    )
