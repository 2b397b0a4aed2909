"""stalkd answers random commands of several connections as beanstalkd does."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from differential.duel import Duel, Mismatch, report
from differential.histories import Turn, histories

EXAMPLES = int(os.environ.get("STALKD_DIFFERENTIAL_EXAMPLES", "0"))
"""For a longer search, and another one each time: how many histories to try."""


@pytest.mark.needs("beanstalkd")
@pytest.mark.usefixtures("beanstalkd_1_12")
@pytest.mark.timeout(600)  # for those that fail: to find the shortest conversation takes time
def test_random_commands_have_the_same_replies() -> None:
    @settings(
        max_examples=EXAMPLES or 150,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(history=histories)
    def search(history: list[Turn]) -> None:
        duel.fight(history)

    with Duel() as duel:
        try:
            search()
        except Mismatch as mismatch:
            pytest.fail(report(mismatch), pytrace=False)
        assert duel.finished > duel.begun / 2, "too slow here to prove anything"
