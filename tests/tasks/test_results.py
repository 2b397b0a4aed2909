"""What the caller learns of a task: its end, its value, its failure, its death."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stalkd_client import (
    Client,
    NotFoundError,
    TaskDiedError,
    TaskFailedError,
    TaskLostError,
    Tasks,
    TimedOutError,
    WrongUseError,
)
from stalkd_client.tasks import ends
from stalkd_client.tasks.envelope import find_codec
from stalkd_client.tasks.runner import perform

from support.cutting import cut_at
from support.daemon import Daemon, free_port, start_stalkd
from support.worker import work_one


def double(number: int) -> int:
    return 2 * number


def fail(text: str) -> None:
    raise ValueError(text)


def odd() -> object:
    return object()


NAMES = {f"{__name__}.{each.__name__}": each for each in (double, fail, odd)}


def waits(client: Client, count: int) -> None:
    """Return when so many clients wait for the end of a job: the server knows."""
    while client.stats()["cmd-wait-job"] < count:  # type: ignore[operator]
        pass


def test_a_value(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 21)
    assert not handle.done()
    with pytest.raises(TimedOutError):
        handle.result(0)
    assert "not known to have ended" in repr(handle)
    work_one(url, tube, NAMES)
    assert handle.result(timeout=5) == 42
    assert handle.done()
    assert handle.wait() == "done"
    assert f"{__name__}.double, job {handle.id}, done" in repr(handle)


def test_who_waits_is_told(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 21)
    with ThreadPoolExecutor(1) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = pool.submit(handle.result, 10)
        waits(client, int(str(before)) + 1)
        work_one(url, tube, NAMES)
        assert waiting.result() == 42


def test_all_threads_that_wait_are_told(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 21)
    with ThreadPoolExecutor(4) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = [pool.submit(handle.result, 10) for _ in range(4)]
        waits(client, int(str(before)) + 4)
        work_one(url, tube, NAMES)
        assert [each.result() for each in waiting] == [42] * 4


def test_another_process_may_ask(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 21)
    work_one(url, tube, NAMES)
    elsewhere = Tasks(url=url)
    assert elsewhere.task(double).handle(handle.id, handle.reply).result(5) == 42
    elsewhere.close()


def test_handles_in_any_order(tasks: Tasks, url: str, tube: str) -> None:
    handles = tasks.task(double).push_many([1, 2, 3])
    for _ in handles:
        work_one(url, tube, NAMES)
    assert [handle.result(5) for handle in reversed(handles)] == [6, 4, 2]
    assert len({handle.reply for handle in handles}) == 3


def test_a_push_that_is_sent_again_has_its_result(server: Daemon, url: str, tube: str) -> None:
    """The server has done the first one, and says that the key is there."""
    with cut_at((server.host, server.port), b"INSERTED") as way:
        tasks = Tasks(url=way, queue=tube, result=True, key="k", retry_for=10)
        handle = tasks.enqueue(double, 21)
        assert tasks.enqueue(double, 21).reply is None  # That is another's.
        work_one(url, tube, NAMES)
        assert handle.result(5) == 42
        tasks.close()


def test_nothing_is_left_of_a_reply_that_was_read(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 1)
    work_one(url, tube, NAMES)
    assert handle.reply is not None
    with Client(url) as client:
        told = client.list_jobs(handle.reply).jobs[0]
        assert 3500 < float(str(told["expires-in"])) <= 3600
        assert handle.result(5) == 2
        tasks.close()
        assert handle.reply not in client.list_tubes()
    assert handle.result() == 2  # It is known by now.


def test_a_failure(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(fail, "so")
    assert work_one(url, tube, NAMES).error is not None
    assert handle.wait(5) == "failed"
    with pytest.raises(
        TaskFailedError, match=r"test_results\.fail raised ValueError: so"
    ) as caught:
        handle.result(5)
    assert (caught.value.type, caught.value.message) == ("ValueError", "so")
    assert "in fail\n    raise ValueError(text)" in caught.value.traceback
    assert "runner.py" not in caught.value.traceback
    assert caught.value.traceback.strip() in str(caught.value)


def test_an_error_without_a_traceback_is_one_line() -> None:
    assert str(TaskFailedError("t", "E", "m", " \n")) == "t raised E: m"


def test_a_value_that_cannot_be_sent(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(odd)
    work_one(url, tube, NAMES)
    with pytest.raises(
        TaskFailedError, match=r"BadResultError: what .*odd returned, of type object"
    ):
        handle.result(5)


@pytest.mark.parametrize(
    ("name", "kind"), [("missing", "UnknownTaskError"), ("double", "BadArgumentsError")]
)
def test_what_no_worker_can_run(tasks: Tasks, url: str, tube: str, name: str, kind: str) -> None:
    handle = tasks.enqueue(f"{__name__}.{name}", "too", "many")
    work_one(url, tube, NAMES)
    with pytest.raises(TaskFailedError, match=kind):
        handle.result(5)


def give_back(url: str, tube: str) -> None:
    """What a worker does that crashes."""
    with Client(url, watch=tube) as client:
        client.reserve(10)


@pytest.mark.parametrize("dead", [True, False], ids=["elsewhere", "buried"])
def test_a_death(tasks: Tasks, url: str, tube: str, dead: bool) -> None:
    """Attempts are used up, and nobody wrote a reply."""
    target = f"{tube}.dead" if dead else None
    handle = tasks.task(double).options(attempts=1, dead=target).delay(1)
    give_back(url, tube)
    assert handle.wait(5) == "dead"
    assert handle.done()
    with pytest.raises(
        TaskDiedError, match=rf"it died in .*{tube}".replace("(", ".").replace(")", ".")
    ):
        handle.result(5)


@pytest.mark.parametrize("dead", [True, False], ids=["elsewhere", "buried"])
def test_who_waits_is_told_of_a_death(tasks: Tasks, url: str, tube: str, dead: bool) -> None:
    target = f"{tube}.dead" if dead else None
    handle = tasks.task(double).options(attempts=1, dead=target).delay(1)
    with ThreadPoolExecutor(1) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = pool.submit(handle.wait, 10)
        waits(client, int(str(before)) + 1)
        give_back(url, tube)
        assert waiting.result() == "dead"


def test_who_waits_is_told_that_the_job_is_gone(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 1)
    with ThreadPoolExecutor(1) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = pool.submit(handle.wait, 10)
        waits(client, int(str(before)) + 1)
        assert client.purge_tube(tube) == 1
        assert waiting.result() == "gone"


def test_a_long_wait_goes_in_slices(
    tasks: Tasks, url: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a server that has vanished from the network is noticed."""
    monkeypatch.setattr(ends, "SLICE_S", 0.001)
    handle = tasks.enqueue(double, 1)
    with ThreadPoolExecutor(1) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = pool.submit(handle.wait)
        waits(client, int(str(before)) + 3)
        work_one(url, tube, NAMES)
        assert waiting.result() == "done"


