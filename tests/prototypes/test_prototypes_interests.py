"""Memberships, profiles, and what a history says about a user's interests."""

from pathlib import Path

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError, DataError
from g2rec.prototypes import (
    GraphHeadConfig,
    InterestPrototypes,
    kmeans,
    random_prototypes,
    top_items,
    usage_balance_loss,
)


def by_hand() -> InterestPrototypes:
    return InterestPrototypes(
        vectors=np.array([[1, 0], [0, 1], [1, 1]], np.float32),
        indices=np.array([[0, 1], [1, 2], [2, 0]], np.int32),
        weights=np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]], np.float32),
        method="graph_head",
    )


def test_profiles_by_hand() -> None:
    found = by_hand()
    assert found.profiles() == pytest.approx(np.array([[0.75, 0.25], [0, 1], [1, 0.5]]))
    assert found.dominant().tolist() == [0, 1, 2]
    assert found.usage() == pytest.approx([1.25 / 3, 1.25 / 3, 0.5 / 3])


def test_prefix_by_hand() -> None:
    # History 0, 2 at decay .5: weights 1/3 and 2/3, so prototype 0 gets .25 + 1/3, 2 gets 1/3, 1 gets 1/12.
    indptr, history = np.array([0, 2, 2, 3]), np.array([0, 2, 1], np.int32)
    indices, weights = by_hand().user_interests(indptr, history, decay=0.5, top_m=2)
    assert indices.tolist() == [[0, 2], [-1, -1], [1, -1]]
    kept = np.array([7 / 12, 4 / 12])
    assert weights == pytest.approx(np.array([kept / kept.sum(), [0, 0], [1, 0]]))


def test_prefix_of_a_row_ignores_all_other_rows() -> None:
    found = random_prototypes(50, 12, 4, seed=0)
    rng = np.random.default_rng(0)
    history = rng.integers(0, 50, 40).astype(np.int32)
    alone = found.user_interests(np.array([0, 15]), history[:15])
    together = found.user_interests(np.array([0, 15, 40]), history)
    assert np.array_equal(alone[0][0], together[0][0])
    assert np.array_equal(alone[1][0], together[1][0])


def test_save_and_load(tmp_path: Path) -> None:
    found = random_prototypes(50, 12, 4, seed=0)
    assert found.weights.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    found.save(tmp_path / "prototypes")
    loaded = InterestPrototypes.load(tmp_path / "prototypes")
    assert loaded.method == "random"
    for name in ("vectors", "indices", "weights"):
        assert np.array_equal(getattr(found, name), getattr(loaded, name))


def test_head_is_sparse_normalised_and_order_free() -> None:
    torch.manual_seed(0)
    head = GraphHeadConfig(num_prototypes=8, nonzeros=3).build(5)
    items = torch.randn(20, 5)
    dense = head(items)
    assert ((dense > 0).sum(dim=1) == 3).all()
    assert torch.allclose(dense.sum(dim=1), torch.ones(20))
    order = torch.randperm(20)
    assert torch.allclose(head(items[order]), dense[order])
    exported = head.export(items.numpy())
    assert np.allclose(exported.memberships.matrix(8).toarray(), dense.detach().numpy(), atol=1e-6)


def test_head_starts_at_the_clusters() -> None:
    centres = torch.eye(4).repeat_interleave(10, dim=0) + 0.01 * torch.randn(40, 4)
    head = GraphHeadConfig(num_prototypes=4, nonzeros=1).build(4)
    head.start(centres, seed=0)
    assert len(np.unique(head.export(centres.numpy()).dominant())) == 4


def test_kmeans_survives_fewer_points_than_clusters() -> None:
    centres = kmeans(torch.ones(3, 2), 5, seed=0)
    assert centres.shape == (5, 2)
    assert torch.isfinite(centres).all()


def test_usage_balance() -> None:
    assert float(usage_balance_loss(torch.eye(4))) == pytest.approx(0.0, abs=1e-6)
    one = torch.zeros(3, 4)
    one[:, 2] = 1
    assert float(usage_balance_loss(one)) == pytest.approx(np.log(4))


def test_top_items_weigh_membership_by_popularity() -> None:
    named = top_items(by_hand(), np.array([10, 3, 100]), 2)
    assert [row.tolist() for row in named] == [[2, 0], [1, 0], [2]]


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"decay must lie in \(0, 1\], got 1.5"):
        by_hand().user_interests(np.array([0]), np.empty(0, np.int32), decay=1.5)
    with pytest.raises(DataError, match="name prototypes 0 to 7, there are 3"):
        InterestPrototypes(
            np.zeros((3, 2), np.float32), np.array([[0, 7]], np.int32), np.ones((1, 2), np.float32), "random"
        )
    with pytest.raises(ConfigError, match="temperature must be positive"):
        GraphHeadConfig(temperature=0).build(4)
