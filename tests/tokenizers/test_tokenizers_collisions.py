"""No two items share an ID, whatever the codes were."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from g2rec.errors import ConfigError
from g2rec.tokenizers import collision_rate, resolve_collisions
from g2rec.tokenizers._collisions import LevelCost


def flat(size: int) -> LevelCost:
    """Every code fits alike, but for the lower being preferred."""
    return lambda items, prefixes: np.tile(np.arange(size, dtype=np.float64), (len(items), 1))


def table(costs: NDArray[np.float64]) -> LevelCost:
    return lambda items, prefixes: costs[items]


def test_least_total_cost_by_hand() -> None:
    # Both items prefer code 0; moving the second costs 1, moving the first 5.
    costs = np.array([[0.0, 5.0, 9.0], [0.0, 1.0, 9.0]])
    codes = np.array([[2, 0], [2, 0]], np.int32)
    assert resolve_collisions(codes, table(costs), 3).tolist() == [[2, 0], [2, 1]]


def test_unique_codes_stay_as_they_are() -> None:
    codes = np.array(list(itertools.product(range(3), repeat=2)), np.int32)
    assert np.array_equal(resolve_collisions(codes, flat(3), 3), codes)


@pytest.mark.parametrize("num_items", [1, 4, 5, 17, 63, 64])
def test_identical_items_fill_the_whole_tree(num_items: int) -> None:
    codes = np.tile(np.array([[1, 2, 3]], np.int32), (num_items, 1))
    found = resolve_collisions(codes, flat(4), 4)
    assert collision_rate(found) == 0
    assert found.min() >= 0
    assert found.max() < 4
    assert (found == [1, 2, 3]).all(axis=1).any()


def test_random_codes_never_collide() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        size, levels = int(rng.integers(2, 6)), int(rng.integers(1, 5))
        num_items = int(rng.integers(1, size**levels + 1))
        codes = rng.zipf(1.5, (num_items, levels)).clip(max=size).astype(np.int32) - 1
        found = resolve_collisions(codes, table(rng.random((num_items, size))), size)
        assert collision_rate(found) == 0
        # Those that had an ID of their own prefix keep the prefix unless the branch overflowed.
        assert found.shape == codes.shape


def test_new_items_take_no_held_id() -> None:
    held = np.array([[0, 0], [0, 1], [1, 0]], np.int32)
    codes = np.zeros((6, 2), np.int32)
    found = resolve_collisions(codes, flat(3), 3, taken=held)
    assert collision_rate(np.concatenate([held, found])) == 0
    with pytest.raises(ConfigError, match="2 levels of 3 codes make 9 IDs, the catalogue has 10 items"):
        resolve_collisions(np.zeros((7, 2), np.int32), flat(3), 3, taken=held)


def test_dedup_token_counts() -> None:
    codes = np.array([[0, 1], [2, 2], [0, 1], [0, 1]], np.int32)
    found = resolve_collisions(codes, flat(3), 3, method="dedup_token")
    assert found.tolist() == [[0, 1, 0], [2, 2, 0], [0, 1, 1], [0, 1, 2]]
    new = resolve_collisions(codes[1:2], flat(3), 3, method="dedup_token", taken=found)
    assert new.tolist() == [[2, 2, 1]]
    with pytest.raises(ConfigError, match="shared by 4 items, the deduplication level has 3 codes"):
        resolve_collisions(codes[:1], flat(3), 3, method="dedup_token", taken=found)


def test_more_items_than_ids() -> None:
    with pytest.raises(ConfigError, match="1 levels of 4 codes make 4 IDs, the catalogue has 5 items"):
        resolve_collisions(np.zeros((5, 1), np.int32), flat(4), 4)


def test_large_address_space_does_not_overflow() -> None:
    codes = np.zeros((3, 12), np.int32)
    assert collision_rate(resolve_collisions(codes, flat(256), 256)) == 0
