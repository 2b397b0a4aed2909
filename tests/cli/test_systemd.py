"""Sockets that systemd has opened (sd_listen_fds(3)): no systemd is needed to hand them over."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

import pytest

from support.command import FREE, addresses, complaint, lines_about, running, wait_for
from support.daemon import HOST, Wire
from support.handed import TCP, handed

NOT_LISTENING = "made.append(socket.socket())"
DATAGRAM = f"s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('{HOST}', 0)); made.append(s)"
NO_SOCKET = "made.append(open('/dev/null'))"


def unix(path: Path) -> str:
    return f"s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); made.append(s)"


def test_a_socket_is_taken_over() -> None:
    """The daemon serves on it and opens none of its own."""
    with running(command=handed(TCP)) as daemon:
        (address,) = addresses(daemon)
        assert address.startswith(f"{HOST}:")
        assert not address.endswith(":11300")
        with daemon.connect() as wire:
            assert wire.ask(b"use x") == b"USING x"
        assert not lines_about(daemon, "option_ignored")


def test_several_are_taken_over() -> None:
    """Of all kinds; a Unix socket stays in its place at the end, because systemd still listens."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        path = Path(directory) / "socket"
        with running(command=handed(TCP, unix(path))) as daemon:
            assert addresses(daemon, 2)[1] == f"unix:{path}"
            with daemon.connect() as producer, Wire(str(path)) as worker:
                producer.send(b"put 0 0 60 1\r\nx\r\n")
                producer.expect(b"INSERTED 1\r\n")
                assert worker.ask(b"reserve") == b"RESERVED 1 1"
            assert daemon.terminate() == 0
        assert path.exists()


def test_addresses_given_besides_are_ignored() -> None:
    """With a warning: what counts is in the socket unit."""
    with running("-l", "127.0.0.2", "-p", "1", command=handed(TCP)) as daemon:
        (line,) = wait_for(daemon, "option_ignored")
        assert "WARNING" in line
        assert "-l, -p" in line
        assert len(addresses(daemon)) == 1
        with daemon.connect() as wire:
            assert wire.ask(b"use x") == b"USING x"


@pytest.mark.parametrize("pid", ["1", "os.getppid()", "''", "'x'"])
def test_variables_meant_for_another_process_are_ignored(pid: str) -> None:
    """They are inherited by everything that a service starts."""
    with running(*FREE, command=handed(TCP, pid=pid)) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        assert not lines_about(daemon, "option_ignored")


def test_no_socket_at_all() -> None:
    """LISTEN_FDS=0 means that the daemon listens by itself."""
    with running(*FREE, command=handed(count="0")) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (NO_SOCKET, "no socket"),
        (NOT_LISTENING, "no listening stream socket"),
        (DATAGRAM, "no listening stream socket"),
    ],
    ids=["file", "not listening", "datagram"],
)
def test_descriptors_of_the_wrong_kind(made: str, reason: str) -> None:
    """The line names the descriptor."""
    line = complaint(code=1, command=handed(TCP, made))
    assert "descriptor 4" in line
    assert reason in line


@pytest.mark.parametrize("count", ["x", "-1", "1.0", "99999999"])
def test_wrong_numbers_of_descriptors(count: str) -> None:
    """One line, whatever stands in LISTEN_FDS."""
    line = complaint(code=1, command=handed(TCP, count=count))
    assert "LISTEN_FDS" in line or "descriptor" in line


def test_the_sockets_are_not_passed_on() -> None:
    """Nothing that the daemon might start inherits them."""
    code = (
        "import os, stalkd.cli\n"
        "serve = stalkd.cli._serve\n"
        "def check(*args): assert not os.get_inheritable(3); return serve(*args)\n"
        "stalkd.cli._serve = check\n"
        "stalkd.cli.main()"
    )
    command = [*handed(TCP)[:4], sys.executable, "-P", "-c", code]
    with running(command=command) as daemon, daemon.connect() as wire:
        assert wire.socket.family == socket.AF_INET
        assert wire.ask(b"use x") == b"USING x"
