"""Where the daemon listens, what it says about it, and why it sometimes cannot."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stalkd.server.listeners import CannotListenError, Listener, open_listeners
from support.command import FREE, STALKD, addresses, after, complaint, running, wait_for
from support.daemon import HOST, REPLY_SECONDS, Wire


def has_ipv6() -> bool:
    """Whether ::1 can be listened on here."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127/8")


def talk(address: str) -> str:
    """Use a listener, by the address that the log gives; return the family."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), REPLY_SECONDS) as wire:
        wire.sendall(b"use x\r\n")
        assert wire.recv(100) == b"USING x\r\n"
        return wire.family.name


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_loopback_by_default() -> None:
    """Without -l only this machine can connect, and the first line says how to change that."""
    with running("-p", "0") as daemon:
        (line,) = wait_for(daemon, "listening")
        assert re.fullmatch(
            r"\S+Z INFO listening address=127\.0\.0\.1:\d+ pid=\d+ "
            r'hint="other machines cannot connect; -l 0\.0\.0\.0 -l :: lets them"',
            line,
        )
        assert f"pid={daemon.pid} " in line
        assert talk(addresses(daemon)[0]) == "AF_INET"


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.0.2.1:1", False),
        ("unix:/127.0.0.1", False),
    ],
)
def test_the_hint_is_for_loopback_only(address: str, hint: bool) -> None:
    """Whoever lets others connect already, or chose a path, needs no advice."""
    with socket.socket() as unused:
        assert Listener(unused, address).is_loopback == hint


@needs_linux
def test_several_addresses_share_the_port_that_was_free() -> None:
    """-p 0 takes one port for all of them."""
    with running("-l", HOST, "-l", "127.0.0.2", "--listen=127.0.0.3", "-p0") as daemon:
        found = addresses(daemon, 3)
        assert [each.rpartition(":")[0] for each in found] == [HOST, "127.0.0.2", "127.0.0.3"]
        assert len({port_of(each) for each in found}) == 1
        assert [talk(each) for each in found] == ["AF_INET"] * 3


@needs_ipv6
@pytest.mark.parametrize("address", ["::1", "[::1]"])
def test_ipv6(address: str) -> None:
    """With brackets or without."""
    with running("-l", address, "-p0") as daemon:
        (found,) = addresses(daemon)
        assert found.startswith("[::1]:")
        assert talk(found) == "AF_INET6"


@needs_ipv6
def test_ipv4_and_ipv6_together() -> None:
    """Both, on the same port."""
    with running("-l", HOST, "-l", "::1", "-p0") as daemon:
        found = addresses(daemon, 2)
        assert port_of(found[0]) == port_of(found[1])
        assert [talk(each) for each in found] == ["AF_INET", "AF_INET6"]


def test_a_name_stands_for_all_its_addresses() -> None:
    """A host that resolves to several is listened on at each of them, on the same port."""
    hook = """
import socket
def both(host, port, **_):
    assert host == "two.example"
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("127.0.0.1",) * 2] + [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
    ] * HAS_IPV6
socket.getaddrinfo = both
""".replace("HAS_IPV6", str(int(has_ipv6())))
    with running("-l", "two.example", "-p0", command=after(hook)) as daemon:
        found = addresses(daemon, 1 + has_ipv6())
        assert len({port_of(each) for each in found}) == 1
        assert [talk(each) for each in found] == ["AF_INET", "AF_INET6"][: len(found)]


def test_accepts_before_it_says_anything() -> None:
    """Clients may connect as soon as the socket is bound, long before the daemon has loaded."""
    with running(*FREE) as daemon, daemon.connect() as wire:
        wire.send(b"use x\r\nquit\r\n")
        wire.expect(b"USING x\r\n")
        wire.expect_closed()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port_in_use(taken: int) -> None:
    """It ends at once and tells which address it is, and what can be done."""
    line = complaint("-l", HOST, "-p", str(taken), code=1)
    assert f"{HOST} port {taken}" in line
    assert "in use" in line
    assert "-p" in line
    assert "-l" in line


@needs_linux
def test_one_of_several_ports_in_use(taken: int) -> None:
    """All or nothing."""
    line = complaint("-l", "127.0.0.2", "-l", HOST, "-p", str(taken), code=1)
    assert f"{HOST} port {taken}" in line


def test_unknown_host() -> None:
    """A name that nobody knows is an error of one line."""
    hook = """
