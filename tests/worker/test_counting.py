"""Attempts: only those count that have begun, whatever becomes of the connection."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from stalkd_client import Client, Queue

from support.cutter import cutter
from support.daemon import Daemon
from support.workers import work_off, worker

JOBS = 200
ENOUGH = 80

STEPS = range(8, 13)
"""By then several jobs are taken at a time, and all of them are lost with the connection."""


@pytest.mark.parametrize("step", STEPS)
def test_jobs_that_are_lost_before_they_begin_count_for_nothing(
    server: Daemon, url: str, tube: str, tmp_path: Path, step: int
) -> None:
    ledger = tmp_path / "ledger"
    with Queue(tube, url) as queue, cutter(server.port, step, lambda: None, behind=False) as cut:
        ids = {queue.push([str(ledger), str(number), ""]): number for number in range(JOBS)}
        options = ["work:note", "-q", tube, "--stop-after", str(ENOUGH), "--no-report"]
        with worker(cut.url, *options) as made:
            assert made.wait() == 0
            # In larger batches all of it may need fewer exchanges than the later steps.
            assert cut.reached.is_set() or step > STEPS[0] + 1, made.told()
    runs = Counter(ledger.read_text().split())
    assert runs.total() == ENOUGH
    ended = re.findall(r" done .* id=(\d+) attempt=(\d+)", made.told())
    assert ended
    assert all(runs[str(ids[int(each)])] == int(attempt) for each, attempt in ended)


def test_who_waits_for_a_retry_asks_for_nothing_meanwhile(url: str, tube: str) -> None:
    """Two processes of a burst must not wake each other again and again."""
    with Queue(tube, url) as queue:
        queue.push("this")
    options = ("-q", tube, "-p", "2", "--retry-on", "ValueError", "--max-retries", "1")
    with Client(url) as client:
        before = int(str(client.stats()["cmd-reserve-batch"]))
        work_off(url, "work:boom", *options, "--retry-delay", "2")
        assert int(str(client.stats()["cmd-reserve-batch"])) - before < 100
