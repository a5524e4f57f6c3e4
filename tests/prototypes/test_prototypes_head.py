"""Where the graph head's prototypes start, and the losses that shape its memberships."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from g2rec.errors import ConfigError
from g2rec.prototypes import GraphHeadConfig, PrototypeHead, membership_entropy


def head(num_prototypes: int, dim: int = 2, **settings) -> PrototypeHead:
    return GraphHeadConfig(num_prototypes=num_prototypes, nonzeros=1, **settings).build(dim)


def test_prototypes_start_at_the_communities_centres_by_hand() -> None:
    # Directions count, not lengths: (3, 0) and (0, 1) have their centre at 45 degrees.
    items = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [0.0, -5.0]])
    found = head(3)
    found.start(items, 0, torch.tensor([0, 0, 1, 2]))
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [-1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(found.vectors.detach(), expected)


def test_communities_beyond_the_prototypes_move_none() -> None:
    rng = torch.Generator().manual_seed(0)
    items = torch.randn(30, 5, generator=rng)
    labels = torch.arange(30) % 5
    with_rest, alone = head(3, 5), head(3, 5)
    with_rest.start(items, 0, labels)
    alone.start(items[labels < 3], 0, labels[labels < 3])
    torch.testing.assert_close(with_rest.vectors, alone.vectors)


def test_prototypes_without_community_start_at_centres_of_all_items() -> None:
    items = torch.eye(4).repeat_interleave(10, dim=0) + 0.01 * torch.randn(40, 4)
    found, again = head(6, 4), head(6, 4)
    found.start(items, 7, torch.arange(40) // 20)
    again.start(items, 7, torch.arange(40) // 20)
    assert torch.equal(found.vectors, again.vectors)
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.ones(6))
    centres = F.normalize(F.normalize(items, dim=1).view(2, 20, 4).sum(dim=1), dim=1)
    torch.testing.assert_close(found.vectors[:2].detach(), centres)
    # The four that no community claims found the four clusters.
    assert len(found.vectors[2:].argmax(dim=1).unique()) == 4
    assert (found.vectors[2:].max(dim=1).values > 0.99).all()


def test_entropy_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    expected = (0 + np.log(2) + np.log(4)) / 3
    assert float(membership_entropy(rows)) == pytest.approx(expected)
    assert float(membership_entropy(torch.eye(3))) == 0


def test_entropy_has_a_finite_gradient_where_memberships_are_sparse() -> None:
    torch.manual_seed(0)
    found = GraphHeadConfig(num_prototypes=8, nonzeros=3).build(4)
    items = torch.randn(16, 4)
    before = membership_entropy(found(items)).item()
    membership_entropy(found(items)).backward()
    assert torch.isfinite(found.vectors.grad).all() and found.vectors.grad.any()
    with torch.no_grad():
        found.vectors -= 0.05 * found.vectors.grad
    assert membership_entropy(found(items)).item() < before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"start": "leiden"}, "start must be communities or kmeans, got leiden; choose one"),
        ({"nonzeros": 5, "num_prototypes": 4}, "nonzeros must lie between 1 and num_prototypes=4, got 5"),
        ({"num_prototypes": 1, "nonzeros": 1}, "num_prototypes must be at least 2, got 1"),
        ({"balance_weight": -1.0}, "balance_weight must not be negative, got -1.0"),
    ],
)
def test_bad_settings(settings, says) -> None:
    with pytest.raises(ConfigError, match=says):
        GraphHeadConfig(**settings).build(4)


def test_the_entropys_weight_may_have_either_sign() -> None:
    for weight in (-0.5, 0.5):
        assert head(3, entropy_weight=weight).config.entropy_weight == weight