import socket
def unknown(host, *_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
socket.getaddrinfo = unknown
"""
    line = complaint("-l", "no-such-host", "-p0", code=1, command=after(hook))
    assert "'no-such-host'" in line
    assert "Name or service not known" in line


@pytest.mark.parametrize(
    "host", ["a" * 64, "a..b", ".", b"\xff", "192.0.2.1", "unix:", ""], ids=repr
)
def test_impossible_addresses(host: str | bytes) -> None:
    """Whatever stands behind -l, there is one line and no traceback."""
    assert "cannot" in complaint("-l", host, "-p0", code=1)


def test_address_of_another_machine() -> None:
    """The line says whose fault it is."""
    line = complaint("-l", "192.0.2.1", "-p0", code=1)
    assert "192.0.2.1" in line
    assert "no such address" in line


def test_a_kind_of_address_that_the_kernel_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv6 in the kernel, `-l ::1` is an error like others."""
    create = socket.socket.__init__

    def no_ipv6(self: socket.socket, family: int = -1, *args: int, **kwargs: int) -> None:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        create(self, family, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "__init__", no_ipv6)
    with pytest.raises(CannotListenError, match="not supported"):
        open_listeners(["::1"], 0)


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    """When a later address fails, the Unix socket that was made first is removed."""
    path = tmp_path / "s"
    complaint("-l", f"unix:{path}", "-l", "192.0.2.1", "-p0", code=1)
    assert not path.exists()


def test_options_of_the_socket() -> None:
    """Replies leave without delay, and dead peers are noticed: connections inherit both."""
    (listener,) = open_listeners([HOST], 0)
    with (
        listener.socket as sock,
        socket.create_connection(sock.getsockname()),
        sock.accept()[0] as served,
    ):
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert served.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, each, count = (
            served.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
        assert idle + each * count <= 120, "a machine that vanished holds its leases so long"


def test_bundled_options_reach_a_daemon() -> None:
    """-VVp0 -l127.0.0.1: what is received gets into the log."""
    with running("-VVp0", f"-l{HOST}") as daemon, daemon.connect() as wire:
        assert wire.ask(b"list-tube-used") == b"USING default"
        assert "list-tube-used" in wait_for(daemon, "received")[0]
        assert len(wait_for(daemon, "connected")) == 1


@pytest.mark.parametrize(("option", "limit"), [("-z10", 10), ("--max-job-size=0", 0)])
def test_the_size_limit_reaches_a_daemon(option: str, limit: int) -> None:
    """The limit is the largest size that is taken, and `stats` shows it."""
    with running(*FREE, option) as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 60 %d\r\n%b\r\n" % (limit, b"x" * limit))
        wire.expect(b"INSERTED 1\r\n")
        wire.send(b"put 0 0 60 %d\r\n%b\r\n" % (limit + 1, b"x" * (limit + 1)))
        wire.expect(b"JOB_TOO_BIG\r\n")
        size = int(wire.ask(b"stats").split()[1])
        assert b"\nmax-job-size: %d\n" % limit in wire.read_exact(size + 2)


def test_the_memory_limit_reaches_a_daemon() -> None:
    """--max-memory lets puts be refused."""
    with running(*FREE, "--max-memory", "1000") as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 60 1000\r\n%b\r\n" % (b"x" * 1000))
        wire.expect(b"OUT_OF_MEMORY\r\n")


def test_the_connection_limit_reaches_a_daemon() -> None:
    """--max-connections lets connections be refused, with a line in the log."""
    with running(*FREE, "--max-connections=1") as daemon, daemon.connect() as first:
        assert first.ask(b"use x") == b"USING x"
        with daemon.connect() as second:
            second.expect_closed()
        assert "limit=1" in wait_for(daemon, "connection_refused")[0]


def limited(descriptors: int, held: int) -> list[str]:
    """The command with so many descriptors, of which its parent left it some open."""
    code = (
        "import os, resource, sys\n"
        f"for _ in range({held}): os.set_inheritable(os.open('/dev/null', 0), True)\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-P", "-c", code, *STALKD]


def test_without_descriptors() -> None:
    """Who is connected is served, the rest waits without costing anything, and then gets in.

    Descriptors that the daemon inherited are in its way here: its own limit of connections does
    not know about them.
    """
    with running(*FREE, command=limited(120, 60)) as daemon:
        wires = [daemon.connect() for _ in range(56)]
        assert wires[0].ask(b"use x") == b"USING x"
        (line,) = wait_for(daemon, "cannot_accept")
        assert "Too many open files" in line
        used = daemon.cpu_seconds()
        wires[-1].expect_silence(0.3)
        assert daemon.cpu_seconds() - used < 0.1
        assert wires[0].ask(b"use y") == b"USING y"
        for wire in wires[:20]:
            wire.close()
        for wire in wires[20:]:
            assert wire.ask(b"use z") == b"USING z"
            wire.close()
        assert len(wait_for(daemon, "cannot_accept")) == 1


def test_hardly_any_descriptors() -> None:
    """Without room for a single connection it does not start."""
    line = complaint(*FREE, code=1, command=limited(40, 0))
    assert "ulimit -n" in line


def test_wire_closes_without_a_trace() -> None:
    """A daemon that has served and been stopped has said four lines, and none is a warning."""
    with running(*FREE) as daemon:
        with Wire(daemon.address) as wire:
            assert wire.ask(b"use x") == b"USING x"
        assert daemon.terminate() == 0
        assert [line.split()[1:3] for line in daemon.log] == [
            ["INFO", "listening"],
            ["INFO", "stopping"],
            ["INFO", "stopped"],
        ]


def test_a_port_behind_the_address() -> None:
    """The likely mistake is named."""
    assert "a port belongs behind -p" in complaint("-l", "127.0.0.1:99", "-p0", code=1)


def test_half_a_bracket() -> None:
    """An address that is not well formed is refused, not guessed."""
    complaint("-l", "[::1", "-p0", code=1)


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    """What is in the way of a Unix socket is named, also when it leads nowhere."""
    path = tmp_path / "s"
    path.symlink_to(tmp_path / "nothing")
    assert "it exists and is no socket" in complaint("-l", f"unix:{path}", code=1)


def test_one_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an address that this machine has not is listened on by its others."""
    real = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    foreign = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [foreign, *real])
    (listener,) = open_listeners(["some.name"], 0)
    listener.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [foreign])
    with pytest.raises(CannotListenError, match="no such address"):
        open_listeners(["some.name"], 0)
