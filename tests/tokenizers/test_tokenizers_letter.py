"""LETTER's losses by hand, and clusters of one size."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from g2rec.errors import ConfigError
from g2rec.tokenizers import LETTERConfig, alignment_loss, balanced_clusters, diversity_loss


def test_alignment_is_least_where_each_item_points_to_its_own_embedding() -> None:
    collaborative = torch.eye(5)
    aligned = alignment_loss(3 * collaborative, collaborative, 0.5)
    expected = -np.log(np.exp(2) / (np.exp(2) + 4))  # cosine 1 over .5, and four at 0
    assert float(aligned) == pytest.approx(expected, rel=1e-5)
    assert alignment_loss(collaborative.roll(1, 0), collaborative, 0.5) > aligned


def test_clusters_differ_in_size_by_at_most_one_and_keep_neighbours_together() -> None:
    rng = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(2, 4, 3, generator=rng)
    points = centres.repeat_interleave(5, dim=1) + 0.1 * torch.randn(2, 20, 3, generator=rng)
    clusters = balanced_clusters(points, 4, seed=0)
    assert clusters.shape == (2, 20)
    for level in clusters:
        assert level.bincount().tolist() == [5, 5, 5, 5]
        assert (level.view(4, 5) == level.view(4, 5)[:, :1]).all()
    odd = balanced_clusters(points, 3, seed=0)
    assert sorted(odd[0].bincount().tolist()) == [6, 7, 7]
    assert torch.equal(balanced_clusters(points, 3, seed=0), odd)


def test_diversity_by_hand() -> None:
    codebooks = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    clusters = torch.tensor([[0, 0, 1, 1]])
    cosine = F.normalize(codebooks[0], dim=1) @ F.normalize(codebooks[0], dim=1).T / 0.1
    expected = -(cosine[0, 1] - torch.logsumexp(cosine[0, 1:], 0))
    loss = diversity_loss(codebooks, torch.tensor([[0]]), clusters)
    torch.testing.assert_close(loss, expected)
    alone = diversity_loss(codebooks, torch.tensor([[0]]), torch.tensor([[0, 1, 2, 3]]))
    assert float(alone) == 0.0


def test_bad_settings_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="alignment_weight must not be negative, got -1"):
        LETTERConfig(alignment_weight=-1.0).check()
    with pytest.raises(ConfigError, match="num_clusters must be at least 1, got 0"):
        LETTERConfig(num_clusters=0).check()
