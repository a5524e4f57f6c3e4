"""Prefixes against categories and similarity: by hand, against scikit-learn, and by chance."""

import numpy as np
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.tokenizers import category_agreement, prefix_groups, prefix_similarity

CODES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)


def test_prefix_groups_by_hand() -> None:
    codes = np.array([[2, 0], [1, 5], [2, 1], [1, 5]], np.int32)
    assert prefix_groups(codes, 0).tolist() == [0, 0, 0, 0]
    assert prefix_groups(codes, 1).tolist() == [1, 0, 1, 0]
    assert prefix_groups(codes, 2).tolist() == [1, 0, 2, 0]


def test_first_codes_that_are_the_categories_agree_wholly() -> None:
    first, second = category_agreement(CODES, np.array([7, 7, 3, 3]))
    assert first == {"depth": 1, "prefixes": 2, "items": 4, "nmi": pytest.approx(1), "ami": pytest.approx(1)}
    # I = H(category) = log 2, H(prefix) = log 4: NMI = log 2 / (1.5 log 2).
    assert second["nmi"] == pytest.approx(2 / 3)
    assert second["ami"] == pytest.approx(0, abs=1e-9)  # every item alone says nothing


def test_items_without_a_category_are_left_out() -> None:
    rows = category_agreement(np.vstack([CODES, [[0, 2]]]), np.array([7, 7, 3, 3, -1]))
    assert rows[0]["items"] == 4
    assert rows[0]["nmi"] == pytest.approx(1)
    assert category_agreement(CODES, np.array([1, 1, -1, -1])) == []
    assert category_agreement(CODES, np.full(4, -1)) == []


def test_chance_inflates_nmi_of_deep_prefixes_but_not_ami() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (2000, 2)).astype(np.int32)
    rows = category_agreement(codes, rng.integers(0, 20, 2000), max_items=1500)
    assert rows[0]["items"] == 1500
    assert rows[1]["nmi"] > rows[0]["nmi"] + 0.2
    assert all(abs(row["ami"]) < 0.02 for row in rows)


def test_similarity_by_hand() -> None:
    angle = np.radians([0, 60, 180, 240])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) * [[2], [1], [1], [3]]
    apart, together = prefix_similarity(CODES, vectors.astype(np.float32))
    # One code shared: two pairs, both 60 degrees apart. None shared: 180, 240, 120 and 180 degrees.
    assert (together["depth"], together["pairs"]) == (1, 2)
    assert together["cosine"] == pytest.approx(0.5)
    assert (apart["depth"], apart["pairs"]) == (0, 4)
    assert apart["cosine"] in [pytest.approx(sum(pair) / 4) for pair in _draws()]


def _draws() -> list[tuple[float, ...]]:
    """All means of four draws among cosines -1, -.5, -.5 and -1."""
    return [tuple([-1.0] * ones + [-0.5] * (4 - ones)) for ones in range(5)]


def test_sampled_mean_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, (60, 3)).astype(np.int32)
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.triu_indices(60, 1)
    shared = np.cumprod(codes[left] == codes[right], axis=1).sum(axis=1)
    cosine = (unit[left] * unit[right]).sum(axis=1)
    for row in prefix_similarity(codes, vectors, num_pairs=10**6):
        at = shared == row["depth"]
        assert row["pairs"] == at.sum()
        assert row["low"] - 0.1 < cosine[at].mean() < row["high"] + 0.1
    many = prefix_similarity(np.tile(codes, (40, 1)), np.tile(vectors, (40, 1)), num_pairs=200_000)
    assert many[1]["cosine"] == pytest.approx(cosine[shared == 1].mean(), abs=0.01)


def test_vectors_of_zeros_and_depths_without_pairs_are_left_out() -> None:
    vectors = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.float32)
    rows = prefix_similarity(CODES, vectors)
    assert [(row["depth"], row["pairs"]) for row in rows] == [(0, 2), (1, 1)]
    assert [row["depth"] for row in prefix_similarity(np.eye(3, dtype=np.int32)[:1], vectors[:1])] == []


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match="expected one category for each of the 4 items, got 2"):
        category_agreement(CODES, np.zeros(2, int))
    with pytest.raises(DataError, match="expected one vector for each of the 4 items, got 3"):
        prefix_similarity(CODES, np.ones((3, 2), np.float32))
    with pytest.raises(ConfigError, match="expected a depth of 0 to 2 codes, got 3"):
        prefix_groups(CODES, 3)
    with pytest.raises(ConfigError, match="num_pairs must be at least 1"):
        prefix_similarity(CODES, np.ones((4, 2), np.float32), num_pairs=0)
