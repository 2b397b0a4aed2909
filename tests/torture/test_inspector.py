"""The judge of the torture: what it holds against a daemon, and what not."""

from __future__ import annotations

import pytest

from support.ledger import READY, Facts, Ledger, Step
from torture.inspector import are_lost_in_order

READIED = Facts(READY, "common")


def steps(fates: str, *, refusable: bool = False) -> list[Step]:
    """Puts that survived (``+``), were lost (``-``), or nobody knows of (``?``)."""
    ledger = Ledger()
    puts = []
    for number, fate in enumerate(fates):
        put = ledger.put("one", b"%d" % number, READIED, refusable=refusable)
        put.survived = {"+": True, "-": False, "?": None}[fate]
        puts.append(put)
    return puts


@pytest.mark.parametrize("fates", ["", "+", "-", "++--", "+?-", "?+?-?"])
def test_the_last_ones_may_be_lost(fates: str) -> None:
    assert are_lost_in_order(steps(fates))


@pytest.mark.parametrize("fates", ["-+", "+-+", "+-?+"])
def test_none_may_be_lost_before_one_that_is_there(fates: str) -> None:
    assert not are_lost_in_order(steps(fates))
    assert are_lost_in_order(steps(fates, refusable=True))


def test_other_commands_are_judged_also_where_puts_may_be_refused() -> None:
    first, second = steps("--")
    (put,) = steps("-", refusable=True)
    second.survived = True
    assert not are_lost_in_order([put, first, put, second])
