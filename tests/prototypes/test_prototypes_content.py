"""Memberships from content alone, learned from the items that have events."""

import numpy as np
import pytest

from g2rec.errors import DataError
from g2rec.prototypes import ContentMemberships, InterestPrototypes, place_by_content

C, F = 4, 12


def of_labels(label: np.ndarray, num_prototypes: int = C) -> InterestPrototypes:
    """Each item at 95% in one prototype."""
    indices = np.stack([label, (label + 1) % num_prototypes], axis=1).astype(np.int32)
    weights = np.tile(np.array([0.95, 0.05], np.float32), (len(label), 1))
    return InterestPrototypes(np.eye(num_prototypes, dtype=np.float32), indices, weights, "graph_head")


def planted(num_items: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Content of items around the centres of their prototypes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, C, num_items)
    centres = np.linalg.qr(rng.standard_normal((F, C)))[0].T
    # One feature is loud and says nothing: distances that do not know the covariance drown in it.
    loud = np.where(np.arange(F) == 0, 8.0, 1.0)
    content = 2 * centres[label] + noise * loud * rng.standard_normal((num_items, F))
    return content.astype(np.float32), label


def test_posteriors_by_hand() -> None:
    """One feature, two prototypes of equal size at -1 and 1: the log odds are linear in it and 0 between."""
    content = np.array([-1.5, -0.5, 0.5, 1.5] * 50, np.float32)[:, None]
    label = (content[:, 0] > 0).astype(np.int64)
    indices = np.stack([label, 1 - label], axis=1).astype(np.int32)
    hard = InterestPrototypes(
        np.eye(2, dtype=np.float32), indices, np.tile(np.float32([1, 0]), (200, 1)), "graph_head"
    )
    found = ContentMemberships.fit(content, hard, np.ones(200, bool))
    # m = +-100 / 101, S the variance .25 + (1 - m)^2 around them; beta is at its largest: nothing overlaps.
    mean = 100 / 101
    slope = 2 * 1.5 * mean / (0.25 + (1 - mean) ** 2)
    assert found.weight[0, 1] - found.weight[0, 0] == pytest.approx(slope, rel=1e-3)
    assert found.bias[1] - found.bias[0] == pytest.approx(0, abs=1e-5)
    odds = found.of(np.array([[0.1]], np.float32))
    assert odds.indices[0].tolist() == [1, 0]
    assert odds.weights[0, 0] == pytest.approx(1 / (1 + np.exp(-0.1 * slope)), rel=1e-3)


def test_planted_prototypes_are_found_by_content() -> None:
    content, label = planted(2_000, 0.5)
    known = np.arange(2_000) < 1_500
    given = np.where(known, label, 0)  # what a fit leaves new items with
    found = place_by_content(of_labels(given), content, known)
    np.testing.assert_array_equal(found.indices[known], of_labels(given).indices[known])
    np.testing.assert_array_equal(found.weights[known], of_labels(given).weights[known])
    new = ~known
    assert (found.dominant()[new] == label[new]).mean() > 0.95
    np.testing.assert_allclose(found.weights[new].sum(axis=1), 1, atol=1e-6)
    assert (np.diff(found.weights[new], axis=1) <= 0).all()
    assert (found.indices[new, 0] != found.indices[new, 1]).all()


def test_nothing_of_an_item_without_events_is_learned_from() -> None:
    content, label = planted(400, 0.5)
    known = np.arange(400) % 4 > 0
    first = ContentMemberships.fit(content, of_labels(label), known)
    changed, other = content.copy(), label.copy()
    changed[~known] *= -3
    other[~known] = (other[~known] + 1) % C
    again = ContentMemberships.fit(changed, of_labels(other), known)
    np.testing.assert_array_equal(first.weight, again.weight)
    np.testing.assert_array_equal(first.bias, again.bias)


def test_content_that_says_nothing_gives_everybody_the_shares() -> None:
    rng = np.random.default_rng(0)
    label = rng.choice(C, 3_000, p=[0.4, 0.3, 0.2, 0.1])
    content = rng.standard_normal((3_000, F)).astype(np.float32)
    found = ContentMemberships.fit(content, of_labels(label), np.ones(3_000, bool)).of(content[:500])
    assert (found.indices[:, 0] == 0).mean() > 0.9
    assert found.weights[:, 0].std() < 0.05


def test_soft_where_the_likelihood_claims_too_much() -> None:
    """Features that are copies of one another count once: the posteriors fit those of items left out."""
    content, label = planted(1_000, 1.0)
    twice = np.concatenate([content] * 10, axis=1)
    twice += 0.3 * np.random.default_rng(1).standard_normal(twice.shape).astype(np.float32)
    known = np.arange(1_000) < 500
    found = ContentMemberships.fit(twice, of_labels(label), known).of(twice[~known])
    right = found.indices[:, 0] == label[~known]
    assert found.weights[:, 0].mean() == pytest.approx(right.mean(), abs=0.12)


def test_with_hardly_an_item_content_says_nothing() -> None:
    content, label = planted(20, 0.5)
    known = np.arange(20) < 4
    found = place_by_content(of_labels(label), content, known)
    assert (found.indices[~known] == found.indices[19]).all()
    share = np.bincount(of_labels(label).indices[:4].ravel(), of_labels(label).weights[:4].ravel(), C)
    assert found.indices[19, 0] == share.argmax()


def test_features_that_do_not_vary_are_no_obstacle() -> None:
    content, label = planted(300, 0.5)
    flat = np.concatenate([content, np.zeros((300, 3), np.float32)], axis=1)
    found = ContentMemberships.fit(flat, of_labels(label), np.ones(300, bool)).of(flat)
    assert (found.indices[:, 0] == label).mean() > 0.95


def test_without_content_or_new_items_all_stays() -> None:
    content, label = planted(50, 0.5)
    prototypes = of_labels(label)
    assert place_by_content(prototypes, None, np.arange(50) < 40) is prototypes
    assert place_by_content(prototypes, content, np.ones(50, bool)) is prototypes
    assert place_by_content(prototypes, content, np.zeros(50, bool)) is prototypes


def test_parts_of_different_runs_are_refused() -> None:
    content, label = planted(50, 0.5)
    with pytest.raises(DataError, match="of the same items, got 40, 50 and 50"):
        ContentMemberships.fit(content[:40], of_labels(label), np.ones(50, bool))
