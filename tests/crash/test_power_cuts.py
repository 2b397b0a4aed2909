"""A power cut at any point, whatever it leaves of what was not synced, costs nothing promised.

Also when the recovery is cut, after kills and restarts, and on disks that are full.
"""

from __future__ import annotations

from random import Random

import pytest

from crash.history import History, Plan, totals
from crash.powercut import torn_states
from crash.seeds import seeds

each_mode = pytest.mark.parametrize("sync_ms", [0, 50, None], ids="-f0 -f50 -F".split())


@pytest.mark.parametrize("seed", seeds(4))
@each_mode
def test_a_power_cut_at_any_point_loses_nothing_promised(sync_ms: int | None, seed: int) -> None:
    History(Plan(seed, sync_ms)).run()


@pytest.mark.parametrize("seed", seeds(3))
@each_mode
def test_short_histories_survive_every_state_there_is(sync_ms: int | None, seed: int) -> None:
    History(Plan(seed, sync_ms, lives=2, rounds=4, samples=64)).run()


class TornHistory(History):
    """Each write is cut at every byte."""

    def look(self) -> None:
        for state in torn_states(self.disk):
            totals["states"] += 1
            self.verify(state)


@pytest.mark.parametrize("seed", seeds(1))
@each_mode
def test_a_write_may_be_torn_at_any_byte(sync_ms: int | None, seed: int) -> None:
    TornHistory(Plan(seed, sync_ms, lives=1, rounds=6, density=0.2)).run()


@pytest.mark.parametrize("can_allocate", [True, False])
@pytest.mark.parametrize("seed", seeds(2))
@each_mode
def test_on_a_small_disk_nothing_is_lost_either(
    sync_ms: int | None, seed: int, can_allocate: bool
) -> None:
    capacity = Random(seed).randrange(110, 400) * 1024
    plan = Plan(seed, sync_ms, rounds=60, density=0.2, capacity=capacity, can_allocate=can_allocate)
    History(plan).run()


@pytest.mark.parametrize("seed", seeds(2))
def test_without_syncs_a_log_that_was_never_written_back_is_at_most_refused(seed: int) -> None:
    History(Plan(seed, None, density=0.3, pace=40, writes_back=False, endings=("end", "cut"))).run()
