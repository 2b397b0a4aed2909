"""What a new user does first, and what other systems got wrong there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from stalkd_client import Client, Queue

from support.workers import work_off

PRODUCERS = 4
EACH = 500

PRODUCE = """
import sys
from stalkd_client import Queue
with Queue(sys.argv[2], sys.argv[1]) as queue:
    for number in range(int(sys.argv[3])):
        queue.push(number)
"""


def test_concurrent_producers_are_counted_exactly(url: str, tube: str) -> None:
    """Failure 11: counters that several programs write to at once."""
    words = [sys.executable, "-P", "-c", PRODUCE, url, tube, str(EACH)]
    producers = [subprocess.Popen(words) for _ in range(PRODUCERS)]
    with Queue(tube, url) as queue:
        assert [each.wait(60) for each in producers] == [0] * PRODUCERS
        assert queue.count() == queue.inserted == PRODUCERS * EACH
        work_off(url, "work:nothing", "-q", tube, "-p", "2", "-c", "2")
        assert (queue.count(), queue.completed) == (0, PRODUCERS * EACH)


def test_a_name_can_be_used_again_at_once(url: str, tube: str) -> None:
    """Failure 18: elsewhere it takes a minute after the queue was deleted."""
    with Queue(tube, url) as queue:
        queue.push_many(range(10))
        queue.delete()
        queue.push(7)
        assert queue.pop(10) == [7]


def test_without_a_server(tmp_path: Path) -> None:
    """Each program finds the jobs of the one before, through a directory."""
    url = f"local:{tmp_path / 'queues'}"
    with Queue("numbers", url) as numbers:
        numbers.push_many(range(5))
    work_off(url, "work:double", "-q", "numbers", "-o", "doubled", "-p", "2")
    with Queue("doubled", url) as doubled, Client(url) as client:
        assert sorted(doubled.pop(10)) == [0, 2, 4, 6, 8]
        pid = int(str(client.stats()["pid"]))
    os.kill(pid, signal.SIGTERM)  # Nobody uses it any more; by itself it would end in a minute.
