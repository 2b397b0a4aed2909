"""What stalkd tells of itself, as greenstalk reads it.

stats-job and stats-tube are compared as whole dictionaries: clients do that, so one key more
would break them.
"""

from collections.abc import Iterator

import greenstalk
import pytest
from greenstalk import Client

from support.daemon import Daemon


@pytest.fixture
def client(server: Daemon, tube: str) -> Iterator[Client[str]]:
    """A client that puts into and takes from this test's own tube."""
    with Client(server.address, use=tube, watch=tube) as connected:
        yield connected


def job_stats(tube: str, number: int, **changed: object) -> dict[str, object]:
    """What stats-job says of a job put with greenstalk's defaults, but for `changed`."""
    fresh: dict[str, object] = {
        "id": number,
        "tube": tube,
        "state": "ready",
        "pri": 65536,
        "age": 0,
        "delay": 0,
        "ttr": 60,
        "time-left": 0,
        "file": 0,
        "reserves": 0,
        "timeouts": 0,
        "releases": 0,
        "buries": 0,
        "kicks": 0,
    }
    return fresh | changed


def tube_stats(name: str, **changed: int) -> dict[str, object]:
    """What stats-tube says of an untouched tube, but for `changed` (with _ for -)."""
    untouched: dict[str, object] = {
        "name": name,
        "current-jobs-urgent": 0,
        "current-jobs-ready": 0,
        "current-jobs-reserved": 0,
        "current-jobs-delayed": 0,
        "current-jobs-buried": 0,
        "total-jobs": 0,
        "current-using": 0,
        "current-watching": 0,
        "current-waiting": 0,
        "cmd-delete": 0,
        "cmd-pause-tube": 0,
        "pause": 0,
        "pause-time-left": 0,
    }
    return untouched | {key.replace("_", "-"): value for key, value in changed.items()}


def test_stats_of_a_new_job(fresh_server: Daemon) -> None:
    """stats-job has exactly the standard keys, and a new server counts from 1."""
    with Client(fresh_server.address) as client:
        assert client.stats_job(client.put("job")) == job_stats("default", 1)


def test_stats_of_a_job_follow_its_life(client: Client[str], tube: str) -> None:
    """Every step of a job's life shows in stats-job, and nothing else changes."""
    number = client.put("job", priority=10, delay=100, ttr=50)
    expected = job_stats(tube, number, state="delayed", pri=10, delay=100, ttr=50)
    assert timeless(client.stats_job(number)) == expected
    client.kick_job(number)
    expected |= {"state": "ready", "kicks": 1}
    assert timeless(client.stats_job(number)) == expected
    job = client.reserve(timeout=0)
    expected |= {"state": "reserved", "reserves": 1}
    assert timeless(client.stats_job(number)) == expected
    client.bury(job, priority=20)
    expected |= {"state": "buried", "pri": 20, "buries": 1}
    assert timeless(client.stats_job(number)) == expected
    assert client.kick(1) == 1
    client.release(client.reserve(timeout=0), priority=30)
    expected |= {"state": "ready", "pri": 30, "delay": 0, "reserves": 2, "releases": 1, "kicks": 2}
    assert timeless(client.stats_job(number)) == expected


def timeless(stats: greenstalk.StatsJob) -> dict[str, object]:
    """The same with 0 for what depends on the moment."""
    return {**stats, "age": 0, "time-left": 0}


def test_time_left_counts_down_to_what_happens_next(client: Client[str]) -> None:
    """time-left is the rest of the delay or of the time to run, and 0 for who has neither."""
    number = client.put("job", delay=100, ttr=50)
    assert client.stats_job(number)["time-left"] in (98, 99)
    client.kick_job(number)
    assert client.stats_job(number)["time-left"] == 0
    job = client.reserve(timeout=0)
    assert client.stats_job(number)["time-left"] in (48, 49)
    client.bury(job)
    assert client.stats_job(number)["time-left"] == 0


def test_stats_of_the_default_tube(fresh_server: Daemon) -> None:
    """stats-tube has exactly the standard keys; using and watching are counted apart."""
    with Client(fresh_server.address, use="elsewhere") as client:
        assert client.stats_tube("default") == tube_stats("default", current_watching=1)
        assert client.stats_tube("elsewhere") == tube_stats("elsewhere", current_using=1)


