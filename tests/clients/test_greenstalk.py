"""greenstalk, a widely used Python client, on the ground that its own test suite covers.

That suite is not in its package, so these are tests of our own: every command, and every error
that a plain client can meet. Statistics are in test_greenstalk_stats.py.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGUSR1

import greenstalk
import pytest
from greenstalk import Client

from support.daemon import Daemon, start_server

ABSENT = 18_446_744_073_709_551_615  # the highest possible id, never given out


@pytest.fixture
def client(server: Daemon, tube: str) -> Iterator[Client[str]]:
    """A client that puts into and takes from this test's own tube."""
    with Client(server.address, use=tube, watch=tube) as connected:
        yield connected


@pytest.fixture
def other(server: Daemon, tube: str) -> Iterator[Client[str]]:
    """A second client of the same tube."""
    with Client(server.address, use=tube, watch=tube) as connected:
        yield connected


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    """Check that a block takes at least that long.

    And not much longer; but that bound is wide, to tell a forgotten timer from a slow machine.
    """
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert seconds <= took < seconds + 0.9


# ---- Put, reserve, delete ----


def test_a_job_lives_and_dies_over_a_unix_socket(unix_server: Daemon) -> None:
    """A Unix socket serves as well as TCP, and a body keeps its characters."""
    with Client(unix_server.address) as client:
        client.use("mail")
        number = client.put("gruß@例え.jp")
        assert client.watch("mail") == 2
        assert client.ignore("default") == 1
        job = client.reserve()
        assert (job.id, job.body) == (number, "gruß@例え.jp")
        client.delete(job)
        with pytest.raises(greenstalk.NotFoundError):
            client.peek(number)


def test_lower_priority_number_comes_first(client: Client[str]) -> None:
    """Jobs come by priority, whatever the order they were put in."""
    for priority in (7, 0, 4_294_967_295, 3):
        client.put(str(priority), priority=priority)
    assert [client.reserve(timeout=0).body for _ in range(4)] == ["0", "3", "7", "4294967295"]


def test_equal_priority_comes_in_order_of_put_over_all_watched_tubes(server: Daemon) -> None:
    """Several watched tubes give their jobs as one queue would."""
    with Client(server.address, watch=["several-a", "several-b"]) as client:
        for tube, body in (("several-b", "1"), ("several-a", "2"), ("several-b", "3")):
            client.use(tube)
            client.put(body)
        assert [client.reserve(timeout=0).body for _ in range(3)] == ["1", "2", "3"]


def test_tubes_named_when_connecting_are_the_only_ones_watched(
    client: Client[str], tube: str
) -> None:
    """A client made for one tube gets its jobs and none of the default tube."""
    assert client.watching() == [tube]
    client.put("mine")
    client.delete(client.reserve(timeout=0))
    client.use("default")
    number = client.put("")
    with pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)
    client.delete(number)


@pytest.mark.parametrize("size", [0, 1, 4096, 65535])
def test_a_body_of_any_bytes_comes_back_unchanged(server: Daemon, tube: str, size: int) -> None:
    """Bodies are opaque, up to the largest allowed."""
    body = os.urandom(size)
    with Client(server.address, encoding=None, use=tube, watch=tube) as client:
        number = client.put(body)
        assert client.peek(number).body == body
        assert client.reserve(timeout=0).body == body


def test_a_body_may_look_like_the_protocol(server: Daemon, tube: str) -> None:
    """Line ends and replies inside a body mean nothing."""
    body = b"\r\nRESERVED 1 1\r\n.\r\n\0\r\n"
    with Client(server.address, encoding=None, use=tube, watch=tube) as client:
        client.put(body)
        assert client.reserve(timeout=0).body == body


def test_a_job_one_byte_too_big_is_refused(server: Daemon) -> None:
    """max-job-size is the largest body allowed, and a refusal leaves the connection in step."""
    with Client(server.address, encoding=None) as client:
        largest = client.stats()["max-job-size"]
        assert largest == 65535
        with pytest.raises(greenstalk.JobTooBigError):
            client.put(bytes(largest + 1))
        assert client.using() == "default"


