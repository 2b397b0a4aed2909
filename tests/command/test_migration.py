"""A queue moves from beanstalkd to stalkd while producers and workers go on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from stalkd_client import Client, StalkdError, TimedOutError

from support.stalk import Stalk, start

JOBS = 2_000
OLD_ONES = 1_000
"""So many are put at beanstalkd, the others at stalkd."""

WORKERS = 2
"""... on each side."""

SICK_EVERY = 97
TIRED_EVERY = 89


class Ledger:
    """What was put, and what was done: counted when the delete was acknowledged."""

    def __init__(self) -> None:
        self.done: Counter[bytes] = Counter()
        self.over = threading.Event()
        self._lock = threading.Lock()

    def note(self, body: bytes) -> None:
        with self._lock:
            self.done[body] += 1
            if len(self.done) == JOBS:
                self.over.set()

    def work(self, url: str) -> None:
        """Be a worker: of some jobs the first attempt is buried, or released with a delay."""
        with Client(url, watch="mail") as client:
            while not self.over.is_set():
                try:
                    job = client.reserve(1)
                except TimedOutError:
                    continue
                number = int(job.body)
                first = client.stats_job(job)["reserves"] == 1 and number < OLD_ONES
                if first and number % SICK_EVERY == 0:
                    client.bury(job)
                elif first and number % TIRED_EVERY == 0:
                    client.release(job, delay=30)
                else:
                    client.delete(job)
                    self.note(job.body)


def produce(old: str, new: str) -> None:
    for url, numbers in ((old, range(OLD_ONES)), (new, range(OLD_ONES, JOBS))):
        with Client(url, use="mail") as client:
            for number in numbers:
                client.put(str(number))


@pytest.mark.needs("beanstalkd")
@pytest.mark.timeout(120)
def test_nothing_is_lost_or_doubled(run: Stalk, original: str, url: str) -> None:
    ledger = Ledger()
    threads = [spawn(produce, original, url)]
    threads += [spawn(ledger.work, server) for server in (original, url) for _ in range(WORKERS)]
    carried = 0
    while threads[0].is_alive() or jobs_at(original):
        process = start("mv", "mail", "mail", "--from", original, "--to", url, "--follow")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        carried += int(out.split()[1])
        assert not err, "a job was begun on both sides"
    while not ledger.over.wait(0.1):  # The test's own time limit ends this.
        for words in (("kick", "mail", "--all"), ("kick", "mail", "--all", "--delayed")):
            run(*words, "--url", url)
    for thread in threads:
        thread.join(20)
    assert carried > 0
    assert ledger.done == Counter(str(number).encode() for number in range(JOBS))
    assert jobs_at(original) == jobs_at(url) == 0


def spawn(work: Callable[..., None], *args: str) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def jobs_at(url: str) -> int:
    with Client(url) as client:
        try:
            told = client.stats_tube("mail")
        except StalkdError:
            return 0
        states = ("ready", "reserved", "delayed", "buried")
        return sum(int(str(told[f"current-jobs-{state}"])) for state in states)
