"""pystalk, a Python client that connects by itself, and again when the connection was lost."""

from collections.abc import Iterator

import pystalk
import pytest

from support.daemon import Daemon, free_port, start_server


@pytest.fixture
def client(server: Daemon, tube: str) -> Iterator[pystalk.BeanstalkClient]:
    """A client that puts into and takes from this test's own tube."""
    connected = pystalk.BeanstalkClient(server.host, server.port, socket_timeout=5)
    connected.use(tube)
    connected.watch(tube)
    yield connected
    connected.close()


def put(client: pystalk.BeanstalkClient, body: str, **options: int) -> int:
    """Put a job and give its id."""
    status, number = client.put_job(body, **options)
    assert (status, type(number)) == (b"INSERTED", int)
    return int(number)


def refused(reply: str) -> pytest.RaisesExc[pystalk.BeanstalkError]:
    """The client raises exactly the server's word."""
    return pytest.raises(pystalk.BeanstalkError, check=lambda error: error.message == reply)


def test_a_job_goes_through_every_state(client: pystalk.BeanstalkClient) -> None:
    """Put, reserve, release with delay, kick, bury, kick, delete: each does what it says."""
    number = put(client, "body", pri=5, ttr=9)
    job = client.reserve_job(timeout=0)
    assert (job.job_id, job.job_data) == (number, b"body")
    assert client.release_job(job, pri=6, delay=3600) == b"RELEASED"
    assert client.peek_delayed() == job
    client.kick_job(job)
    assert client.peek_ready() == job
    assert client.reserve_job(timeout=0) == job
    assert client.bury_job(job, pri=7) == b"BURIED"
    assert client.peek_buried() == job
    assert client.kick_jobs(10) == (b"KICKED", 1)
    stats = client.stats_job(job)
    assert (stats["state"], stats["pri"], stats["ttr"]) == ("ready", 7, 9)
    assert (stats["reserves"], stats["releases"], stats["buries"], stats["kicks"]) == (2, 1, 1, 2)
    client.delete_job(job)
    with refused("NOT_FOUND"):
        client.delete_job(job)


def test_a_body_decoded_by_the_client(server: Daemon, tube: str) -> None:
    """UTF-8 goes through unchanged, also a body of many packets."""
    client = pystalk.BeanstalkClient(server.host, server.port, socket_timeout=5, auto_decode=True)
    body = "ŝtalk\r\n" * 7000
    client.put_job_into(tube, body)
    client.watch(tube)
    assert client.reserve_job(timeout=0).job_data == body
    client.close()


def test_iterating_empties_a_tube_of_one_state_after_the_other(
    client: pystalk.BeanstalkClient,
) -> None:
    """The iterators end at TIMED_OUT and NOT_FOUND, and give jobs in the order due."""
    for priority, body in enumerate("abc"):
        put(client, body, pri=priority)
    for delay, body in ((300, "z"), (200, "y"), (100, "x")):
        put(client, body, delay=delay)
    for job in client.reserve_iter():
        client.bury_job(job)
    found = []
    for jobs in (client.peek_ready_iter, client.peek_delayed_iter, client.peek_buried_iter):
        for job in jobs():
            found.append(job.job_data)
            client.delete_job(job)
    assert found == [b"x", b"y", b"z", b"a", b"b", b"c"]


def test_a_tube_used_for_some_jobs_only(client: pystalk.BeanstalkClient, tube: str) -> None:
    """Putting into another tube for a while changes that and nothing else."""
    aside = f"{tube}-aside"
    with client.using(aside) as inserter:
        inserter.put_job("aside")
    put(client, "here")
    assert {tube, aside} <= set(client.list_tubes())
    assert client.reserve_job(timeout=0).job_data == b"here"
    with refused("TIMED_OUT"):
        client.reserve_job(timeout=0)
    client.watchlist = {aside}
    assert client.reserve_job(timeout=0).job_data == b"aside"


def test_a_paused_tube_gives_nothing(client: pystalk.BeanstalkClient, tube: str) -> None:
    """Pausing and unpausing show in stats-tube and hold for reserve."""
    number = put(client, "held back")
    assert client.pause_tube(tube, delay=600) == b"PAUSED"
    assert client.stats_tube(tube)["pause"] == 600
    with refused("TIMED_OUT"):
        client.reserve_job(timeout=0)
    assert client.unpause_tube(tube) == b"PAUSED"
    assert client.reserve_job(timeout=0).job_id == number


def test_yaml_of_the_server_has_the_types_users_expect(client: pystalk.BeanstalkClient) -> None:
    """Numbers are numbers, draining is a boolean, and the version is a string."""
    stats = client.stats()
    types = {"pid": int, "rusage-utime": float, "draining": bool, "version": str}
    assert {key: type(stats[key]) for key in types} == types
    assert isinstance(client.list_tubes(), list)


def test_refusals_come_as_the_servers_word(client: pystalk.BeanstalkClient) -> None:
    """BeanstalkError carries the reply, and the connection stays usable."""
    put(client, "one second", ttr=1)
    job = client.reserve_job(timeout=0)
    with refused("DEADLINE_SOON"):
        client.reserve_job(timeout=0)
    client.delete_job(job)
    with refused("JOB_TOO_BIG"):
        put(client, "x" * 65536)
    for command in (client.delete_job, client.release_job, client.bury_job, client.kick_job):
        with refused("NOT_FOUND"):
            command(job)
    with refused("NOT_FOUND"):
        client.stats_tube("absent")
    with refused("NOT_FOUND"):
        client.pause_tube("absent")
    with refused("BAD_FORMAT"):
        client.stats_tube("two words")


def test_a_client_that_lost_its_connection_finds_its_tubes_again(
    client: pystalk.BeanstalkClient, tube: str
) -> None:
    """After reconnecting the client uses and watches what it did, and its job is ready again."""
    number = put(client, "survivor")
    client.reserve_job(timeout=0)
    client.close()
    job = client.reserve_job(timeout=4)
    assert job.job_id == number
    stats = client.stats_tube(tube)
    assert (stats["current-using"], stats["current-watching"]) == (1, 1)


def test_a_pool_goes_on_with_the_server_that_is_left(server: Daemon, tube: str) -> None:
    """A pool spreads jobs over its servers, and puts them elsewhere when one has gone."""
    with start_server() as second:
        uris = [f"beanstalk://{each.host}:{each.port}" for each in (server, second)]
        pool = pystalk.ProductionPool.from_uris(uris, socket_timeout=5, initial_shuffle=False)
        for body in ("first", "second"):
            assert pool.put_job_into(tube, body)[0] == b"INSERTED"
        second.kill()
        for body in ("third", "fourth"):
            pool.put_job_into(tube, body)
    client = pystalk.BeanstalkClient.from_uri(uris[0], socket_timeout=5)
    client.watch(tube)
    assert [job.job_data for job in client.reserve_iter()] == [b"first", b"third", b"fourth"]
    client.close()
    for record in pool._clients:
        record.client.close()


def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    """The client tells a refused connection from a refused command."""
    client = pystalk.BeanstalkClient("127.0.0.1", free_port(), socket_timeout=5)
    with pytest.raises(pystalk.BeanstalkConnectionError):
        client.stats()


def test_ping_opens_a_connection_and_closes_it(server: Daemon) -> None:
    """A connection that says nothing at all is no trouble."""
    assert pystalk.BeanstalkClient(server.host, server.port, socket_timeout=5).ping()