def test_a_reply_that_vanishes_while_it_is_read_has_been_read(
    tasks: Tasks, url: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = tasks.enqueue(double, 21)
    work_one(url, tube, NAMES)

    def is_gone(_client: Client, _job: object) -> None:
        raise NotFoundError

    monkeypatch.setattr(Client, "delete", is_gone)
    assert handle.result(5) == 42


def test_a_job_that_somebody_buried(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.enqueue(double, 1)
    with Client(url, watch=tube) as client:
        client.bury(client.reserve(5))
    with pytest.raises(TaskDiedError, match="is buried in"):
        handle.result(5)


def test_a_job_that_came_back_to_life_has_not_ended(tasks: Tasks, url: str, tube: str) -> None:
    handle = tasks.task(double).options(attempts=1, dead=f"{tube}.dead").delay(1)
    give_back(url, tube)
    with Client(url) as client:
        client.move_jobs(f"{tube}.dead", "ready", tube, 1)
    assert not handle.done()
    work_one(url, tube, NAMES)
    assert handle.result(5) == 2


def test_a_job_that_is_gone(tasks: Tasks, url: str) -> None:
    handle = tasks.enqueue(double, 1)
    with Client(url) as client:
        client.delete(handle.id)
    assert handle.wait(5) == "gone"
    with pytest.raises(TaskLostError, match="no reply"):
        handle.result(5)


def test_without_a_result_the_end_is_known_and_the_value_is_not(
    tasks: Tasks, url: str, tube: str
) -> None:
    plain = tasks.task(
        double,
    ).options(result=False)
    first, second = plain.delay(1), plain.delay(2)
    with ThreadPoolExecutor(1) as pool, Client(url) as client:
        before = client.stats()["cmd-wait-job"]
        waiting = pool.submit(first.wait, 10)
        waits(client, int(str(before)) + 1)
        assert work_one(url, tube, NAMES).reply is None
        assert waiting.result() == "done"
    work_one(url, tube, NAMES)
    assert second.wait(5) == "gone"  # Done before anybody asked.
    with pytest.raises(WrongUseError, match="result=True"):
        first.result()


def test_pickle_on_both_sides(url: str, tube: str) -> None:
    tasks = Tasks(url=url, queue=tube, result=True, codec="pickle", trusted=True)
    handle = tasks.enqueue("set.union", {1}, {2})
    codec = find_codec("pickle", trusted=True)
    with Client(url, watch=tube) as client:
        job = client.reserve(5)
        assert perform(job.body, NAMES).envelope is None  # A worker for JSON only.
        done = perform(job.body, {handle.task: set.union}, codec=codec)
        assert done.reply is not None
        client.put(done.reply, tube=handle.reply)
        client.delete(job)
    assert handle.result(5) == {1, 2}
    tasks.close()


def test_a_restart_while_somebody_waits(tmp_path: Path) -> None:
    port = str(free_port())
    url, options = f"stalkd://127.0.0.1:{port}", ("-p", port, "-b", str(tmp_path))
    tasks = Tasks(url=url, result=True, queue="q")
    with ThreadPoolExecutor(1) as pool:
        with start_stalkd(*options):
            handle = tasks.enqueue(double, 21)
            waiting = pool.submit(handle.result, 60)
            with Client(url) as client:
                waits(client, 1)
        with start_stalkd(*options):
            work_one(url, "q", NAMES)
            assert waiting.result() == 42
    tasks.close()


def test_a_reply_outlives_a_restart(tmp_path: Path) -> None:
    port = str(free_port())
    url, options = f"stalkd://127.0.0.1:{port}", ("-p", port, "-b", str(tmp_path))
    tasks = Tasks(url=url, result=True, queue="q")
    with start_stalkd(*options):
        handle = tasks.enqueue(double, 21)
        work_one(url, "q", NAMES)
    with pytest.raises(ConnectionError):
        handle.result(0)
    with start_stalkd(*options):
        assert handle.result(30) == 42
        # And the connection that broke is no trouble to whoever pushes next.
        assert tasks.enqueue(double, 1).id > handle.id
    tasks.close()


@pytest.mark.needs("beanstalkd")
def test_the_original_is_asked_again_and_again(original: str) -> None:
    tasks = Tasks(url=original, queue="q", result=True)
    handle, second = tasks.task(double).push_many([21, 0])
    assert not handle.done()
    worker = threading.Thread(target=work_one, args=(original, "q", NAMES), kwargs={"plain": True})
    worker.start()
    assert handle.result(10) == 42
    worker.join()
    with Client(original, watch="q") as client:
        client.bury(client.reserve(5))
    with pytest.raises(TaskDiedError, match="buried in q"):
        second.result(5)
    tasks.close()
