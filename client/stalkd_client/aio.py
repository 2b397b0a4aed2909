"""The client for async programs, on trio and on asyncio alike: needs anyio (``stalkd[async]``).

Its methods are those of the blocking ``Client``, with ``await``. What they say and how they read
the answers stands in ``requests`` and ``conversation``; a test holds the two classes against each
other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import anyio

from stalkd_client import beyond, requests
from stalkd_client.aiostream import AsyncStream, dial
from stalkd_client.errors import StalkdError, WrongUseError
from stalkd_client.exchange import Exchange, Request
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

if TYPE_CHECKING:
    from anyio.abc import ByteStream

P = ParamSpec("P")
T = TypeVar("T")


def _awaitable(
    ask: Callable[P, Request[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """Return a method that does the command which ``ask`` makes, and gives its result."""

    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.execute(ask(*args, **kwargs))

    present(method, ask)
    return method


class AsyncClient(Shell):
    """One connection to a server, made when it is needed.

        async with AsyncClient() as client:
            await client.put(b"hello", tube="mail")

    For one task at a time, and not across a fork: both raise WrongUseError. A command that is
    cancelled costs no job, and the client stays usable.
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
        stream: ByteStream | None = None,
    ) -> None:
        """Be a client of the server at ``url``; if None, of the one in STALKD_URL.

        ``retry_for`` is how many seconds commands go on trying when the server is away, as far as
        that is safe; a put is only sent again if it has a key. ``stream`` is a connected stream to
        be used instead of making a connection. Raises ValueError for a bad address or tube.
        """
        super().__init__(url, use, watch, connect_timeout, patience, retry_for)
        self._given = stream
        self._stream: AsyncStream | None = None
        self._is_busy = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; the server takes back the jobs that are held. The client can be used again."""
        if self._stream is not None:
            await self._do(self._talker.close())

    # -- doing what a conversation asks for -----------------------------------------------------

    async def execute(self, request: Request[T]) -> T:
        """Do a command. Raises StalkdError, ConnectionError."""
        return await self._do(self._talker.run(request))

    async def execute_all(self, asked: Sequence[Request[T]]) -> list[T | StalkdError]:
        """Do commands with one exchange; a refusal stands for its result."""
        return await self._do(self._talker.run_all(asked))

    async def pour(self, puts: Iterable[bytes], *, extended: bool) -> list[bytes]:
        """Do many puts, as ``Talker.pour`` has it; return the lines of reply."""
        return await self._do(self._talker.pour(puts, extended=extended))

    async def _do(self, conversation: Conversation[T]) -> T:
        self._enter()
        try:
            return await self._drive(conversation)
        except BaseException as error:
            await self._look_at(error)
            raise
        finally:
            self._is_busy = False

    def _enter(self) -> None:
        if os.getpid() != self._pid:
            raise self._forked()
        if self._is_busy:
            raise WrongUseError(
                "this client is in use by another task: replies would be mixed up; give each"
                " task a client of its own"
            )
        self._is_busy = True

    async def _drive(self, conversation: Conversation[T]) -> T:
        """Do what a conversation asks for, to its end."""
        try:
            operation = next(conversation)
            while True:
                try:
                    result = await self._perform(operation)
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
        # Cancelled operations have done nothing; anything else, as Ctrl-C, comes anywhere.
        self._talker.lost_nothing = isinstance(error, anyio.get_cancelled_exc_class())
        return conversation.throw(error)

    async def _look_at(self, error: BaseException) -> None:
        """Hang up if something was raised between two operations: nobody knows what is lost."""
        if isinstance(error, (StalkdError, OSError)) or error is self._handled:
            return
        self._talker.forget()
        if self._stream is not None:
            await self._stream.close()
        self._stream = None

    async def _perform(self, operation: Operation) -> Any:  # noqa: ANN401 - each has its own result
        stream = self._stream
        match operation:
            case Exchange() if stream is not None:
                await stream.exchange(operation)
            case Send(data, patience) if stream is not None:
                return await stream.send(data, patience)
            case ReceiveLines(count) if stream is not None:
                return await stream.receive_lines(count)
            case Clock():
                return anyio.current_time()
            case Connect():
                self._stream = await self._connect()
            case Sleep(seconds):
                await anyio.sleep(seconds)
            case Close():
                if stream is not None:  # In this order: what interrupts, finds it again.
                    await stream.close()
                self._stream = None
        return None

    async def _connect(self) -> AsyncStream:
        stream, self._given = self._given, None
        try:
            return AsyncStream(stream or await dial(self.address, self._connect_timeout))
        except OSError as error:
            raise self._cannot_connect(error) from error

    # -- the commands: what each takes and gives stands in requests and beyond -----------------

    put = _awaitable(requests.put)
    use = _awaitable(requests.use)
    reserve = _awaitable(requests.reserve)
    reserve_job = _awaitable(requests.reserve_job)
    delete = _awaitable(requests.delete)
    release = _awaitable(requests.release)
    bury = _awaitable(requests.bury)
    touch = _awaitable(requests.touch)
    watch = _awaitable(requests.watch)
    ignore = _awaitable(requests.ignore)
    kick = _awaitable(requests.kick)
    kick_job = _awaitable(requests.kick_job)
    pause_tube = _awaitable(requests.pause_tube)
    peek = _awaitable(requests.peek)
    peek_ready = _awaitable(requests.peek_ready)
    peek_delayed = _awaitable(requests.peek_delayed)
    peek_buried = _awaitable(requests.peek_buried)
    stats = _awaitable(requests.stats)
    stats_job = _awaitable(requests.stats_job)
    stats_tube = _awaitable(requests.stats_tube)
    list_tubes = _awaitable(requests.list_tubes)
    list_tubes_watched = _awaitable(requests.list_tubes_watched)
    list_tube_used = _awaitable(requests.list_tube_used)

    reserve_batch = _awaitable(beyond.reserve_batch)
    wait_job = _awaitable(beyond.wait_job)
    list_jobs = _awaitable(beyond.list_jobs)
    explain_job = _awaitable(beyond.explain_job)
    purge_tube = _awaitable(beyond.purge_tube)
    release_tube = _awaitable(beyond.release_tube)
    move_jobs = _awaitable(beyond.move_jobs)
    set_policy = _awaitable(beyond.set_policy)
    get_policy = _awaitable(beyond.get_policy)
    stats_tubes = _awaitable(beyond.stats_tubes)
    list_clients = _awaitable(beyond.list_clients)
    drain = _awaitable(beyond.drain)