# ---- Waiting ----


def test_reserve_times_out_after_the_given_seconds(client: Client[str]) -> None:
    """TIMED_OUT comes when the time is over, and not before."""
    with takes(1), pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=1)


def test_timeout_zero_does_not_wait(client: Client[str]) -> None:
    """reserve-with-timeout 0 is a poll."""
    with takes(0), pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)


def test_a_delayed_job_comes_when_its_delay_is_over(client: Client[str]) -> None:
    """A delay given to put or to release holds the job back for so long."""
    with takes(1):
        client.put("later", delay=1)
        job = client.reserve()
    assert job.body == "later"
    with takes(1):
        client.release(job, delay=1)
        with pytest.raises(greenstalk.TimedOutError):
            client.reserve(timeout=0)
        assert client.reserve(timeout=5).id == job.id


def test_the_holder_is_warned_a_second_before_its_time_runs_out(client: Client[str]) -> None:
    """A waiting holder gets DEADLINE_SOON one second before the deadline; touch moves that."""
    client.put("two seconds", ttr=2)
    with takes(1):
        job = client.reserve()
        with pytest.raises(greenstalk.DeadlineSoonError):
            client.reserve()
    client.touch(job)
    with pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)
    client.release(job)


def test_a_ready_job_comes_before_the_warning(client: Client[str]) -> None:
    """DEADLINE_SOON is for those who would wait; with a ready job nobody waits."""
    client.put("held", ttr=1)
    held = client.reserve(timeout=0)
    with pytest.raises(greenstalk.DeadlineSoonError):
        client.reserve(timeout=0)
    client.put("ready")
    assert client.reserve(timeout=0).body == "ready"
    client.delete(held)


def test_a_job_whose_time_ran_out_goes_to_another_worker(
    client: Client[str], other: Client[str]
) -> None:
    """A silent holder loses its job when the time to run is over.

    The original fails here every now and then: it forgets some deadlines (its issue 262).
    """
    client.put("one second", ttr=1)
    with takes(1):
        lost = client.reserve()
        job = other.reserve(timeout=5)
    assert job.id == lost.id
    stats = other.stats_job(job)
    assert (stats["reserves"], stats["timeouts"], stats["releases"]) == (2, 1, 0)
    for command in (client.touch, client.release, client.bury, client.delete):
        with pytest.raises(greenstalk.NotFoundError):
            command(lost)


def test_a_paused_tube_gives_nothing_until_the_pause_is_over(
    client: Client[str], tube: str
) -> None:
    """A pause holds back reserve for its seconds, and serves the waiter when it ends."""
    client.put("held back")
    with takes(1):
        client.pause_tube(tube, 1)
        with pytest.raises(greenstalk.TimedOutError):
            client.reserve(timeout=0)
        assert client.reserve().body == "held back"


def test_pause_zero_ends_a_pause(client: Client[str], tube: str) -> None:
    """A paused tube is only closed for reserve, and pause-tube 0 opens it."""
    number = client.put("held back")
    client.pause_tube(tube, 3600)
    assert client.stats_tube(tube)["pause"] == 3600
    assert client.peek_ready().id == number
    client.pause_tube(tube, 0)
    assert client.reserve(timeout=0).id == number


# ---- One job by its id ----


def test_reserve_job_takes_that_very_job(client: Client[str]) -> None:
    """reserve-job takes a job by id once, out of turn."""
    first, second = client.put("a"), client.put("b")
    assert client.reserve_job(second).body == "b"
    assert client.reserve_job(first).body == "a"
    for number in (first, second):
        with pytest.raises(greenstalk.NotFoundError):
            client.reserve_job(number)
    with pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)


def test_reserve_job_takes_a_delayed_and_a_buried_job(client: Client[str], server: Daemon) -> None:
    """Any job that nobody holds can be reserved by id, also out of a tube that is not watched."""
    delayed = client.put("delayed", delay=3600)
    client.bury(client.reserve_job(client.put("buried")))
    buried = client.peek_buried().id
    with Client(server.address) as stranger:
        for number in (delayed, buried):
            stranger.release(stranger.reserve_job(number))
            assert client.stats_job(number)["state"] == "ready"


