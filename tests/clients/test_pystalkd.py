"""pystalkd, a descendant of beanstalkc: job objects, YAML, bytes and text apart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pystalkd.Beanstalkd import (
    BeanstalkdException,
    CommandFailed,
    Connection,
    DeadlineSoon,
    SocketError,
)

from support.daemon import Daemon, free_port

# The tests that pystalkd's `python test.py` runs, but for those of LEFT_OUT.
OWN_TESTS = {
    "test_big",
    "test_big_bytes",
    "test_bytes",
    "test_chinese_word",
    "test_infinite_loop",
    "test_no_yaml",
    "test_steps",
    "test_temporary_use",
    "test_temporary_watch",
}
LEFT_OUT = {
    "test_wrong_connection": "connects to 255.255.255.255 and meets no server of ours",
    "test_timedelta": "puts into a tube it does not watch and then waits for ever; "
    "pystalkd's own list leaves it out too",
}


@pytest.fixture
def client(server: Daemon, tube: str) -> Iterator[Connection]:
    """A client that puts into and takes from this test's own tube."""
    connected = Connection(server.host, server.port, connect_timeout=5)
    connected.use(tube)
    connected.watch(tube)
    connected.ignore("default")
    yield connected
    connected.close()


def test_a_job_goes_through_every_state(client: Connection) -> None:
    """Put, reserve, touch, release with delay, kick, bury, kick, delete."""
    number = client.put("body", priority=5, ttr=timedelta(minutes=1))
    job = client.reserve(0)
    assert (job.job_id, job.body, job.size) == (number, "body", 4)
    job.touch()
    job.release(priority=6, delay=timedelta(hours=1))
    assert client.peek_delayed().job_id == number
    job.kick()
    assert client.peek_ready().job_id == number
    job = client.reserve(0)
    job.bury()
    assert client.peek_buried().job_id == number
    assert client.kick(10) == 1
    stats = job.stats()
    assert (stats["state"], stats["pri"], stats["ttr"]) == ("ready", 6, 60)
    assert (stats["reserves"], stats["releases"], stats["buries"], stats["kicks"]) == (2, 1, 1, 2)
    job.delete()
    assert client.peek(number) is None


def test_finding_nothing_is_none(client: Connection) -> None:
    """TIMED_OUT and the NOT_FOUND of the peeks come as None."""
    assert client.reserve(0) is None
    assert client.reserve(timedelta(0)) is None
    assert client.peek(2**64 - 1) is None
    assert [client.peek_ready(), client.peek_delayed(), client.peek_buried()] == [None] * 3


def test_bytes_and_text(client: Connection) -> None:
    """Both kinds of body come back as they were."""
    client.put_bytes(b"\x00\xff\x01")
    assert client.reserve_bytes(0).body == b"\x00\xff\x01"
    client.put("naïve")
    assert client.reserve(0).body == "naïve"


def test_tubes_and_lists(client: Connection, tube: str) -> None:
    """Use, watch and ignore, also for a while only, show in the lists."""
    aside = f"{tube}-aside"
    assert (client.using(), client.watching()) == (tube, [tube])
    with client.temporary_use(aside), client.temporary_watch(aside):
        assert (client.using(), client.watching()) == (aside, [tube, aside])
        assert {"default", tube, aside} <= set(client.tubes())
    assert (client.using(), client.watching()) == (tube, [tube])
    assert aside not in client.tubes()


def test_a_paused_tube_gives_nothing(client: Connection, tube: str) -> None:
    """A pause holds for reserve, shows in stats-tube and ends with 0."""
    client.put("held back")
    client.pause_tube(tube, timedelta(minutes=10))
    assert client.stats_tube(tube)["pause"] == 600
    assert client.reserve(0) is None
    client.pause_tube(tube, 0)
    assert client.reserve(0).body == "held back"


def test_refusals_are_the_clients_exceptions(client: Connection) -> None:
    """Each kind of refusal has its exception, and the connection stays usable."""
    client.put("one second", ttr=1)
    job = client.reserve(0)
    with pytest.raises(DeadlineSoon):
        client.reserve(0)
    job.delete()
    for command in (client.delete, client.touch, client.release, client.bury, client.kick_job):
        with pytest.raises(CommandFailed, match="NOT_FOUND"):
            command(job.job_id)
    with pytest.raises(CommandFailed, match="JOB_TOO_BIG"):
        client.put("x" * 65536)
    with pytest.raises(CommandFailed, match="NOT_IGNORED"):
        client.ignore(client.using())
    with pytest.raises(BeanstalkdException, match="BAD_FORMAT"):
        client.use("two words")
    with pytest.raises(BeanstalkdException, match="UNKNOWN_COMMAND"):
        client.send("no-such-command")


def test_quit_and_reconnect(client: Connection) -> None:
    """The command quit gives jobs back; a new connection starts from the default tube."""
    number = client.put("survivor")
    used = client.using()
    client.reserve(0)
    client.reconnect()
    assert (client.using(), client.watching()) == ("default", ["default"])
    client.watch(used)
    assert client.reserve(4).job_id == number


def test_a_server_that_is_not_there_is_a_socket_error(client: Connection) -> None:
    """The client tells a refused connection from a refused command."""
    client.port = free_port()
    with pytest.raises(SocketError) as refusal:
        client.reconnect()
    assert isinstance(refusal.value.args[0], ConnectionRefusedError)
    client._socket.close()  # the client leaves that to the garbage collector


@pytest.mark.timeout(300)  # pip may have to fetch the archive
def test_pystalkds_own_tests(pystalkd_tests: Path, fresh_server: Daemon) -> None:
    """All tests pass that pystalkd's own runner runs, and there are no others."""
    runner = str(Path(__file__).with_name("run_pystalkd_tests.py"))
    where = [str(pystalkd_tests), fresh_server.host, str(fresh_server.port)]
    ran = subprocess.run(
        [sys.executable, runner, *where, *sorted(OWN_TESTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["run"], report["problems"]) == (len(OWN_TESTS), {}), ran.stderr
    assert set(report["known"]) == OWN_TESTS | LEFT_OUT.keys()
