"""A connection for async programs that gives lines and blocks of bytes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import SocketAttribute

from stalkd_client import local
from stalkd_client.dial import context
from stalkd_client.keepalive import notice_dead_peer
from stalkd_client.stream import CHUNK, Buffer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import ByteStream

    from stalkd_client.address import Address
    from stalkd_client.exchange import Exchange


async def dial(address: Address, timeout: float) -> ByteStream:
    """Connect within so many seconds. Raises OSError."""
    with anyio.fail_after(timeout):
        if address.directory:
            return await _local(address.directory, timeout)
        if address.path:
            return await anyio.connect_unix(address.path)
        stream = await _tcp(address)
    # anyio has set TCP_NODELAY; who waits for jobs must also notice that the server's machine died.
    sock = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
    notice_dead_peer(sock)
    return stream


async def _tcp(address: Address) -> ByteStream:
    if address.tls is None:
        return await anyio.connect_tcp(address.host, address.port)
    return await anyio.connect_tcp(
        address.host,
        address.port,
        ssl_context=context(address.tls),
        tls_hostname=address.tls.name or address.host,
        tls_standard_compatible=False,  # Lines and sizes tell where a reply ends.
    )


async def _local(directory: str, timeout: float) -> ByteStream:
    """Start or join a private daemon; the first connection keeps it alive until there is ours."""
    with (
        await anyio.to_thread.run_sync(local.connect, directory, timeout),
        local.socket_path(directory) as path,
    ):
        return await anyio.connect_unix(path)


class AsyncStream:
    """A connection. All methods raise OSError."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = Buffer()
        self._patience: float | None = None

    async def send(self, data: bytes, patience: float | None) -> None:
        """Send everything; from now on nothing may take longer than ``patience``."""
        self._patience = patience
        if data:
            with anyio.fail_after(patience), _broken_is_connection_error():
                await self._stream.send(data)

    async def exchange(self, asked: Exchange) -> None:
        """Send commands, unless that was done, and read the replies that are not read yet."""
        if not asked.was_sent:
            await self.send(asked.data, asked.patience)
            asked.expect_replies()
        self._patience = asked.patience
        for reply in asked.replies[asked.done :]:
            while not reply.take(await self.receive(reply.wanted)):
                pass
            asked.done += 1

    async def receive(self, size: int | None) -> bytes:
        """Return so many bytes; None: a line without its end."""
        while (taken := self._buffer.take(size)) is None:
            with anyio.fail_after(self._patience), _broken_is_connection_error():
                self._buffer.add(await self._stream.receive(CHUNK))
        return taken

    async def receive_lines(self, count: int) -> list[bytes]:
        """Return so many lines, without their ends."""
        lines = self._buffer.take_lines(count)
        while len(lines) < count:
            with anyio.fail_after(self._patience), _broken_is_connection_error():
                self._buffer.add(await self._stream.receive(CHUNK))
            lines += self._buffer.take_lines(count - len(lines))
        return lines

    async def close(self) -> None:
        """Hang up, also while being cancelled."""
        with anyio.CancelScope(shield=True), _broken_is_connection_error():
            await self._stream.aclose()


@contextmanager
def _broken_is_connection_error() -> Iterator[None]:
    try:
        yield
    except anyio.EndOfStream as error:
        raise ConnectionResetError("the server has closed the connection") from error
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise ConnectionError("the connection is broken") from error