def test_delete_takes_a_job_in_any_state_but_held_by_another(
    client: Client[str], other: Client[str]
) -> None:
    """Ready, delayed and buried jobs are anyone's to delete; a reserved one is its holder's."""
    client.bury(client.reserve_job(client.put("buried")))
    for number in (client.put("ready"), client.put("delayed", delay=9), client.peek_buried().id):
        other.delete(number)
    job = client.reserve_job(client.put("held"))
    with pytest.raises(greenstalk.NotFoundError):
        other.delete(job)
    client.delete(job)


def test_only_the_holder_may_handle_a_reserved_job(client: Client[str], other: Client[str]) -> None:
    """Another connection cannot touch, release, bury, kick or take a reserved job."""
    job = client.reserve_job(client.put("held"))
    for command in (other.touch, other.release, other.bury, other.kick_job):
        with pytest.raises(greenstalk.NotFoundError):
            command(job)
    with pytest.raises(greenstalk.NotFoundError):
        other.reserve_job(job.id)
    client.touch(job)


def test_a_closed_connection_gives_its_jobs_back(server: Daemon, client: Client[str]) -> None:
    """A worker that goes away loses nothing: its job is ready again, uncounted."""
    number = client.put("survivor")
    with Client(server.address, watch=client.using()) as worker:
        worker.reserve(timeout=0)
    job = client.reserve(timeout=5)
    stats = client.stats_job(job)
    assert job.id == number
    assert (stats["reserves"], stats["timeouts"], stats["releases"]) == (2, 0, 0)


# ---- Peek and kick ----


def test_peek_shows_a_job_in_any_tube_and_state(client: Client[str], server: Daemon) -> None:
    """Peek by id needs neither the tube nor the job."""
    number = client.put("look")
    with Client(server.address) as stranger:
        assert (stranger.peek(number).id, stranger.peek(number).body) == (number, "look")
        client.reserve(timeout=0)
        assert stranger.peek(number).body == "look"


def test_peek_ready_shows_the_next_job(client: Client[str]) -> None:
    """peek-ready shows the one that reserve would give, and does not take it."""
    client.put("second", priority=2)
    first = client.put("first", priority=1)
    assert (client.peek_ready().id, client.peek_ready().body) == (first, "first")
    assert client.reserve(timeout=0).id == first


def test_peek_delayed_shows_the_next_to_become_ready(client: Client[str]) -> None:
    """peek-delayed shows the shortest remaining delay."""
    client.put("late", delay=200)
    soon = client.put("soon", delay=100)
    assert (client.peek_delayed().id, client.peek_delayed().body) == (soon, "soon")


def test_peek_buried_shows_the_one_buried_longest(client: Client[str]) -> None:
    """peek-buried goes by the order of burying; priority does not count."""
    first, second = client.put("a", priority=9), client.put("b", priority=1)
    client.bury(client.reserve_job(first), priority=9)
    client.bury(client.reserve_job(second), priority=1)
    assert (client.peek_buried().id, client.peek_buried().body) == (first, "a")


def test_peek_finds_nothing_where_nothing_is(client: Client[str]) -> None:
    """Each peek looks at its own state, and an unknown id is not found."""
    client.put("delayed", delay=3600)
    for peek in (client.peek_ready, client.peek_buried):
        with pytest.raises(greenstalk.NotFoundError):
            peek()
    assert client.kick(1) == 1
    with pytest.raises(greenstalk.NotFoundError):
        client.peek_delayed()
    with pytest.raises(greenstalk.NotFoundError):
        client.peek(ABSENT)


def test_kick_takes_buried_jobs_first_and_delayed_ones_only_without(client: Client[str]) -> None:
    """One kick moves jobs of one state: buried as long as there are any, then delayed."""
    for seconds in (30, 45):
        client.put("delayed", delay=seconds)
    for _ in range(3):
        client.put("buried")
    for _ in range(3):
        client.bury(client.reserve(timeout=0))
    assert [client.kick(2), client.kick(2), client.kick(10), client.kick(10)] == [2, 1, 2, 0]


