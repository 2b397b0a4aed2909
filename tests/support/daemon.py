r"""Servers for tests: started on a free loopback port, watched, and always reaped.

    with start_stalkd("-z", "100") as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 1 5\r\nhello\r\n")
        wire.expect(b"INSERTED 1\r\n")

Nothing here waits without a bound: a server that hangs fails the test.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

Address = tuple[str, int] | str  # host and port, or the path of a Unix socket

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 10.0
REPLY_SECONDS = 5.0

# The installed package, not whatever lies in the current directory; or a program that is one file.
PROGRAM = (
    [os.environ["STALKD_TEST_PROGRAM"]]
    if "STALKD_TEST_PROGRAM" in os.environ
    else [sys.executable, "-P", "-m", "stalkd"]
)

# How stalkd's log names a listener. The first such line counts: nobody connects before it.
LISTENER = re.compile(r"\baddress=(?:unix:(?P<path>\S+)|(?P<host>\S+):(?P<port>\d+))")


class DaemonError(Exception):
    """The server did not start, or did not stop; its log is part of the message."""


class Wire:
    """One raw connection. Every read is bounded in time, so a missing reply fails the test."""

    def __init__(self, address: Address, timeout: float = REPLY_SECONDS) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self._received = bytearray()
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes exactly as they are."""
        self.socket.sendall(data)

    def read_line(self) -> bytes:
        """The next reply line, with its CRLF."""
        while (end := self._received.find(b"\r\n")) < 0:
            self._receive()
        return self._take(end + 2)

    def read_exact(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._received) < size:
            self._receive()
        return self._take(size)

    def expect(self, reply: bytes) -> None:
        """Take these very bytes; anything else fails as soon as it differs."""
        while len(self._received) < len(reply) and reply.startswith(self._received):
            self._receive()
        got = bytes(self._received[: len(reply)])
        assert got == reply, f"expected {reply!r}, got {bytes(self._received)!r}"
        self._take(len(reply))

    def ask(self, line: bytes) -> bytes:
        """Send one command line, without its CRLF, and give the reply line without its own."""
        self.send(line + b"\r\n")
        return self.read_line()[:-2]

    def expect_closed(self) -> None:
        """The server has nothing more to say and closes."""
        rest = bytes(self._received) or self.socket.recv(1)
        assert rest == b"", f"expected the end of the connection, got {rest!r}"

    def expect_silence(self, seconds: float = 0.05) -> None:
        """Nothing arrives for so long: a real wait, keep it short."""
        self.socket.settimeout(seconds)
        try:
            rest = bytes(self._received) or self.socket.recv(1)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(REPLY_SECONDS)
        raise AssertionError(f"expected silence, got {rest!r}")

    def finish_sending(self) -> None:
        """Close our sending side and stay ready to read."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, both ways."""
        self.socket.close()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            message = f"no reply in {self.socket.gettimeout()} s after {bytes(self._received)!r}"
            raise AssertionError(message) from None
        assert data, f"the server closed the connection after {bytes(self._received)!r}"
        self._received += data

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data


