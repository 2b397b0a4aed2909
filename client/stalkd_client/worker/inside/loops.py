"""In a child: async handlers, a task for each slot in one event loop, of trio or of asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from stalkd_client.worker import packets
from stalkd_client.worker.inside.executors import Ends, die
from stalkd_client.worker.inside.running import Runner
from stalkd_client.worker.inside.ways import InLoop
from stalkd_client.worker.messages import Work
from stalkd_client.worker.task import SoftTimeLimitError


class Backend(Protocol):
    """What is needed of an event loop; ``passing`` goes through a handler, and is none of its."""

    passing: tuple[type[BaseException], ...]

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run an async function."""

    async def all_of(self, functions: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run async functions at the same time."""

    async def readable(self, sock: socket.socket) -> None:
        """Wait until there is something to be received."""

    async def limit(self, seconds: float | None, work: Awaitable[Any]) -> Any:
        """Await, but no longer than so many seconds. Raises SoftTimeLimitError."""


class Asyncio:
    """The loop of the standard library.

    A handler may await what somebody else has cancelled; nobody cancels the handler itself.
    """

    passing: tuple[type[BaseException], ...] = ()

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run an async function."""
        asyncio.run(_coroutine(main))

    async def all_of(self, functions: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run async functions at the same time."""
        await asyncio.gather(*(each() for each in functions))

    async def readable(self, sock: socket.socket) -> None:
        """Wait until there is something to be received."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not came.done():
                came.set_result(None)

        loop.add_reader(sock, tell)
        try:
            await came
        finally:
            loop.remove_reader(sock)

    async def limit(self, seconds: float | None, work: Awaitable[Any]) -> Any:
        """Await, but no longer than so many seconds. Raises SoftTimeLimitError."""
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await work
        except TimeoutError:
            if scope.expired():
                raise _too_long(seconds) from None
            raise


class Trio:
    """The loop of trio."""

    def __init__(self) -> None:
        import trio  # noqa: PLC0415 - only who asks for it needs it

        self.passing: tuple[type[BaseException], ...] = (trio.Cancelled,)

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run an async function."""
        import trio  # noqa: PLC0415 - the same

        trio.run(main)

    async def all_of(self, functions: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run async functions at the same time."""
        import trio  # noqa: PLC0415 - the same

        async with trio.open_nursery() as nursery:
            for each in functions:
                nursery.start_soon(each)

    async def readable(self, sock: socket.socket) -> None:
        """Wait until there is something to be received."""
        import trio  # noqa: PLC0415 - the same

        await trio.lowlevel.wait_readable(sock)

    async def limit(self, seconds: float | None, work: Awaitable[Any]) -> Any:
        """Await, but no longer than so many seconds. Raises SoftTimeLimitError."""
        import trio  # noqa: PLC0415 - the same

        with trio.move_on_after(float("inf") if seconds is None else seconds):
            return await work
        raise _too_long(seconds)


BACKENDS: Final[dict[str, type[Backend]]] = {"asyncio": Asyncio, "trio": Trio}
"""By the names of ``--async-backend``."""


async def _coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()


def _too_long(seconds: float | None) -> SoftTimeLimitError:
    return SoftTimeLimitError(f"the handler has taken {seconds} s")


class Loop:
    """Serves slots in one event loop."""

    def __init__(self, backend: str, runner: Runner, soft: float | None) -> None:
        self._backend = BACKENDS[backend]()
        self._runner = runner
        self._way = InLoop(partial(self._backend.limit, soft), self._backend.passing)

    async def serve_all(self, slots: Sequence[Ends]) -> None:
        """Work until all slots are closed."""
        await self._backend.all_of([partial(self._serve_or_die, ends) for ends in slots])

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run an async function in the loop."""
        self._backend.run(main)

    async def _serve_or_die(self, ends: Ends) -> None:
        try:
            await self._serve(ends)
        except BaseException:  # noqa: BLE001 - without a slot, its jobs would be held for ever
            die()

    async def _serve(self, ends: Ends) -> None:
        while True:
            await self._backend.readable(ends.jobs)
            try:
                message = packets.receive(ends.jobs, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue  # The supervisor has taken the job back.
            if message is None:
                return
            ends.tell(await self._runner.perform(Work(*message), ends.tell, self._way))
