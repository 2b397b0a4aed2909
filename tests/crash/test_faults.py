"""Each operation of the file layer fails, once, a few times or for ever: no answer turns false."""

from __future__ import annotations

import errno
from random import Random

import pytest

from crash.faults import FOREVER, NO_FAULT, TAKES_SPACE, FaultyHistory, Injection
from crash.history import Plan
from crash.ledger import Violation
from crash.seeds import seeds

POINTS = 12
"""Operations of each history at which a fault begins; the others are for longer searches."""

each_mode = pytest.mark.parametrize("sync_ms", [0, 50, None], ids="-f0 -f50 -F".split())


def run(plan: Plan, injection: Injection) -> FaultyHistory:
    history = FaultyHistory(plan, injection)
    try:
        history.run()
    except Violation as violation:
        raise Violation(f"{injection}: {violation}") from violation
    return history


def plan_of(seed: int, sync_ms: int | None) -> Plan:
    return Plan(
        seed, sync_ms, rounds=25, samples=2, density=0.05, again=0, can_allocate=seed % 4 != 0
    )


def points(plan: Plan) -> list[int]:
    """Some operations of the life in which something fails."""
    steps = run(plan, NO_FAULT).faulty_steps
    return Random(plan.seed).sample(steps, min(POINTS, len(steps)))


def last_of(first: int, rng: Random) -> int:
    """Choose when a fault ends that begins with an operation."""
    return rng.choice([first, first, first + rng.randrange(1, 4), first + 40, FOREVER])


@pytest.mark.parametrize("seed", seeds(4))
@each_mode
def test_errors_lose_nothing_that_was_promised(sync_ms: int | None, seed: int) -> None:
    plan, rng = plan_of(seed, sync_ms), Random(seed)
    for first in points(plan):
        part = rng.choice([0, 0.4, 1.0])
        run(plan, Injection(first, last_of(first, rng), errno.EIO, part))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids="ENOSPC EDQUOT".split())
@pytest.mark.parametrize("seed", seeds(3))
@each_mode
def test_a_full_disk_loses_nothing_and_the_log_goes_on_when_there_is_room(
    sync_ms: int | None, seed: int, code: int
) -> None:
    plan, rng = plan_of(seed, sync_ms), Random(seed)
    for first in points(plan):
        part = rng.choice([0, 0.4])
        run(plan, Injection(first, last_of(first, rng), code, part, TAKES_SPACE))


@pytest.mark.parametrize("seed", seeds(2))
def test_a_full_disk_that_shows_only_in_a_sync_loses_nothing(seed: int) -> None:
    plan, rng = plan_of(seed, 0), Random(seed)
    for first in points(plan):
        run(plan, Injection(first, last_of(first, rng), errno.ENOSPC))
