"""Purity, size, popularity and softness, by hand and at chance."""

import numpy as np
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.prototypes import (
    InterestPrototypes,
    prototype_purity,
    prototype_statistics,
    random_prototypes,
)

FOUND = InterestPrototypes(
    vectors=np.eye(4, dtype=np.float32)[:3],
    indices=np.array([[0, 1], [0, 1], [1, 0], [1, 0]], np.int32),
    weights=np.array([[1.0, 0.0], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], np.float32),
    method="graph_head",
)


def test_purity_by_hand() -> None:
    # Prototype 0: 1.5 in category 4, .25 in 2. Prototype 1: .5 in 4, 1.75 in 2. Prototype 2 is empty.
    found = prototype_purity(FOUND, np.array([4, 4, 2, 2]))
    assert found.category.tolist() == [4, 2, -1]
    assert found.share == pytest.approx([1.5 / 1.75, 1.75 / 2.25, 0])
    assert found.overall == pytest.approx(3.25 / 4)
    assert found.labelled == 1


def test_items_without_a_category_are_left_out() -> None:
    found = prototype_purity(FOUND, np.array([4, -1, 2, -1]))
    assert found.category.tolist() == [4, 2, -1]
    assert found.share == pytest.approx([1 / 1.25, 1, 0])
    assert found.labelled == 0.5
    nothing = prototype_purity(FOUND, np.full(4, -1))
    assert nothing.category.tolist() == [-1, -1, -1]
    assert (nothing.overall, nothing.chance) == (0, 0)


def test_random_prototypes_are_as_pure_as_chance() -> None:
    labels = np.random.default_rng(0).integers(0, 6, 800)
    found = prototype_purity(random_prototypes(800, 10, 4, seed=0), labels)
    assert found.overall == pytest.approx(found.chance, abs=0.01)
    assert found.chance > 1 / 6


def test_the_order_of_the_items_does_not_matter() -> None:
    found = random_prototypes(50, 6, 4, seed=1)
    labels = np.random.default_rng(1).integers(0, 3, 50)
    order = np.random.default_rng(2).permutation(50)
    mixed = InterestPrototypes(found.vectors, found.indices[order], found.weights[order], "random")
    assert prototype_purity(mixed, labels[order]).overall == pytest.approx(
        prototype_purity(found, labels).overall
    )


def test_statistics_by_hand() -> None:
    found = prototype_statistics(FOUND, np.array([10, 2, 4, 0]))
    assert found.size == pytest.approx([1.75, 2.25, 0])
    assert found.popularity == pytest.approx([(10 + 1 + 1) / 1.75, (1 + 3) / 2.25, 0])
    soft = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))  # of the third item; the second's is 1
    assert found.softness == pytest.approx([(0.5 + 0.25 * soft) / 1.75, (0.5 + 0.75 * soft) / 2.25, 0])
    assert found.exclusive == pytest.approx([1 / 1.75, 1.75 / 2.25, 0])


def test_the_prototypes_are_left_as_they_were() -> None:
    found = random_prototypes(50, 6, 4, seed=1)
    before = found.indices.copy()
    found.memberships.matrix(6).sort_indices()
    prototype_statistics(found, np.arange(50))
    prototype_purity(found, np.arange(50) % 3)
    assert np.array_equal(found.indices, before)


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match="expected one category for each of the 4 items, got 3"):
        prototype_purity(FOUND, np.zeros(3, int))
    with pytest.raises(DataError, match="expected the events of each of the 4 items, got 5"):
        prototype_statistics(FOUND, np.zeros(5, int))
    with pytest.raises(ConfigError, match="num_shuffles must be at least 1"):
        prototype_purity(FOUND, np.zeros(4, int), num_shuffles=0)
