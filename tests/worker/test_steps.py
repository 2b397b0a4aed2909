"""Whatever breaks at whichever step between reserve and acknowledgement: no input is lost.

Failure 9. The ledger is looked at right after the break, and at the end.
"""

from __future__ import annotations

import pytest
from stalkd_client import Client, NotFoundError, Queue

from support.cutter import PATIENCE_S, cutter
from support.daemon import Daemon
from support.workers import Worker, wait_until, work_off, worker

JOBS = 3
STEPS = range(1, 9)
"""Watch, ignore, two questions about the server, reserve, outputs, delete with reserve, outputs."""

SLOT_ALONE = ["--no-report"]
"""Steps are counted on the connection of the slot: there is no other then."""


def bodies(client: Client, tube: str) -> list[int]:
    try:
        page = client.list_jobs(tube)
    except NotFoundError:
        return []
    found = []
    for told in page.jobs:
        try:
            found.append(int(client.peek(int(str(told["id"]))).body))
        except NotFoundError:
            continue  # Gone meanwhile: then its output was there before.
    return found


def check_ledger(client: Client, tube: str) -> list[int]:
    """Each number is an input, or was one and has an output; return the outputs."""
    inputs = bodies(client, tube)
    outputs = [body // 2 for body in bodies(client, f"{tube}.out")]
    assert set(inputs) | set(outputs) == set(range(JOBS))
    return outputs


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_the_connection_breaks(
    server: Daemon, url: str, tube: str, step: int, *, behind: bool
) -> None:
    """The worker connects again, and finishes."""
    with Queue(tube, url) as queue, Client(url) as client:
        queue.push_many(range(JOBS))
        with cutter(server.port, step, lambda: None, behind=behind) as cut:
            options = ["work:double", "-q", tube, "-o", f"{tube}.out", *SLOT_ALONE]
            with worker(cut.url, *options) as made:
                assert cut.reached.wait(PATIENCE_S), made.told()
                check_ledger(client, tube)
                wait_until(lambda: queue.count() == 0)
                assert made.stop() == 0
        outputs = check_ledger(client, tube)
    assert len(outputs) <= 2 * JOBS  # A broken connection makes them twice at most.


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_the_worker_is_killed(
    server: Daemon, url: str, tube: str, step: int, *, behind: bool
) -> None:
    """Its jobs are ready again, and another one finishes."""
    with Queue(tube, url) as queue, Client(url) as client:
        queue.push_many(range(JOBS))
        options = ["work:double", "-q", tube, "-o", f"{tube}.out", *SLOT_ALONE]
        started: list[Worker] = []

        def kill() -> None:
            wait_until(lambda: started)
            started[0].process.kill()

        with cutter(server.port, step, kill, behind=behind) as cut, worker(cut.url, *options) as it:
            started.append(it)
            assert cut.reached.wait(PATIENCE_S), it.told()
            it.process.wait(PATIENCE_S)
        wait_until(lambda: queue.count("reserved") == 0)
        check_ledger(client, tube)
        work_off(url, *options)
        assert queue.count() == 0
        check_ledger(client, tube)
