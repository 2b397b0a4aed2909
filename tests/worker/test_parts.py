"""Parts of the worker that need no process: pace, leases, the live line, names, settings."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from stalkd_client import Client, Queue
from stalkd_client.jobs import Job
from stalkd_client.worker import packets
from stalkd_client.worker.crews.crew import LONGEST_PAUSE_S, pause_after
from stalkd_client.worker.link import Link
from stalkd_client.worker.live import Live, Moment, table
from stalkd_client.worker.logs import as_json, key_value
from stalkd_client.worker.messages import Work
from stalkd_client.worker.settings import QueueSpec, expand
from stalkd_client.worker.slots.hand import Hand
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.pace import Pace
from stalkd_client.worker.slots.pulse import Pulse
from stalkd_client.worker.slots.source import Source
from stalkd_client.worker.slots.supply import End
from stalkd_client.worker.slots.tally import Tally

from support.daemon import start_stalkd


def test_quick_jobs_are_taken_in_larger_batches() -> None:
    pace = Pace(100)
    sizes = []
    for _ in range(8):
        sizes.append(pace.size)
        pace.note(pace.size, pace.size * 0.00001)
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 100]


def test_a_batch_takes_no_longer_than_it_may() -> None:
    pace = Pace(100)
    for _ in range(10):
        pace.note(pace.size, pace.size * 0.002)
    assert pace.size == 5
    pace.note(5, 5 * 0.02)
    assert pace.size == 1
    pace.note(1, 0.0)
    pace.slow()
    assert pace.size == 1


def test_a_lease_is_renewed_at_a_third() -> None:
    held = Held(Job(1, b"", 3, 0, 30.0, "t"), 100.0, 1, "w")
    assert (held.attempt, held.touch_at, held.ends) == (2, 110.0, 130.0)
    assert not held.is_over(129.9)
    assert held.is_over(130.0)
    held.touched(111.0)
    assert (held.touch_at, held.ends) == (121.0, 141.0)
    held.lost = True
    assert held.is_over(0.0)


def test_a_stop_shows_to_who_waited_then() -> None:
    now = [100.0]
    pulse = Pulse(lambda: now[0])
    now[0] = 101.0
    pulse.beat()
    assert not pulse.has_stopped_since(100.5)
    now[0] = 104.0
    assert pulse.has_stopped_since(101.5)  # The one who asks woke first.
    pulse.beat()
    assert pulse.has_stopped_since(101.5)
    assert not pulse.has_stopped_since(104.5)


def test_deaths_in_a_row_are_replaced_ever_later() -> None:
    assert [pause_after(number) for number in range(1, 5)] == [0.0, 0.1, 0.2, 0.4]
    assert pause_after(1000) == LONGEST_PAUSE_S


def test_the_line_tells_a_rate() -> None:
    live = Live()
    nothing = Moment({}, {}, {}, 0, 2)
    assert live.line(0.0, nothing) == "0 done, 0 failed, 0/s, 0 of 2 slots busy"
    counts = {"done": 1500, "buried": 2, "moved": 1, "retried": 4}
    line = live.line(0.5, Moment(counts, {"mail": counts}, {"mail": 7_000}, 1, 2))
    assert line == "1,500 done, 3 failed, 4 retried, 3,006/s, 7,000 waiting, 1 of 2 slots busy"


def test_the_line_tells_of_each_queue_if_there_are_several() -> None:
    by_queue = {"mail": {"done": 3, "buried": 1}, "late": {"done": 2}}
    moment = Moment({"done": 5, "buried": 1}, by_queue, {"mail": 4, "later": 0}, 0, 1)
    assert Live().line(0.0, moment) == (
        "5 done, 1 failed, 0/s, 4 waiting, 0 of 1 slots busy"
        " | late: 2 done | later: 0 done | mail: 3 done, 1 failed, 4 waiting"
    )


def test_the_table_at_the_end() -> None:
    assert table({}) == ""
    told = table({"mail": {"done": 1234, "buried": 1, "moved": 2, "died": 9}, "a": {"retried": 1}})
    assert told == (
        "queue   done  failed  retried  lost\n"
        "a          0       0        1     0\n"
        "mail   1,234       3        0     0\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("mail", QueueSpec("mail")), ("a.*=12", QueueSpec("a.*", 12)), ("a=1", QueueSpec("a", 1))],
)
def test_queues_are_read(text: str, expected: QueueSpec) -> None:
    assert QueueSpec.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a b", "a=", "a=0", "a=x", "a=-1", "=3"])
def test_bad_queues_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no n"):
        QueueSpec.parse(text)


def test_patterns_stand_for_what_is_there() -> None:
    existing = ["email.a", "email.b", "other"]
    assert expand(["email.*", "new"], existing) == {"email.a", "email.b", "new"}
    assert expand(["x*"], existing) == frozenset()


def test_patterns_never_mean_what_workers_leave() -> None:
    """A record is no job: taken as one it would fail, which makes a record, and so on."""
    reply = f"reply.{'0f' * 16}"
    own = ["error.12", reply, "stalkd.workers", "stalkd.worker.web-1"]
    others = ["error.mail", "error.", "reply.to.mail", "a.error.12"]
    assert expand(["*"], [*own, *others]) == set(others)
    assert expand(["error.*", "reply.*"], own) == frozenset()
    assert expand(["error.12"], own) == {"error.12"}


def test_lines_can_be_read_by_programs() -> None:
    about: dict[str, object] = {"id": 1, "error": 'a "b"\nc', "empty": ""}
    line = key_value("T", "info", "done", about)
    assert line == 'T INFO done id=1 error="a \\"b\\"\\nc" empty=""\n'
    assert as_json("T", "info", "done", {"id": 1}).count("\n") == 1
    assert json.loads(as_json("T", "info", "away", {"error": OSError("why")}))["error"] == "why"


@pytest.mark.parametrize("size", [0, 10, packets.LARGEST, packets.LARGEST + 1, 5_000_000])
def test_messages_of_any_size_arrive_whole(size: int) -> None:
    ours, theirs = packets.pair()
    work = Work(1, b"x" * size, "t", 1, 2.0)
    with ours, theirs:
        packets.send(ours, tuple(work))
        assert packets.receive(theirs) == work
        packets.send(ours, tuple(work))
        assert packets.receive_all(theirs) == ([work], False)
        ours.close()
        assert packets.receive_all(theirs) == ([], True)


def test_a_full_socket_refuses() -> None:
    ours, theirs = packets.pair()

    def fill() -> None:
        for _ in range(100_000):
            packets.send(ours, (b"x" * 1000,), socket.MSG_DONTWAIT)

    with ours, theirs:
        with pytest.raises(BlockingIOError):
            fill()
        messages, _ = packets.receive_all(theirs)
        assert set(messages) == {(b"x" * 1000,)}


def test_descriptors_of_large_messages_are_closed() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    ours, theirs = packets.pair()
    with ours, theirs:
        for _ in range(10):
            packets.send(ours, (b"x" * 200_000,))
            packets.receive(theirs)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_more_jobs_are_claimed_than_there_may_be() -> None:
    tally = Tally(5, lambda: 0.0)
    assert tally.claim(3) == 3
    assert tally.claim(3) == 2
    assert not tally.is_used_up  # Some of these may not be had.
    tally.took(3, 1)
    assert tally.claim(9) == 2
    tally.took(2, 2)
    tally.took(2, 2)
    assert tally.is_used_up
    tally.give_back()
    assert not tally.is_used_up


def test_all_is_done_when_all_have_looked_since_the_last_end() -> None:
    now = [0.0]
    tally = Tally(None, lambda: now[0])
    tally.ended_one()
    seen = tally.round
    tally.ended_one()
    tally.found_nothing(0, seen, 0.0)
    assert not tally.is_all_done([0])  # It has looked before the last job ended.


def test_what_was_put_off_is_waited_for() -> None:
    tally = Tally(None, lambda: 0.0)
    tally.ended_one(due=0.05)
    tally.found_nothing(0, tally.round, 0.0)
    assert not tally.is_all_done([0])
    tally.wake()
    tally.found_nothing(0, tally.round - 1, 0.1)
    assert not tally.is_all_done([0])


def test_attempts_that_never_began_are_remembered() -> None:
    tally = Tally(None)
    tally.not_begun(7)
    tally.not_begun(7)
    assert (tally.unbegun(7), tally.unbegun(8)) == (2, 0)
    tally.forget(7)
    assert tally.unbegun(7) == 0


def test_an_interrupted_wait_loses_no_job() -> None:
    """Failure 1: whenever it is interrupted, a job was had, or is ready."""
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        source, had = Source(url, ["t"]), 0
        with Queue("t", url) as queue:
            for number in range(100):
                pushing = threading.Thread(target=queue.push, args=(number,))
                stopping = threading.Timer(number % 10 / 5000, source.interrupt)
                for each in (pushing, stopping):
                    each.start()
                jobs = source.wait(1, 0.05)
                for each in (pushing, stopping):
                    each.join()
                if jobs:
                    answers, _ = source.settle([End("delete", job) for job in jobs], 0)
                    had += answers == [None]
            source.close()
            with Client(url) as client:  # Closing is noticed when the server comes to it.
                while client.stats_tube("t")["current-jobs-reserved"]:
                    pass
            assert queue.count("ready") + had == 100


def test_jobs_that_wait_can_be_let_go_or_kept() -> None:
    hand, link = Hand(), Link()
    for number in range(1, 5):
        hand.add(Held(Job(number, b"", 1, 0, 60.0, "t"), 0.0, 0, "w"))
    assert hand.feed(link, 1.0) == []
    hand.begin_first(1.0, None)
    assert link.theirs is not None
    packets.receive(link.theirs.jobs)  # The child begins with the first.
    assert hand.has_waiting
    assert [each.job.id for each in hand.take_back(link)] == [2, 3, 4]
    assert [each.job.id for each in hand.let_go({3})] == [2, 4]
    assert (hand.has_waiting, hand.keeps, len(hand)) == (False, True, 2)
    assert hand.feed(link, 2.0) == []
    assert link.take_back() == []  # The kept one waits until the first has ended.
    first = hand.first
    assert first is not None
    hand.remove(first)
    hand.feed(link, 3.0)
    hand.begin_first(3.0, 5.0)
    assert link.take_back() == [3]
    assert hand.first is not None
    assert (hand.first.begun, hand.first.limit_at) == (3.0, 8.0)
    link.close()


def test_a_job_whose_lease_is_over_is_not_passed_on() -> None:
    """Failure 7."""
    hand, link = Hand(), Link()
    held = Held(Job(1, b"", 1, 0, 60.0, "t"), 0.0, 0, "w")
    hand.add(held)
    assert hand.feed(link, 60.0) == [held]
    assert link.take_back() == []
    link.close()


def test_a_slot_outlives_its_queues(url: str, tube: str) -> None:
    """When the last one that its patterns match has gone, it may be about to take more jobs."""
    source = Source(url, {tube})
    assert source.wait(1, 0) == []
    source.want(frozenset())
    assert source.settle([], 1) == ([], [])
    source.close()
