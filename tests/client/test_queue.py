"""Queues of values."""

from __future__ import annotations

from typing import Any

import pytest
from stalkd_client import PushError, Queue
from stalkd_client.testing import private_server


@pytest.mark.parametrize(
    ("codec", "value"),
    [("json", {"a": [1, "ä"]}), ("bytes", b"\r\n"), ("text", "ä"), ("pickle", {1, 2})],
    ids=["json", "bytes", "text", "pickle"],
)
def test_values_come_out_as_they_went_in(url: str, tube: str, codec: str, value: Any) -> None:
    with Queue(tube, url, codec=codec, trusted=True) as queue:
        queue.push(value)
        assert queue.pop() == [value]
        assert queue.count() == 0


def test_pickle_needs_trust(url: str) -> None:
    with pytest.raises(ValueError, match="trusted"):
        Queue("q", url, codec="pickle")


def test_a_lease_is_acknowledged_or_given_back(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push(1, priority=3)
        (lease,) = queue.lease()
        with pytest.raises(ZeroDivisionError), lease:
            1 / 0  # noqa: B018 - the work fails
        (lease,) = queue.lease()
        assert (lease.attempt, lease.job.priority) == (2, 3)
        with lease:
            lease.extend(30)
            assert 20 < lease.time_left <= 30
        assert queue.count() == 0


def test_the_error_of_the_work_goes_on_when_the_lease_is_lost(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push(1)
        (lease,) = queue.lease()
        queue.client.close()
        with pytest.raises(ZeroDivisionError) as caught, lease:
            1 / 0  # noqa: B018 - the work fails
        assert "was reserved on a connection that broke" in caught.value.__notes__[0]


def test_many_values_of_a_generator(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        assert queue.push_many(number for number in range(50_000)) == 50_000
        assert queue.count("ready") == queue.purge() == 50_000


def test_a_full_tube_tells_how_many_were_pushed(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.client.set_policy(tube, max_jobs=3)
        with pytest.raises(PushError) as caught:
            queue.push_many([1, 2, 3, 4, 5])
        assert caught.value.pushed == 3
        assert queue.pop(9) == [1, 2, 3]


def test_a_key_function_puts_each_value_once(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        first, second, again = queue.push_many(["a", "b", "a"], key=str)
        assert first == again != second
        assert len(queue) == 2


def test_a_value_is_popped_by_one_only(
    url: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lease ends before the job is deleted, and another worker has it by then."""
    with Queue(tube, url) as queue, Queue(tube, url) as another:
        queue.push("first", ttr=600)
        queue.push("second", ttr=600)
        leases = queue.lease(2)
        queue.release_all()
        taken = another.lease()
        monkeypatch.setattr(queue, "lease", lambda *_: leases)
        assert [lease.value for lease in taken] + queue.pop(2) == ["first", "second"]


def test_a_value_that_cannot_be_read_holds_no_others_back(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push(1)
        queue.client.put(b"no JSON")
        with pytest.raises(ValueError, match="Expecting value"):
            queue.pop(2)
        assert queue.count("ready") == 2


def test_very_many_are_acknowledged_in_pieces() -> None:
    """The buffers of a unix socket hold few replies: sent at once, both sides would wait."""
    count = 40_000
    with private_server() as server, Queue("many", server.url) as queue:
        queue.push_many(iter(range(count)), ttr=600)
        leases = [lease for _ in range(0, count, 1_000) for lease in queue.lease(1_000)]
        queue.client._talker.patience = 2
        assert queue.ack(leases) == count


def test_looking_and_mending(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        assert queue.count() == queue.purge() == queue.release_all() == 0
        queue.push(1)
        queue.pause(60)
        assert queue.lease() == []
        queue.resume()
        (lease,) = queue.lease()
        assert queue.release_all() == 1
        assert not queue.block_until_empty(0)
        assert queue.purge() == 1
        assert queue.block_until_empty(0)
        assert queue.list("tube-of-test_look*", url) == [tube]
        assert str(lease.id) in repr(lease)


def test_counts_since_rezero(url: str, tube: str) -> None:
    with Queue(tube, url) as queue, Queue(tube, url) as another:
        queue.push_many([1, 2, 3])
        queue.pop()
        assert (queue.inserted, queue.completed, queue.leased) == (3, 1, 0)
        queue.rezero()
        assert (queue.inserted, queue.completed) == (0, 0)
        queue.push(4)
        another.lease()
        assert (queue.inserted, queue.completed, queue.leased) == (1, 0, 1)
        assert (another.inserted, another.completed) == (4, 1)


def test_a_tube_that_is_gone_counts_anew(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push_many([1, 2])
        queue.rezero()
        assert queue.purge() == 2
        queue.close()
        queue.push(1)
        assert queue.inserted == 1


def test_a_tube_exists_while_it_has_jobs_or_other_clients(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        assert not queue.exists()
        queue.push(1)
        assert queue.exists()
        queue.client.set_policy(tube, attempts=2, dead="x")
        assert queue.delete() == 1
        assert not queue.exists()
        assert queue.client.get_policy(tube)["attempts"] == 0
        with Queue(tube, url) as another:
            another.count()
            assert queue.exists()


def test_all_jobs_are_listed_page_by_page(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        ids = queue.push_many(list(range(2_500)))
        (lease,) = queue.lease()
        lease.bury()
        assert [job["id"] for job in queue.jobs()] == ids
        assert [job["id"] for job in queue.jobs("buried")] == [lease.id]


def test_a_pop_that_cannot_read_gives_all_back(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push(1)
        queue.client.put("no JSON", tube=tube)
        queue.push(3)
        with pytest.raises(ValueError, match="Expecting value"):
            queue.pop(10)
        assert queue.count("ready") == 3


def test_what_cannot_be_read_names_its_job(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        number = queue.client.put("{")
        with pytest.raises(ValueError, match="Expecting") as caught:
            _ = queue.lease()[0].value
        assert caught.value.__notes__ == [f"in job {number}"]


def test_lease_takes_no_more_than_there_is_at_once(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.push_many(list(range(1_500)))
        assert len(queue.lease(5_000)) == 1_000
        with pytest.raises(ValueError, match="none to be taken"):
            queue.lease(0)
        with pytest.raises(ValueError, match="parallel=0"):
            queue.push_many([1], parallel=0)
