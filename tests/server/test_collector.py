"""When old garbage is looked for."""

import gc

import pytest

from stalkd.server.collector import FULL_AT_MOST, collect_if_small, keep_off_old_objects


@pytest.mark.parametrize("held", [(FULL_AT_MOST, 0, 0), (0, 2_000, 0), (0, 0, 2_000)])
def test_small(held: tuple[int, int, int]) -> None:
    """While a full collection is short, it is made."""
    assert collect_if_small(*held)


@pytest.mark.parametrize("held", [(FULL_AT_MOST + 1, 0, 0), (0, 3_000, 0), (0, 0, 3_000)])
def test_large(held: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """With many jobs, tubes or connections it would stop everybody, and is not made."""
    monkeypatch.setattr(gc, "collect", lambda: pytest.fail("collected"))
    assert not collect_if_small(*held)


def test_old_objects_are_left_alone() -> None:
    """However many young ones are made, the oldest generation is not looked at."""
    before = gc.get_threshold()
    try:
        keep_off_old_objects()
        collections = gc.get_stats()[2]["collections"]
        kept: list[list[int]] = [[] for _ in range(500_000)]
        assert gc.get_stats()[2]["collections"] == collections
        assert gc.get_stats()[1]["collections"] > 0
        assert len(kept) == 500_000
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
