"""The blocking client."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from stalkd_client import beyond, requests
from stalkd_client.dial import dial, stream_on
from stalkd_client.errors import StalkdError, WrongUseError
from stalkd_client.exchange import Exchange, Reply, Request
from stalkd_client.operations import (
    Clock,
    Close,
    Connect,
    Conversation,
    Operation,
    ReceiveLines,
    Send,
    Sleep,
)
from stalkd_client.shell import CONNECT_TIMEOUT_S, PATIENCE_S, Shell, present
from stalkd_client.standing import DEFAULT_TUBE
from stalkd_client.stream import Stream

if TYPE_CHECKING:
    import socket

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


def _blocking(ask: Callable[P, Request[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return a method that does the command which ``ask`` makes, and waits for its result."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.execute(ask(*args, **kwargs))

    present(method, ask)
    return method


class Client(Shell):
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
        super().__init__(url, use, watch, connect_timeout, patience, retry_for)
        self._given = sock
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._is_clean = True  # The command before came to an end, good or bad.

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

    def interrupt(self) -> None:
        """Break the connection, from any thread: a command that waits raises ConnectionError.

        The server takes back the jobs that are held, and one that it is just giving.
        """
        stream = self._stream
        if stream is not None:
            stream.shut_down()

    # -- doing what a conversation asks for -----------------------------------------------------

    def execute(self, request: Request[T]) -> T:
        """Do a command. Raises StalkdError, ConnectionError."""
        return self._alone(self._execute, request)

    def _execute(self, request: Request[T]) -> T:
        stream, talker = self._stream, self._talker
        if stream is None or not talker.may_go_straight(request):
            return self._drive(talker.run(request))
        reply: Reply[T] | None = None
        wait = request.wait
        try:
            stream.send(request.data, None if wait is None else wait + talker.patience)
            reply = Reply(request)  # Now that costs no time: the server is at work.
            while not reply.take(stream.receive(reply.wanted)):
                pass
        except BaseException as error:  # noqa: BLE001 - the conversation cleans up
            return self._drive(talker.run(request, talker.begun(request, reply)), error)
        result: T = talker.finish(reply)
        return result

    def execute_all(self, asked: Sequence[Request[T]]) -> list[T | StalkdError]:
        """Do commands with one exchange; a refusal stands for its result."""
        return self._do(self._talker.run_all(asked))

    def pour(self, puts: Iterable[bytes], *, extended: bool) -> list[bytes]:
        """Do many puts, as ``Talker.pour`` has it; return the lines of reply."""
        return self._do(self._talker.pour(puts, extended=extended))

    def _do(self, conversation: Conversation[T]) -> T:
        return self._alone(self._drive, conversation)

    def _alone(self, act: Callable[[A], T], what: A) -> T:
        """Act while nobody else does, on a connection that can be trusted."""
        if self._lock.locked() or os.getpid() != self._pid:
            raise self._misused()
        try:
            with self._lock:
                if not self._is_clean:
                    self._abandon()
                self._is_clean = False
                result = act(what)
                self._is_clean = True
        except BaseException as error:  # Also what comes while the lock is opened.
            self._look_at(error)
            raise
        return result

    def _misused(self) -> WrongUseError:
        if os.getpid() != self._pid:
            return self._forked()
        return WrongUseError(
            "this client is in use by another thread: replies would be mixed up; give each thread a"
            " client of its own"
        )

    def _drive(self, conversation: Conversation[T], error: BaseException | None = None) -> T:
        """Do what a conversation asks for, to its end; its first operation may have failed."""
        try:
            operation = next(conversation)
            if error is not None:
                operation = self._tell(conversation, error)
            while True:
                try:
                    result = self._perform(operation)
                except BaseException as trouble:  # noqa: BLE001 - the conversation cleans up
                    operation = self._tell(conversation, trouble)
                else:
                    operation = conversation.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _tell(self, conversation: Conversation[T], error: BaseException) -> Operation:
        """Let a conversation know that an operation has failed; return what it asks for then."""
        self._handled = error
        self._talker.lost_nothing = self._stream is not None and self._stream.is_waiting
        return conversation.throw(error)

    def _look_at(self, error: BaseException) -> None:
        """Hang up if something was raised between two operations: nobody knows what is lost."""
        if not isinstance(error, (StalkdError, OSError)) and error is not self._handled:
            self._abandon()
        self._is_clean = True

    def _abandon(self) -> None:
        self._talker.forget()
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _perform(self, operation: Operation) -> Any:  # noqa: ANN401 - each has its own result
        stream = self._stream
        match operation:
            case Exchange() if stream is not None:
                stream.exchange(operation)
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
                if stream is not None:  # In this order: what interrupts, finds it again.
                    stream.close()
                self._stream = None
        return None

    def _connect(self) -> Stream:
        sock, self._given = self._given, None
        try:
            sock = sock or dial(self.address, self._connect_timeout)
        except OSError as error:
            raise self._cannot_connect(error) from error
        return stream_on(sock, self._talker.patience)

    # -- the commands: what each takes and gives stands in requests and beyond -----------------

    put = _blocking(requests.put)
    use = _blocking(requests.use)
    reserve = _blocking(requests.reserve)
    reserve_job = _blocking(requests.reserve_job)
    delete = _blocking(requests.delete)
    release = _blocking(requests.release)
    bury = _blocking(requests.bury)
    touch = _blocking(requests.touch)
    watch = _blocking(requests.watch)
    ignore = _blocking(requests.ignore)
    kick = _blocking(requests.kick)
    kick_job = _blocking(requests.kick_job)
    pause_tube = _blocking(requests.pause_tube)
    peek = _blocking(requests.peek)
    peek_ready = _blocking(requests.peek_ready)
    peek_delayed = _blocking(requests.peek_delayed)
    peek_buried = _blocking(requests.peek_buried)
    stats = _blocking(requests.stats)
    stats_job = _blocking(requests.stats_job)
    stats_tube = _blocking(requests.stats_tube)
    list_tubes = _blocking(requests.list_tubes)
    list_tubes_watched = _blocking(requests.list_tubes_watched)
    list_tube_used = _blocking(requests.list_tube_used)

    reserve_batch = _blocking(beyond.reserve_batch)
    wait_job = _blocking(beyond.wait_job)
    list_jobs = _blocking(beyond.list_jobs)
    explain_job = _blocking(beyond.explain_job)
    purge_tube = _blocking(beyond.purge_tube)
    release_tube = _blocking(beyond.release_tube)
    move_jobs = _blocking(beyond.move_jobs)
    set_policy = _blocking(beyond.set_policy)
    get_policy = _blocking(beyond.get_policy)
    stats_tubes = _blocking(beyond.stats_tubes)
    list_clients = _blocking(beyond.list_clients)
    drain = _blocking(beyond.drain)