class Daemon:
    """One server process. Made by `start_stalkd` and `start_beanstalkd`."""

    def __init__(self, command: list[str], address: Address | None = None) -> None:
        self.log: list[str] = []
        self._address = address
        self._address_known = threading.Event()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        # A reader that never stops, so that the pipe never fills and blocks the server.
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def address(self) -> Address:
        """Where the first listener is reached."""
        if self._address is None:
            raise self._error("has not said where it listens")
        return self._address

    @property
    def host(self) -> str:
        """The host part of a TCP address."""
        return self._tcp_address()[0]

    @property
    def port(self) -> int:
        """The port of a TCP address."""
        return self._tcp_address()[1]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Processor time used so far, user and system; asked of a running process."""
        stat = Path(f"/proc/{self.pid}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return _ps_seconds(self.pid)

    def connect(self, timeout: float = REPLY_SECONDS) -> Wire:
        """Open a new raw connection."""
        return Wire(self.address, timeout)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, if it still runs."""
        self._process.send_signal(number)

    def wait(self, within: float = STOP_SECONDS) -> int:
        """Wait for the end and give the exit code; a process that stays is killed and reported."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._error(f"was still running after {within} s and had to be killed") from None
        self._reader.join(STOP_SECONDS)
        return code

    def terminate(self, within: float = STOP_SECONDS) -> int:
        """Ask the server to stop (SIGTERM) and give its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash does, and reap it."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)

    def close(self) -> None:
        """Stop the server if it still runs, and give back what it held here."""
        try:
            if self.running:
                self.terminate()
        finally:
            if self._process.stderr and not self._reader.is_alive():
                self._process.stderr.close()

    def wait_until_listening(self) -> None:
        """Wait until the log names an address, or raise if the process ends or says nothing."""
        self._address_known.wait(START_SECONDS)
        if self._address is None:
            raise self._error(f"did not listen within {START_SECONDS} s")

    def wait_until_connectable(self) -> None:
        """Wait until a connection is accepted at the address that is already known."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return Wire(self.address).close()
            except OSError as error:
                if not self.running or time.monotonic() > deadline:
                    raise self._error("does not accept connections") from error
                time.sleep(0.002)

    def _tcp_address(self) -> tuple[str, int]:
        assert not isinstance(self.address, str), f"listens on a Unix socket: {self.address}"
        return self.address

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.rstrip("\n"))
            if self._address is None:
                self._address = _listener(line)
            if self._address is not None:
                self._address_known.set()
        self._address_known.set()  # the end of the log: nothing is left to wait for

    def _error(self, what: str) -> DaemonError:
        state = "running" if self.running else f"exit code {self._process.returncode}"
        log = "".join(f"\n  {line}" for line in self.log[-30:]) or " (empty)"
        return DaemonError(f"{self._process.args!r} {what} ({state}); log:{log}")


@contextmanager
def start_stalkd(*options: str, unix: str | None = None) -> Iterator[Daemon]:
    """Start stalkd on a free loopback port, or on the Unix socket at the path `unix`."""
    listen = ["-l", f"unix:{unix}"] if unix else ["-l", HOST, "-p", "0"]
    daemon = Daemon([*PROGRAM, *listen, *options])
    with _closing(daemon, daemon.wait_until_listening):
        yield daemon


@contextmanager
def start_beanstalkd(*options: str, unix: str | None = None) -> Iterator[Daemon]:
    """Start the original on a port that was free a moment ago, or on a Unix socket."""
    address: Address = unix or (HOST, free_port())
    listen = ["-l", f"unix:{unix}"] if unix else ["-l", HOST, "-p", str(address[1])]
    program = shutil.which("beanstalkd")
    if program is None:
        raise DaemonError("beanstalkd is missing; to bring it: apt-get install beanstalkd")
    daemon = Daemon([program, *listen, *options], address)
    with _closing(daemon, daemon.wait_until_connectable):
        yield daemon


@contextmanager
def start_server(*options: str, unix: str | None = None) -> Iterator[Daemon]:
    """Start stalkd; with STALKD_TEST_SERVER=beanstalkd in the environment, the original.

    The second is how to tell whether a test asks for more than the original gives.
    """
    servers = {"stalkd": start_stalkd, "beanstalkd": start_beanstalkd}
    start = servers[os.environ.get("STALKD_TEST_SERVER", "stalkd")]
    with start(*options, unix=unix) as daemon:
        yield daemon


def free_port() -> int:
    """A port that nobody listens on now. For servers that cannot say which one they took."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _closing(daemon: Daemon, wait_until_up: Callable[[], None]) -> Iterator[None]:
    try:
        wait_until_up()
        yield
    finally:
        daemon.close()


def _listener(line: str) -> Address | None:
    """The address that a line of stalkd's log names, if it names one."""
    found = LISTENER.search(line)
    if found is None:
        return None
    return found["path"] or (found["host"], int(found["port"]))


def _ps_seconds(pid: int) -> float:
    """Processor time as `ps` tells it, where there is no /proc: [[days-]hours:]minutes:seconds."""
    told = subprocess.check_output(["ps", "-o", "time=", "-p", str(pid)], text=True)
    days, _, clock = told.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)
