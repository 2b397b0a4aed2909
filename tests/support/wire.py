"""One raw connection for trio tests; time is trio's, so a mock clock rules every wait."""

from __future__ import annotations

import math
import socket
import struct

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from support.daemon import Address

PATIENCE_S = 5.0
"""How long to wait for what should be there at once."""

EXACTLY_S = 1e-4
"""How far from its time an event may be: the kernel and floats, but no polling interval."""

SETTLED_S = 0.01
"""Real seconds without anything happening after which all that was sent has been handled."""

KERNEL_S = 0.05
"""The same where a lot lies in the buffers of both ends, and acknowledgements may be delayed."""

CHUNK = 64 * 1024


async def settle() -> None:
    """Wait until everybody waits, without letting time pass."""
    await wait_all_tasks_blocked(SETTLED_S)


class AsyncWire:
    """The sibling of `support.daemon.Wire` whose waits let the server in the same loop run."""

    def __init__(self, address: Address) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.connect(address)  # Done by the kernel: nobody needs to accept for it.
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(0)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    async def send(self, data: bytes) -> None:
        """Send bytes exactly as they are."""
        rest = memoryview(data)
        with trio.fail_after(PATIENCE_S):
            while rest:
                await trio.lowlevel.wait_writable(self.socket)
                rest = rest[self.socket.send(rest) :]

    async def send_pieces(self, data: bytes, size: int) -> None:
        """Send bytes in packets of that size, each handled before the next is sent."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await wait_all_tasks_blocked()

    async def stuff(self, line: bytes, limit: int) -> int:
        """Send a line again and again until nobody takes more, or for `limit` bytes; say how many.

        What is taken may end in the middle of a line.
        """
        block = line * (CHUNK // len(line))
        sent = 0
        while sent < limit:
            taken = self._send_now(block[sent % len(block) :])
            if not taken:
                await wait_all_tasks_blocked(KERNEL_S)
                taken = self._send_now(block[sent % len(block) :])
            if not taken:
                break
            sent += taken
        return sent

    def _send_now(self, data: bytes) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    async def read_line(self, within: float = PATIENCE_S) -> bytes:
        """The next reply line, with its CRLF."""
        while (end := self._received.find(b"\r\n")) < 0:
            await self._receive(within)
        return self._take(end + 2)

    async def read_exact(self, size: int, within: float = PATIENCE_S) -> bytes:
        """The next `size` bytes."""
        while len(self._received) < size:
            await self._receive(within)
        return self._take(size)

    async def expect(self, reply: bytes, within: float = PATIENCE_S) -> None:
        """Take these very bytes; anything else fails as soon as it differs."""
        while len(self._received) < len(reply) and reply.startswith(self._received):
            await self._receive(within)
        got = bytes(self._received[: len(reply)])
        assert got == reply, f"expected {reply[:200]!r}, got {bytes(self._received[:200])!r}"
        self._take(len(reply))

    @property
    def received(self) -> bytes:
        """What has been read and not been taken."""
        return bytes(self._received)

    async def expect_at(self, when: float, reply: bytes) -> None:
        """Take these very bytes, which come at this moment and not earlier."""
        await self.expect(reply, when - trio.current_time() + PATIENCE_S)
        late = trio.current_time() - when
        assert abs(late) < EXACTLY_S, f"{reply!r} came {late} s late"

    async def ask(self, line: bytes) -> bytes:
        """Send one command line, without its CRLF, and give the reply line without its own."""
        await self.send(line + b"\r\n")
        return (await self.read_line())[:-2]

    async def put(self, body: bytes, options: bytes = b"0 0 60") -> int:
        """Put a job and give its id."""
        await self.send(b"put %b %d\r\n%b\r\n" % (options, len(body), body))
        word, number = (await self.read_line()).split()
        assert word == b"INSERTED", word
        return int(number)

    async def ask_yaml(self, line: bytes) -> dict[str, str]:
        """Send a stats command and give its mapping; values as they are written."""
        word, size = (await self.ask(line)).split()
        assert word == b"OK", word
        text = (await self.read_exact(int(size) + 2)).decode()
        return dict(line.split(": ", 1) for line in text.split("\n")[1:-2])

    async def expect_closed(self, within: float = PATIENCE_S) -> None:
        """The server has nothing more to say and closes."""
        rest = bytes(self._received[:200]) or await self._recv(within)
        assert rest == b"", f"expected the end of the connection, got {rest[:200]!r}"

    async def expect_silence(self, seconds: float = 1.0) -> None:
        """Nothing arrives for so long."""
        with trio.move_on_after(seconds):
            rest = bytes(self._received) or await self._recv(seconds + PATIENCE_S)
            raise AssertionError(f"expected silence, got {rest!r}")

    def keep_now(self, size: int) -> int:
        """Read up to `size` bytes that are there already, for later; say how many."""
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return 0
        assert data, "the server closed the connection"
        self._received += data
        return len(data)

    async def sip(self, size: int, clock: MockClock) -> None:
        """Read so many bytes, for later. However long it takes, no time passes meanwhile."""
        clock.autojump_threshold = math.inf
        while size:
            await trio.lowlevel.wait_readable(self.socket)
            size -= self.keep_now(size)
        await wait_all_tasks_blocked(KERNEL_S)
        clock.autojump_threshold = SETTLED_S

    def forget(self) -> None:
        """Forget what has been read and not been taken."""
        self._received.clear()

    def finish_sending(self) -> None:
        """Close our sending side and stay ready to read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection, as a crashed machine does: no word of good-bye, just RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the connection, both ways."""
        self.socket.close()

    async def _receive(self, within: float) -> None:
        data = await self._recv(within)
        assert data, f"the server closed the connection after {bytes(self._received[:200])!r}"
        self._received += data

    async def _recv(self, within: float) -> bytes:
        with trio.move_on_after(within):
            while True:
                await trio.lowlevel.wait_readable(self.socket)
                try:
                    return self.socket.recv(CHUNK)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    return b""
        raise AssertionError(f"no reply in {within} s after {bytes(self._received[:200])!r}")

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data
