"""SortedKeys against a plain sorted list."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalkd.broker.sortedkeys import CHUNK, SortedKeys

KEYS = st.integers(min_value=0, max_value=1 << 96)


@given(st.lists(KEYS, unique=True, max_size=60), st.data())
def test_adding_and_removing_in_any_order(keys: list[int], data: st.DataObject) -> None:
    """It always holds exactly what was added and not removed, in ascending order."""
    sorted_keys = SortedKeys()
    for key in keys:
        sorted_keys.add(key)
    removed = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    for key in removed:
        sorted_keys.remove(key)
    left = sorted(set(keys) - removed)
    assert list(sorted_keys) == left
    assert len(sorted_keys) == len(left)
    assert [key in sorted_keys for key in keys] == [key not in removed for key in keys]


@given(st.randoms(use_true_random=False), st.integers(1, 4 * CHUNK))
def test_more_than_one_chunk(random: Random, size: int) -> None:
    """The same holds across chunks: splitting, emptying and the ends of chunks lose nothing."""
    sorted_keys = SortedKeys()
    model = random.sample(range(10 * size), size)
    for key in model:
        sorted_keys.add(key)
    for key in random.sample(model, size // 2):
        sorted_keys.remove(key)
        model.remove(key)
    model.sort()
    assert list(sorted_keys) == model
    copied = [7]
    sorted_keys.append_to(copied)
    assert copied == [7, *model]
    assert [sorted_keys.pop_first() for _ in model] == model
    assert sorted_keys.size == 0


def test_ascending_keys_fill_whole_chunks() -> None:
    """Keys that only grow, the usual case, leave no half-empty chunks behind."""
    sorted_keys = SortedKeys()
    for key in range(10 * CHUNK):
        sorted_keys.add(key)
    assert [len(chunk) for chunk in sorted_keys._chunks] == [CHUNK] * 10


def test_no_key() -> None:
    """There is no first of nothing."""
    with pytest.raises(IndexError):
        SortedKeys().first()
    with pytest.raises(IndexError):
        SortedKeys().pop_first()


@pytest.mark.parametrize("missing", [0, 2, 4])
def test_removing_what_is_not_there(missing: int) -> None:
    """A key that is not there is a mistake, and is told."""
    sorted_keys = SortedKeys()
    sorted_keys.add(1)
    sorted_keys.add(3)
    with pytest.raises(KeyError):
        sorted_keys.remove(missing)
    assert list(sorted_keys) == [1, 3]