def test_stats_of_a_tube_count_its_jobs_by_state(client: Client[str], tube: str) -> None:
    """Each job is counted in its state, urgent ones twice, deleted ones in the total."""
    client.put("urgent", priority=1023)
    for body in ("ready", "reserved", "buried", "deleted"):
        client.put(body, priority=1024)
    client.put("delayed", delay=3600)
    urgent = client.reserve(timeout=0)
    client.reserve(timeout=0)
    client.bury(client.reserve(timeout=0))
    client.delete(client.reserve(timeout=0))
    client.release(urgent, priority=0)
    client.pause_tube(tube, 0)
    assert client.stats_tube(tube) == tube_stats(
        tube,
        current_jobs_urgent=1,
        current_jobs_ready=2,
        current_jobs_reserved=1,
        current_jobs_delayed=1,
        current_jobs_buried=1,
        total_jobs=6,
        current_using=1,
        current_watching=1,
        cmd_delete=1,
        cmd_pause_tube=1,
    )


# What greenstalk knows of `stats`, less what is not 0 at first.
KEYS = set(greenstalk.Stats.__annotations__)
ONE = {"cmd-stats", "current-tubes", "current-connections"}
ANY = {
    "binlog-max-size",
    "draining",
    "hostname",
    "id",
    "max-job-size",
    "os",
    "pid",
    "platform",
    "rusage-stime",
    "rusage-utime",
    "total-connections",
    "uptime",
    "version",
}
ZERO = KEYS - ONE - ANY


def test_stats_of_a_new_server(fresh_server: Daemon) -> None:
    """A new server has counted nothing but the connection and the question."""
    with Client(fresh_server.address) as client:
        stats = dict(client.stats().items())
    assert stats.keys() >= KEYS
    assert {key: stats[key] for key in ZERO} == dict.fromkeys(ZERO, 0)
    assert {key: stats[key] for key in ONE} == dict.fromkeys(ONE, 1)
    assert (stats["pid"], stats["draining"]) == (fresh_server.pid, "false")
    assert stats["uptime"] in (0, 1)


def test_stats_count_every_command(fresh_server: Daemon) -> None:
    """Each command raises its own counter by one, whether it found something or not."""
    with Client(fresh_server.address) as client:
        say_everything_once(client)
        stats = dict(client.stats().items())
    # reserve-job has no counter, and is not counted as one of these.
    commands = {key for key in KEYS if key.startswith("cmd-")}
    commands -= {"cmd-reserve", "cmd-reserve-with-timeout"}
    assert {key: stats[key] for key in commands} == dict.fromkeys(commands, 1)
    assert stats["cmd-reserve"] == stats["cmd-reserve-with-timeout"] == 0
    assert (stats["total-jobs"], stats["current-tubes"]) == (1, 2)
    assert (stats["current-producers"], stats["current-workers"]) == (1, 1)


def say_everything_once(client: Client[str]) -> None:
    """Every command but the two kinds of reserve."""
    client.use("a")
    client.watch("a")
    client.ignore("a")
    for query in (client.tubes, client.using, client.watching):
        query()
    job = client.reserve_job(client.put("job"))
    client.stats_job(job)
    client.stats_tube("a")
    client.touch(job)
    client.release(job)
    client.peek(job.id)
    client.peek_ready()
    for peek in (client.peek_delayed, client.peek_buried):
        with pytest.raises(greenstalk.NotFoundError):
            peek()
    client.kick(1)
    client.pause_tube("a", 0)
    client.delete(job)
    with pytest.raises(greenstalk.NotFoundError):
        client.bury(job)


def test_tubes_come_with_use_and_watch_and_go_when_nothing_needs_them(
    fresh_server: Daemon,
) -> None:
    """A tube exists as long as somebody uses or watches it, or it has a job; default always."""
    with Client(fresh_server.address) as client:
        assert client.tubes() == ["default"]
        client.use("used")
        client.watch("watched")
        assert set(client.tubes()) == {"default", "used", "watched"}
        number = client.put("keeps the tube")
        client.use("default")
        client.ignore("watched")
        assert set(client.tubes()) == {"default", "used"}
        client.delete(number)
        assert client.tubes() == ["default"]


def test_using_and_watching_tell_the_tubes_of_this_connection(server: Daemon) -> None:
    """A connection starts with default for both, and each command changes its own."""
    with Client(server.address) as client:
        assert (client.using(), client.watching()) == ("default", ["default"])
        client.use("elsewhere")
        assert [client.watch("more"), client.watch("more")] == [2, 2]
        assert client.using() == "elsewhere"
        assert set(client.watching()) == {"default", "more"}
        assert [client.ignore("never-watched"), client.ignore("default")] == [2, 1]