def test_kick_job_makes_one_buried_or_delayed_job_ready(client: Client[str]) -> None:
    """kick-job goes by id; a ready job cannot be kicked."""
    delayed = client.put("delayed", delay=3600)
    client.kick_job(delayed)
    job = client.reserve(timeout=0)
    client.bury(job)
    client.kick_job(job)
    assert client.stats_job(job)["kicks"] == 2
    with pytest.raises(greenstalk.NotFoundError):
        client.kick_job(job)


# ---- Refusals ----


def test_the_last_watched_tube_cannot_be_ignored(server: Daemon) -> None:
    """A connection always watches something."""
    with Client(server.address) as client:
        with pytest.raises(greenstalk.NotIgnoredError):
            client.ignore("default")
        assert client.watching() == ["default"]


def test_what_does_not_exist_is_not_found(client: Client[str]) -> None:
    """Every command about one job or one tube says so if there is none, and makes none."""
    job = greenstalk.Job(ABSENT, "never was")
    for about_a_job in (
        client.delete,
        client.release,
        client.bury,
        client.touch,
        client.kick_job,
        client.stats_job,
    ):
        with pytest.raises(greenstalk.NotFoundError):
            about_a_job(job)
    for about_an_id in (client.peek, client.reserve_job):
        with pytest.raises(greenstalk.NotFoundError):
            about_an_id(ABSENT)
    with pytest.raises(greenstalk.NotFoundError):
        client.stats_tube("absent")
    with pytest.raises(greenstalk.NotFoundError):
        client.pause_tube("absent", 1)
    assert "absent" not in client.tubes()


def test_a_tube_name_has_200_bytes_at_most(client: Client[str]) -> None:
    """The longest name works in every command; longer or odd ones are a bad format."""
    longest = "n" * 200
    client.use(longest)
    client.pause_tube(longest, 4_294_967_295)
    assert client.stats_tube(longest)["name"] == longest
    for name in (longest + "n", "-leading", "a b", "a:b", ""):
        with pytest.raises(greenstalk.BadFormatError):
            client.use(name)
    assert client.using() == longest


def test_numbers_out_of_range_are_a_bad_format(client: Client[str]) -> None:
    """Priority and delay are 32 bits wide, ids 64, and none is negative."""
    job = client.reserve_job(client.put("job"))
    for number in (-1, 4_294_967_296):
        with pytest.raises(greenstalk.BadFormatError):
            client.release(job, priority=number)
        with pytest.raises(greenstalk.BadFormatError):
            client.release(job, delay=number)
    for number in (-1, ABSENT + 1):
        with pytest.raises(greenstalk.BadFormatError):
            client.peek(number)
    client.delete(job)


def test_a_draining_server_refuses_only_new_jobs(fresh_server: Daemon) -> None:
    """After SIGUSR1 put is refused, and the jobs that are there can be finished."""
    with Client(fresh_server.address) as client:
        number = client.put("before")
        fresh_server.signal(SIGUSR1)
        wait_until(lambda: client.stats()["draining"] == "true")
        with pytest.raises(greenstalk.DrainingError):
            client.put("after")
        client.release(client.reserve(timeout=0))
        client.delete(number)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait a few seconds at most for something that no reply announces."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---- Connections ----


def test_a_socket_with_a_timeout_of_its_own(server: Daemon, tube: str) -> None:
    """A client may bring its connection; its timeout ends a wait that the server would not."""
    address = (server.host, server.port)
    with socket.create_connection(address, timeout=0.1) as connection:
        client = Client(connection, use=tube, watch=tube)
        client.put("job")
        client.delete(client.reserve())
        with pytest.raises(TimeoutError):
            client.reserve()
        client.close()


def test_a_stale_unix_socket_is_replaced() -> None:
    """A server that was killed leaves its socket file; the next start takes its place."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        path = f"{directory}/socket"
        with start_server(unix=path) as killed:
            killed.kill()
        assert Path(path).is_socket()
        with start_server(unix=path) as again, Client(again.address) as client:
            assert client.tubes() == ["default"]
